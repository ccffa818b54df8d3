//! Recordings of real lives, replayed: the roles are pure, so the same events make them want the same.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, kill_process};

use crate::bed::{Bed, VDISK};
use crate::history::Promise;
use crate::pattern::ZERO;
use crate::process::Program;
use crate::storm::{CLUSTERS, Storm, look};

/// A life that a kill ends in full flight, and the next one, which recovers, loses a disk for a while and stops
/// cleanly.
pub(crate) fn recordings_replay(bed: &Bed) -> Result<()> {
    let (killed, stopped) = (bed.path("killed.rec"), bed.path("stopped.rec"));
    let mut server = bed.up("64MiB")?;
    server.stop()?;
    server.start_again(&["--record", utf8(&killed)?])?;
    let pid = server.pid()?;
    let storm = Storm {
        port: server.port(),
        export: VDISK,
        seed: 1,
        first_tag: 1,
        acknowledgements: 1000,
        kill: &|| kill_process(pid, Signal::KILL).context("cannot kill the server"),
    };
    let (history, _) = storm.rage()?;
    server.kill()?;
    server.start_again(&["--record", utf8(&stopped)?])?;
    let before = vec![ZERO; usize::try_from(CLUSTERS)?];
    let seen = look(server.port(), VDISK)?;
    history.explain(&before, &seen, Promise::Acknowledged)?;
    for verb in [&format!("vdisk sync {VDISK}"), "osd stop 3", "osd start 3"] {
        bed.ovs(verb).run()?;
    }
    ensure!(look(server.port(), VDISK)? == seen, "a disk that went and came changes nothing");
    server.stop()?;
    // 8 ASDs, KV, objects client, volume driver and Edge; in the second life one ASD begins twice.
    replays(bed, &killed, 12)?;
    replays(bed, &stopped, 13)
}

fn replays(bed: &Bed, recording: &Path, lives: u64) -> Result<()> {
    let simulator = bed.ovs_binary().with_file_name("simulator");
    ensure!(simulator.exists(), "{} is missing: cargo build --release -p simulator", simulator.display());
    let said = Program::new(simulator).arg("replay").arg(recording).run()?;
    ensure!(said.contains(&format!("steps of {lives} lives")), "another number of lives: {said}");
    Ok(())
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().context("a path of ours is UTF-8")
}
