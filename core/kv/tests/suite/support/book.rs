//! What askers of a group know: what they asked, what they were answered, and what members had.

use super::members::Violation;
use consensus::LogIndex;
use formats::message::kv::KvAnswer;
use std::collections::BTreeMap;

/// An answer that is awaited, and what was known when it was asked for.
pub(crate) enum Awaited {
    Command { id: usize, floor: u64 },
    Count { floor: u64 },
}

/// Of one group.
#[derive(Default)]
pub(crate) struct Book {
    issued: Vec<(Vec<u8>, Option<u64>)>,
    floor: u64,
    /// What members had applied at an index: all the same.
    applied: BTreeMap<LogIndex, u64>,
}

impl Book {
    /// A command that nobody issued before.
    pub(crate) fn issue(&mut self, filler: &str) -> (Vec<u8>, Awaited) {
        let id = self.issued.len();
        let command = format!("{id} {filler}").into_bytes();
        self.issued.push((command.clone(), None));
        (command, Awaited::Command { id, floor: self.floor })
    }

    /// It is asked how many there are.
    pub(crate) fn count(&self) -> Awaited {
        Awaited::Count { floor: self.floor }
    }

    pub(crate) fn on_answer(&mut self, awaited: &Awaited, answer: &KvAnswer) -> Result<(), Violation> {
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("8 bytes"));
        match (awaited, answer) {
            (Awaited::Command { id, floor }, KvAnswer::Done(bytes)) if number(bytes) >= *floor => {
                self.floor = self.floor.max(number(bytes) + 1);
                self.issued[*id].1 = Some(number(bytes));
                Ok(())
            }
            (Awaited::Count { floor }, KvAnswer::Done(bytes))
                if (*floor..=self.issued.len() as u64).contains(&number(bytes)) =>
            {
                self.floor = self.floor.max(number(bytes));
                Ok(())
            }
            _ => Err(format!("answered {answer:?}, while {} were known", self.floor)),
        }
    }

    /// Whether a member that applied so much has what others had.
    pub(crate) fn is_same<'a>(
        &mut self,
        applied: LogIndex,
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> bool {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = pairs.fold(0xcbf2_9ce4_8422_2325, |hash, (key, value)| {
            [key, value].iter().fold(hash, |hash, part| part.iter().fold(hash ^ part.len() as u64, fold))
        });
        *self.applied.entry(applied).or_insert(hash) == hash
    }

    /// Everything is answered: a member lists what was issued, once, where it was answered to be.
    pub(crate) fn compare<'a>(
        &self,
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), Violation> {
        let listed: Vec<_> =
            pairs.filter(|(key, _)| key.starts_with(b"t/")).map(|(_, value)| value).collect();
        if listed.len() != self.issued.len() {
            return Err(format!("{} commands are listed, {} were answered", listed.len(), self.issued.len()));
        }
        for (command, number) in &self.issued {
            let number = number.ok_or("a command was not answered")?;
            if listed.get(number as usize) != Some(&command.as_slice()) {
                return Err(format!("command {number} is not what it was"));
            }
        }
        Ok(())
    }
}
