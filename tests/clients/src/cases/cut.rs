//! A client of our own that is cut in mid-flight: the server is killed under it, and what it finds is explained.

use anyhow::{Context, Result};
use rustix::process::{Signal, kill_process};

use crate::bed::{Bed, VDISK};
use crate::history::Promise;
use crate::pattern::ZERO;
use crate::random::Random;
use crate::server::Server;
use crate::storm::{CLUSTERS, Storm, look};

/// Kills after which everything acknowledged must stand, in one order.
pub(crate) fn cut_keeps_what_was_acknowledged(bed: &Bed) -> Result<()> {
    cut(bed, 40)
}

/// The same, shorter, for the pass in which every message is encoded.
pub(crate) fn cut_with_frames_keeps_what_was_acknowledged(bed: &Bed) -> Result<()> {
    cut(bed, 15)
}

fn cut(bed: &Bed, rounds: u64) -> Result<()> {
    let mut server = bed.up("64MiB")?;
    kill_again_and_again(&mut server, rounds)?;
    server.stop()
}

/// A server of a new vDisk is killed in the middle of writes, and started again, so many times.
pub(super) fn kill_again_and_again(server: &mut Server, rounds: u64) -> Result<()> {
    let mut before = vec![ZERO; usize::try_from(CLUSTERS)?];
    let mut first_tag = 1;
    for round in 1..=rounds {
        let pid = server.pid()?;
        let storm = Storm {
            port: server.port(),
            export: VDISK,
            seed: round,
            first_tag,
            // Some rounds die within the first few requests, most in full flight.
            acknowledgements: 1 + Random::new(round).below(1200),
            kill: &|| kill_process(pid, Signal::KILL).context("cannot kill the server"),
        };
        let (history, next_tag) = storm.rage()?;
        server.kill()?;
        server.start_again(&[])?;
        let seen = look(server.port(), VDISK)?;
        history.explain(&before, &seen, Promise::Acknowledged).with_context(|| format!("round {round}"))?;
        (before, first_tag) = (seen, next_tag);
    }
    Ok(())
}
