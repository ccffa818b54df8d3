//! A client that is cut: numbered writes, discards and flushes in flight on several connections until the server dies.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

use crate::history::{Change, Flush, History};
use crate::nbd::{Connection, Verb};
use crate::pattern::{CLUSTER, ZERO, fill, tag_of};
use crate::random::Random;

/// Clusters that the storm touches: few, so that writes overlap.
pub(crate) const CLUSTERS: u64 = 2048;

/// Connections at once; they count as one client.
const CONNECTIONS: u64 = 2;

/// Requests in flight on each.
const WINDOW: usize = 16;

/// Clusters of the longest write.
const WRITE_MAX: u64 = 16;

/// Clusters of the longest discard.
const ZERO_MAX: u64 = 64;

/// Clusters read at a time when the disk is looked at.
const READ: u64 = 256;

/// A storm to come.
pub(crate) struct Storm<'a> {
    /// Port of the server.
    pub(crate) port: u16,
    /// The vDisk.
    pub(crate) export: &'a str,
    /// Decides what is written where.
    pub(crate) seed: u64,
    /// The first tag to write; higher than any used on this disk before.
    pub(crate) first_tag: u64,
    /// After so many acknowledgements the server is killed.
    pub(crate) acknowledgements: u64,
    /// Kills it.
    pub(crate) kill: &'a (dyn Fn() -> Result<()> + Sync),
}

/// What the connections share.
struct Shared<'a> {
    storm: &'a Storm<'a>,
    clock: AtomicU64,
    tags: AtomicU64,
    acknowledged: AtomicU64,
    is_dead: AtomicBool,
    history: Mutex<History>,
}

/// A request in flight: a change by its index in the history, or a flush.
#[derive(Clone, Copy)]
enum InFlight {
    Change(usize),
    Flush { sent: u64 },
}

impl Storm<'_> {
    /// Rages until the server is dead; returns what was done, and the next unused tag.
    pub(crate) fn rage(&self) -> Result<(History, u64)> {
        let shared = Shared {
            storm: self,
            clock: AtomicU64::new(1),
            tags: AtomicU64::new(self.first_tag),
            acknowledged: AtomicU64::new(0),
            is_dead: AtomicBool::new(false),
            history: Mutex::new(History::default()),
        };
        // All are open before the first request: the kill may come soon after it.
        let open = |_| Connection::open(self.port, self.export);
        let connections = (0..CONNECTIONS).map(open).collect::<Result<Vec<_>>>()?;
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let run = |(connection, number)| {
                let shared = &shared;
                scope.spawn(move || shared.run(connection, number))
            };
            let threads: Vec<_> = connections.into_iter().zip(0..).map(run).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a connection's thread does not panic"))
                .collect()
        });
        for outcome in outcomes {
            outcome?;
        }
        let history = shared.history.into_inner().expect("no thread panicked");
        let (changes, flushes) = (history.changes.len(), history.flushes.len());
        println!("storm {}: {changes} changes, {flushes} flushes returned", self.seed);
        Ok((history, shared.tags.into_inner()))
    }
}

impl Shared<'_> {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// One connection: keeps its window full until the server is dead, then reads the replies that still came.
    fn run(&self, mut connection: Connection, number: u64) -> Result<()> {
        let mut random = Random::new(self.storm.seed.wrapping_mul(CONNECTIONS) + number);
        ensure!(connection.size >= CLUSTERS * CLUSTER as u64, "the vDisk is too small for a storm");
        let mut slots: Vec<Option<InFlight>> = vec![None; WINDOW];
        loop {
            while let Some(slot) = slots.iter().position(Option::is_none) {
                if self.is_dead.load(Ordering::SeqCst) {
                    break;
                }
                match self.send(&mut connection, slot, &mut random) {
                    Ok(sent) => slots[slot] = Some(sent),
                    Err(error) => return self.died(error),
                }
            }
            if slots.iter().all(Option::is_none) {
                return Ok(());
            }
            match connection.receive() {
                Ok(cookie) => {
                    let slot = usize::try_from(cookie)?;
                    let answered = slots.get_mut(slot).and_then(Option::take);
                    self.on_reply(answered.context("a reply to nothing that was asked")?)?;
                }
                Err(error) => return self.died(error),
            }
        }
    }

    /// An error is what we waited for once the server is dead, and a failure before. A request that was answered with
    /// an error is always a failure.
    fn died(&self, error: anyhow::Error) -> Result<()> {
        let is_expected =
            self.is_dead.load(Ordering::SeqCst) && error.downcast_ref::<crate::nbd::Refused>().is_none();
        if is_expected { Ok(()) } else { Err(error.context("before the server was killed")) }
    }

    /// Sends a request of some kind. It enters the history before its first byte leaves.
    fn send(&self, connection: &mut Connection, slot: usize, random: &mut Random) -> Result<InFlight> {
        let cookie = u64::try_from(slot)?;
        let kind = random.below(100);
        if kind < 4 {
            let sent = self.tick();
            connection.send(Verb::Flush, cookie, 0, 0, &[])?;
            return Ok(InFlight::Flush { sent });
        }
        let is_write = kind < 85;
        let count = 1 + random.below(if is_write { WRITE_MAX } else { ZERO_MAX });
        let first = random.below(CLUSTERS - count);
        let tag = if is_write { self.tags.fetch_add(1, Ordering::SeqCst) } else { ZERO };
        let index = {
            let mut history = self.history.lock().expect("no thread panics while it holds this");
            let sent = self.tick();
            history.changes.push(Change { first, count, tag, sent, acknowledged: None });
            history.changes.len() - 1
        };
        let mut payload = Vec::new();
        if is_write {
            payload.resize(usize::try_from(count)? * CLUSTER, 0);
            for (address, cluster) in (first..).zip(payload.chunks_exact_mut(CLUSTER)) {
                fill(cluster, tag, address);
            }
        }
        let verb = if is_write {
            Verb::Write
        } else if kind < 92 {
            Verb::WriteZeroes
        } else {
            Verb::Trim
        };
        let (offset, length) = (first * CLUSTER as u64, u32::try_from(count)? * CLUSTER as u32);
        connection.send(verb, cookie, offset, length, &payload)?;
        Ok(InFlight::Change(index))
    }

    fn on_reply(&self, answered: InFlight) -> Result<()> {
        {
            let mut history = self.history.lock().expect("no thread panics while it holds this");
            match answered {
                InFlight::Change(index) => history.changes[index].acknowledged = Some(self.tick()),
                InFlight::Flush { sent } => history.flushes.push(Flush { sent }),
            }
        }
        if self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == self.storm.acknowledgements {
            self.is_dead.store(true, Ordering::SeqCst);
            (self.storm.kill)()?;
        }
        Ok(())
    }
}

/// The tags of all clusters that storms touch. A cluster that is torn or misplaced is an error.
pub(crate) fn look(port: u16, export: &str) -> Result<Vec<u64>> {
    let mut connection = Connection::open(port, export)?;
    let mut tags = Vec::new();
    for first in (0..CLUSTERS).step_by(usize::try_from(READ)?) {
        let data = connection.read(first * CLUSTER as u64, u32::try_from(READ)? * CLUSTER as u32)?;
        for (address, cluster) in (first..).zip(data.chunks_exact(CLUSTER)) {
            let tag = tag_of(cluster, address).with_context(|| {
                format!("cluster {address} is torn or not its own: it begins {:02x?}", &cluster[..16])
            })?;
            tags.push(tag);
        }
    }
    Ok(tags)
}
