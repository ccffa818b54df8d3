//! The persisted map: the newest file that is whole. Without one, the published chain is replayed from its
//! start; the map is only ever a short cut.

use alloc::vec::Vec;
use formats::journal::{FileHeader, HeaderError, Kind, scan};
use formats::map_image::{MapBatch, MapRun};
use formats::namespace::{ChainHead, ObjectName};
use formats::tlog::Clients;
use glossary::Location;
use step::{DiskOutcome, DiskResult};

use super::{Operation, TakeOver};
use crate::context::Context;
use crate::files::{LocalFile, journal_owner};
use crate::map::{Base, Run};

impl TakeOver {
    pub(super) fn load_map(&mut self, context: &mut Context<'_>) {
        self.load_map_below(u64::MAX, context);
    }

    /// Tries the newest map file below this number.
    fn load_map_below(&mut self, below: u64, context: &mut Context<'_>) {
        match self.map_numbers().into_iter().filter(|number| *number < below).max() {
            Some(number) => self.read_file(Operation::ReadMap(number), LocalFile::Map(number), context),
            None => self.replay_chain(context),
        }
    }

    pub(super) fn map_numbers(&self) -> Vec<u64> {
        let number = |file: &LocalFile| match file {
            LocalFile::Map(number) => Some(*number),
            LocalFile::Sco(_) | LocalFile::Tlog(_) => None,
        };
        self.files.keys().filter_map(number).collect()
    }

    pub(super) fn map_read(&mut self, number: u64, result: DiskResult, context: &mut Context<'_>) {
        let loaded = match result {
            Ok(DiskOutcome::Read(bytes)) => {
                if let Some(version) = newer_version(&bytes) {
                    let file = LocalFile::Map(number).name(self.id);
                    self.halt(super::newer(&file, version, Kind::MAP.version));
                    return;
                }
                let scan = scan(&bytes, Kind::MAP, &journal_owner(self.id), number).ok();
                scan.and_then(|scan| load(scan.batches.iter().map(|batch| &batch.body[..])))
            }
            _ => None,
        };
        match loaded.filter(|map| self.is_in_chain(map.cork)) {
            Some(map) => {
                (self.base, self.cork, self.published_clients) = (map.base, map.cork, map.clients);
                self.replay_chain(context);
            }
            None => self.load_map_below(number, context),
        }
    }

    /// Whether the chain that is published contains this cork.
    fn is_in_chain(&self, cork: Option<ChainHead>) -> bool {
        let Some(cork) = cork else { return true };
        let at_head = self.head == Some(cork);
        let before = self.head.is_some_and(|head| cork.tlog < head.tlog);
        at_head || before && self.objects.contains_key(&ObjectName::Tlog(cork.tlog))
    }
}

/// The version of a map file that a newer program wrote. One that is only damaged is made anew.
fn newer_version(bytes: &[u8]) -> Option<u16> {
    match FileHeader::decode(bytes, Kind::MAP) {
        Err(HeaderError::Newer(version)) => Some(version),
        _ => None,
    }
}

/// What a map file comes to.
#[derive(Default)]
struct Loaded {
    base: Base,
    cork: Option<ChainHead>,
    clients: Clients,
}

/// What the batches of a file come to; `None` when its image is not whole.
fn load<'a>(batches: impl Iterator<Item = &'a [u8]>) -> Option<Loaded> {
    let (mut map, mut whole) = (Loaded::default(), false);
    for body in batches {
        match MapBatch::decode(body)? {
            MapBatch::Image(runs) => apply(&mut map.base, &runs)?,
            MapBatch::ImageEnd { cork, clients } => (map.cork, map.clients, whole) = (cork, clients, true),
            MapBatch::Delta { cork, clients, runs } => {
                apply(&mut map.base, &runs)?;
                (map.cork, map.clients) = (Some(cork), clients);
            }
        }
    }
    whole.then_some(map)
}

fn apply(base: &mut Base, runs: &[MapRun]) -> Option<()> {
    let mut dead = Vec::new();
    for (address, clusters, bits) in runs {
        base.apply(
            Run { address: *address, clusters: *clusters, location: Location::from_bits(*bits)? },
            &mut dead,
        );
    }
    Some(())
}
