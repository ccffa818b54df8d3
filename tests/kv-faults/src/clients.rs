//! Clients that read, write and compare-and-set a few keys while something goes wrong, and record it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use kv_client::{Client, Error};

use crate::judge::{Action, Answer, Record};
use crate::random::Random;

/// How many clients there are.
const CLIENTS: u64 = 5;

/// On how many keys they work: few, so that they meet.
const KEYS: u8 = 3;

/// How long a client waits for an answer. What takes longer may have happened or not.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two questions of a client: a judge has to go through all of them.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs clients while `fault` goes on, and until a bit after it. Returns what they recorded.
pub(crate) fn during(config: &Path, fault: impl FnOnce() -> Result<()>) -> Result<Record> {
    during_each(config, |_| fault())
}

/// The same for a fault that looks at what was recorded so far.
pub(crate) fn during_each(config: &Path, fault: impl FnOnce(&Record) -> Result<()>) -> Result<Record> {
    let (record, is_over, written) = (Record::default(), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let run = |number| {
            let (record, is_over, written) = (&record, &is_over, &written);
            scope.spawn(move || run_one(number, config, record, is_over, written))
        };
        let threads: Vec<_> = (0..CLIENTS).map(run).collect();
        let outcome = fault(&record);
        is_over.store(true, Ordering::Relaxed);
        let ends = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        ends.collect::<Vec<_>>().into_iter().collect::<Result<()>>()?;
        outcome
    })?;
    Ok(record)
}

fn run_one(
    number: u64,
    config: &Path,
    record: &Record,
    is_over: &AtomicBool,
    written: &AtomicU64,
) -> Result<()> {
    let mut random = Random::new(number);
    let mut client = crate::cluster::connect(config)?;
    client.wait_for(PATIENCE);
    let mut seen = [None; KEYS as usize];
    // Who waits in vain is somebody else afterwards: what it asked may still happen.
    let mut name = number;
    while !is_over.load(Ordering::Relaxed) {
        let key = random.below(u64::from(KEYS)) as u8;
        let action = match random.below(4) {
            0 | 1 => Action::Read,
            2 => Action::Write(written.fetch_add(1, Ordering::Relaxed)),
            _ => Action::CompareAndSet {
                expected: seen[key as usize],
                new: Some(written.fetch_add(1, Ordering::Relaxed)),
            },
        };
        let call = record.begin(name, key, action.clone());
        match ask(&mut client, key, &action) {
            Ok(answer) => {
                if let Answer::Value(value) = &answer {
                    seen[key as usize] = *value;
                }
                record.end(call, answer);
            }
            Err(Error::TimedOut(_) | Error::Unreachable(_) | Error::Unknown) => name += CLIENTS,
            Err(error) => return Err(error).context("a client is told what it should not be"),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn ask(client: &mut Client, key: u8, action: &Action) -> Result<Answer, Error> {
    let name = [b'k', key];
    Ok(match action {
        Action::Read => Answer::Value(client.get(&name)?.map(|value| number(&value))),
        Action::Write(value) => {
            client.set(&name, &value.to_le_bytes())?;
            Answer::Done
        }
        Action::Clear => {
            client.delete(&name)?;
            Answer::Done
        }
        Action::CompareAndSet { expected, new } => {
            let (expected, new) = (expected.map(u64::to_le_bytes), new.map(u64::to_le_bytes));
            let (expected, new) =
                (expected.as_ref().map(|e| e.as_slice()), new.as_ref().map(|n| n.as_slice()));
            let before = client.test_and_set(&name, expected, new)?;
            Answer::Swapped(before.as_deref() == expected)
        }
    })
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(value.try_into().expect("clients write 8 bytes"))
}
