//! The power goes: a whole machine is killed in mid-flight, booted again, and what stands on the vDisk is explained.

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, kill_process};

use crate::bed::{Bed, VDISK};
use crate::guest::{GUEST_ADDRESS, Guest};
use crate::history::Promise;
use crate::pattern::ZERO;
use crate::random::Random;
use crate::server::Server;
use crate::storm::{CLUSTERS, Storm, look};

/// What every flush covered is there, and the rest is a prefix.
pub(crate) fn power_cut_keeps_what_was_flushed(bed: &Bed) -> Result<()> {
    let guest = guest(bed, "/data/d")?;
    let mut before = vec![ZERO; usize::try_from(CLUSTERS)?];
    let mut server = guest.boot()?;
    let mut first_tag = 1;
    for round in 1..=3 {
        let (history, next_tag) = cut(server, round, first_tag)?;
        server = guest.boot()?;
        let seen = look(server.port(), VDISK)?;
        history.explain(&before, &seen, Promise::Flushed).with_context(|| format!("round {round}"))?;
        before = seen;
        first_tag = next_tag;
    }
    server.kill()?;
    let server = guest.boot()?;
    ensure!(look(server.port(), VDISK)? == before, "what was found after the last cut has changed since");
    Ok(())
}

/// The proof of the proof: where syncs do nothing, the same check fails. An overlay mounted `volatile` leaves them out.
pub(crate) fn power_cut_without_syncs_is_noticed(bed: &Bed) -> Result<()> {
    let guest = guest(bed, "/data/merged/d")?;
    let before = vec![ZERO; usize::try_from(CLUSTERS)?];
    for round in 1..=3 {
        let (history, _) = cut(guest.boot()?, round, 1)?;
        ensure!(!history.flushes.is_empty(), "no flush returned: nothing was promised");
        // A server that refuses what it finds has noticed as well.
        let Ok(server) = guest.boot() else { return Ok(()) };
        let Ok(seen) = look(server.port(), VDISK) else { return Ok(()) };
        if let Err(error) = history.explain(&before, &seen, Promise::Flushed) {
            println!("noticed: {error:#}");
            return Ok(());
        }
    }
    anyhow::bail!("without syncs nothing was lost: this bed proves nothing")
}

/// A guest that runs our server on a data directory, made at the first boot.
fn guest(bed: &Bed, data: &str) -> Result<Guest> {
    let script = format!(
        "if [ {data} != /data/d ]; then
            mkdir -p /data/lower /data/upper /data/scratch /data/merged
            rm -rf /data/scratch/*/incompat
            mount -t overlay -o volatile,lowerdir=/data/lower,upperdir=/data/upper,workdir=/data/scratch overlay /data/merged
        fi
        first=
        [ -e {data} ] || first='--disks 8 --sco-size 4MiB --write-buffer 256MiB --vdisk {VDISK}:64MiB'
        /server up --dir {data} $first --nbd {GUEST_ADDRESS} --insecure-nbd 2>&1 | say\n"
    );
    let cache = bed.ovs_binary().with_file_name("clients");
    Guest::prepare(&bed.path(""), &cache, bed.ovs_binary(), &script)
}

/// Storms against the guest's server and cuts its power.
fn cut(mut server: Server, round: u64, first_tag: u64) -> Result<(crate::history::History, u64)> {
    let pid = server.pid()?;
    let storm = Storm {
        port: server.port(),
        export: VDISK,
        seed: 1000 + round,
        first_tag,
        acknowledgements: 300 + Random::new(round).below(900),
        kill: &|| kill_process(pid, Signal::KILL).context("cannot cut the power"),
    };
    let outcome = storm.rage()?;
    server.kill()?;
    Ok(outcome)
}
