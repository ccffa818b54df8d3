//! Loads: what clients do, how many of them, and how long it took.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::store::{Client, Consistency, Store};

/// Keys that are there before the loads.
pub const KEYS: usize = 20_000;

/// Bytes of a value.
const VALUE: [u8; 100] = [b'v'; 100];

/// Keys of a sequence: each is asserted to be there, and set.
const SEQUENCE_KEYS: usize = 5;

/// Keys that a range reads.
const RANGE: usize = 1000;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Set,
    Get(Consistency),
    Sequence,
    Range,
}

/// Work for so many clients.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub work: Work,
    pub clients: usize,
}

impl Load {
    /// All loads, as the report names them.
    pub fn all() -> Vec<Load> {
        let linearizable = Work::Get(Consistency::Linearizable);
        let of = |work, clients: &[usize]| {
            clients.iter().map(move |&clients| Load { work, clients }).collect::<Vec<_>>()
        };
        [
            of(Work::Set, &[1, 16, 256]),
            of(linearizable, &[1, 16, 256]),
            of(Work::Get(Consistency::Stale), &[1, 16, 256]),
            of(Work::Sequence, &[1, 16]),
            of(Work::Range, &[1, 4]),
        ]
        .concat()
    }

    pub fn name(&self) -> String {
        let clients =
            if self.clients == 1 { "1 client".to_owned() } else { format!("{} clients", self.clients) };
        match self.work {
            Work::Set => format!("set, {clients}"),
            Work::Get(Consistency::Linearizable) => format!("linearizable get, {clients}"),
            Work::Get(Consistency::Stale) => format!("stale get, {clients}"),
            Work::Sequence => format!("5 asserts and 5 sets, {clients}"),
            Work::Range => format!("range of {RANGE}, {clients}"),
        }
    }
}

/// What a load came to.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Operations per second.
    pub rate: f64,
    /// Latencies of all operations, sorted.
    latencies: Vec<Duration>,
}

impl Measured {
    /// The latency that a part of all operations keeps below.
    pub fn percentile(&self, part: f64) -> Duration {
        let last = self.latencies.len() - 1;
        self.latencies[(last as f64 * part).round() as usize]
    }
}

/// The name of one of the keys that are there.
pub fn key(number: usize) -> Vec<u8> {
    format!("bench/{number:010}").into_bytes()
}

/// Sets all keys, by several clients.
pub fn fill(store: &dyn Store, keys: std::ops::Range<usize>) -> Result<()> {
    const CLIENTS: usize = 64;
    let clients = (0..CLIENTS).map(|number| store.client(number)).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let threads = clients.into_iter().enumerate().map(|(number, mut client)| {
            let own = keys.clone().skip(number).step_by(CLIENTS);
            scope.spawn(move || own.map(key).try_for_each(|key| client.set(&key, &VALUE)))
        });
        threads.collect::<Vec<_>>().into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })
}

/// Runs a load for a while.
pub fn run(store: &dyn Store, load: Load, time: Duration) -> Result<Measured> {
    let clients = (0..load.clients).map(|number| store.client(number)).collect::<Result<Vec<_>>>()?;
    let (begin, is_over) = (Barrier::new(load.clients + 1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let spawn = |(number, client)| {
            let (begin, is_over) = (&begin, &is_over);
            scope.spawn(move || work(load.work, number, client, begin, is_over))
        };
        let threads: Vec<_> = clients.into_iter().enumerate().map(spawn).collect();
        begin.wait();
        let started = Instant::now();
        std::thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        for thread in threads {
            latencies.extend(thread.join().expect("no panic")?);
        }
        let rate = latencies.len() as f64 / started.elapsed().as_secs_f64();
        latencies.sort();
        Ok(Measured { rate, latencies })
    })
}

fn work(
    work: Work,
    number: usize,
    mut client: Box<dyn Client>,
    begin: &Barrier,
    is_over: &AtomicBool,
) -> Result<Vec<Duration>> {
    let (mut random, mut latencies) = (Random(number as u64 + 1), Vec::new());
    // The connection, and what the store remembers of it, come before the measurement.
    let warm = one(work, client.as_mut(), &mut random);
    begin.wait();
    warm?;
    while !is_over.load(Ordering::Relaxed) {
        let started = Instant::now();
        one(work, client.as_mut(), &mut random)?;
        latencies.push(started.elapsed());
    }
    Ok(latencies)
}

fn one(work: Work, client: &mut dyn Client, random: &mut Random) -> Result<()> {
    match work {
        Work::Set => client.set(&key(random.below(KEYS)), &VALUE),
        Work::Get(consistency) => client.get(&key(random.below(KEYS)), consistency),
        Work::Sequence => {
            let keys: Vec<_> = (0..SEQUENCE_KEYS).map(|_| key(random.below(KEYS))).collect();
            // etcd refuses two sets of one key.
            let mut keys = keys;
            keys.sort();
            keys.dedup();
            client.sequence(&keys, &VALUE)
        }
        Work::Range => client.range(b"bench/", RANGE),
    }
}

/// Numbers that spread: xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
