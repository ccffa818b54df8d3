//! Whatever goes wrong, clients see one KV that does one thing after another.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::bed::Bed;
use crate::clients::during;
use crate::network::SERVERS;

/// How often the fault comes.
const TIMES: usize = 3;

/// How long it lasts, and how long it stays away: long enough for another leader, and for clients to go on.
const WHILE: Duration = Duration::from_millis(1500);

/// How long a slow disk takes, and how often.
const SLOW: Duration = Duration::from_millis(300);
const SLOW_WRITES: usize = 8;

/// Answers that make a history worth judging.
const LEAST: usize = 300;

/// Runs clients while a fault comes and goes.
fn under(bed: &Bed, fault: impl Fn() -> Result<()>, end: impl Fn() -> Result<()>) -> Result<()> {
    let record = during(&bed.client(), || {
        for _ in 0..TIMES {
            sleep(WHILE);
            fault()?;
            sleep(WHILE);
            end()?;
        }
        sleep(WHILE);
        Ok(())
    })?;
    record.judge(LEAST)
}

pub(crate) fn killed_leader(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    under(bed, || cluster.kill(cluster.leader()?), || cluster.start_dead())
}

pub(crate) fn killed_follower(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    under(bed, || cluster.kill(cluster.follower()?), || cluster.start_dead())
}

pub(crate) fn all_killed(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    under(bed, || (1..=SERVERS).try_for_each(|server| cluster.kill(server)), || cluster.start_dead())
}

/// A leader that wakes up must not answer from the past.
pub(crate) fn stopped_leader(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    under(bed, || cluster.pause(cluster.leader()?), || cluster.resume())
}

pub(crate) fn isolated_leader(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    let cut = std::cell::Cell::new(0);
    let others = |server| (1..=SERVERS).filter(|other| *other != server).collect::<Vec<_>>();
    let split = || {
        cut.set(cluster.leader()?);
        bed.network().split(&[cut.get()], &others(cut.get()))
    };
    under(bed, split, || bed.network().heal(&[cut.get()], &others(cut.get())))
}

/// The leader hears a follower that doesn't hear it.
pub(crate) fn one_way_cut(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    let cut = std::cell::Cell::new((0, 0));
    let begin = || {
        cut.set((cluster.leader()?, cluster.follower()?));
        bed.network().cut(cut.get().0, cut.get().1)
    };
    under(bed, begin, || bed.network().mend(cut.get().0, cut.get().1))
}

/// A leader's disk ends what it is told to do once in a third of a second: too soon to be one that hangs.
pub(crate) fn slow_disk(bed: &Bed) -> Result<()> {
    let cluster = bed.freezable_cluster()?;
    let slow = || {
        let leader = cluster.leader()?;
        for _ in 0..SLOW_WRITES {
            cluster.freeze(leader)?;
            sleep(SLOW);
            cluster.thaw(leader)?;
            sleep(SLOW / 20);
        }
        Ok(())
    };
    under(bed, slow, || Ok(()))
}
