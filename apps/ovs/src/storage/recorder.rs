//! Recording what happens to each role, so that `cargo xtask replay` can step the same roles through it (row
//! 247).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use formats::recording::{Recorded, RoleCard, digest_of, header};
use formats::{Effect, Event};
use glossary::NodeId;
use io::Tap;
use step::Timestamp;

use crate::failure::Failure;

/// Writes a recording. Roles on different shards share the file, a whole step at a time.
pub(crate) struct Recorder {
    file: Arc<Mutex<BufWriter<File>>>,
}

impl Recorder {
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let create = || -> std::io::Result<BufWriter<File>> {
            let mut file = BufWriter::new(File::create(path)?);
            file.write_all(&header())?;
            Ok(file)
        };
        let file =
            create().map_err(|error| Failure::system(&format!("writing {}", path.display()), &error))?;
        Ok(Recorder { file: Arc::new(Mutex::new(file)) })
    }

    /// Watches a life of a node that begins with this card.
    pub(crate) fn tap(&self, node: NodeId, card: &RoleCard) -> Box<dyn Tap> {
        write(&self.file, &Recorded::Begins { node, card: card.clone() });
        Box::new(RoleTap { file: Arc::clone(&self.file), event: None })
    }
}

struct RoleTap {
    file: Arc<Mutex<BufWriter<File>>>,
    event: Option<Event>,
}

impl Tap for RoleTap {
    fn on_event(&mut self, _node: NodeId, _now: Timestamp, event: &Event) {
        self.event = Some(event.clone());
    }

    fn on_effects(&mut self, node: NodeId, now: Timestamp, effects: &[Effect]) {
        let Some(event) = self.event.take() else { return };
        write(&self.file, &Recorded::Stepped { node, now, event, effects: digest_of(effects) });
    }
}

fn write(file: &Mutex<BufWriter<File>>, entry: &Recorded) {
    let mut file = file.lock().expect("no tap panics");
    if let Err(error) = file.write_all(&entry.encode()) {
        tracing::error!(%error, "the recording has a gap");
    }
}

impl Drop for RoleTap {
    fn drop(&mut self) {
        let _ = self.file.lock().map(|mut file| file.flush());
    }
}
