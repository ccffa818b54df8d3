//! What the commands make: the map, the sessions, and how far they were applied. Replication is under this:
//! the same commands in the same order give the same state and the same answers at every member.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;
use formats::journal::PAGE;
use formats::kv_store::LoggedCommand;
use formats::message::kv::{FunctionId, KvAnswer, KvCommand, KvError, KvQuery, KvStep};
use step::{Function, OrderedMap};

use crate::hash;
use crate::limits::{self, MAX_RANGE_BYTES, MAX_RANGE_PAIRS};
use crate::map::Map;
use crate::sessions::Sessions;
use crate::transaction::Transaction;

/// What a pair takes in a snapshot beside key and value, at most.
const PAIR_BYTES: u64 = 16;

/// Pages that a snapshot takes whatever is in it, with those of the log file that begins with it.
const SNAPSHOT_PAGES: u64 = 16;

/// The state that the log leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State<F> {
    /// The number of the last command that was applied, from 1; sent-again ones count too.
    pub(crate) index: u64,
    pub(crate) map: Map,
    pub(crate) sessions: Sessions,
    functions: BTreeMap<FunctionId, F>,
}

impl<F: Function> State<F> {
    /// Nothing yet.
    pub(crate) fn new(functions: BTreeMap<FunctionId, F>) -> Self {
        State { index: 0, map: Map::default(), sessions: Sessions::default(), functions }
    }

    /// The same commands give the same hash at every member.
    pub(crate) fn hash(&self) -> u64 {
        hash::mix([self.index, self.map.hash(), self.sessions.hash()])
    }

    /// Applies the next command, unless it was applied before, and answers it.
    pub(crate) fn apply(&mut self, command: &LoggedCommand) -> KvAnswer {
        self.index += 1;
        if let Some(answer) = self.sessions.answer(command.session, command.sequence) {
            return answer;
        }
        let answer = self.run(&command.command).unwrap_or_else(KvAnswer::Failed);
        self.sessions.record(command, self.index, answer.clone());
        answer
    }

    fn run(&mut self, command: &KvCommand) -> Result<KvAnswer, KvError> {
        let mut transaction = Transaction::new(&self.map);
        let answer = match command {
            KvCommand::Sequence(steps) => {
                steps
                    .iter()
                    .zip(0..)
                    .try_for_each(|(step, index)| run_step(&mut transaction, step, index))?;
                Vec::new()
            }
            KvCommand::Function { function, command } => {
                let hosted = self.functions.get(function).ok_or(KvError::NoFunction(*function))?;
                let answer = hosted.apply(&mut transaction, command);
                limits::check_answer(answer.as_ref().map_or_else(Vec::len, Vec::len))?;
                answer.map_err(KvError::Refused)?
            }
        };
        for (key, value) in transaction.finish()? {
            match value {
                Some(value) => self.map.set(&key, value),
                None => self.map.delete(&key),
            }
        }
        Ok(KvAnswer::Done(answer))
    }

    /// Bytes that a snapshot takes, at most: its parts are padded to pages.
    pub(crate) fn snapshot_bytes(&self) -> u64 {
        let pairs = self.map.bytes() + PAIR_BYTES * self.map.len();
        let all = pairs + self.sessions.snapshot_bytes();
        all + all / 32 + SNAPSHOT_PAGES * PAGE
    }

    /// Answers a question from what was applied.
    pub(crate) fn query(&self, query: &KvQuery) -> KvAnswer {
        match query {
            KvQuery::Get { key } => KvAnswer::Value(self.map.get(key).map(<[u8]>::to_vec)),
            KvQuery::Range { prefix, from, limit } => range(&self.map, prefix, from, *limit),
            KvQuery::Function { function, query } => match self.functions.get(function) {
                Some(hosted) => {
                    let answer = hosted.query(&self.map, query);
                    limits::check_answer(answer.len())
                        .map_or_else(KvAnswer::Failed, |()| KvAnswer::Done(answer))
                }
                None => KvAnswer::Failed(KvError::NoFunction(*function)),
            },
        }
    }
}

fn run_step(map: &mut Transaction<'_>, step: &KvStep, index: u32) -> Result<(), KvError> {
    let (key, holds) = match step {
        KvStep::Set { key, value } => {
            map.set(key, value.clone());
            return Ok(());
        }
        KvStep::Delete { key } => {
            map.delete(key);
            return Ok(());
        }
        KvStep::Assert { key, value } => (key, map.get(key) == value.as_deref()),
        KvStep::AssertExists { key } => (key, map.get(key).is_some()),
    };
    if holds { Ok(()) } else { Err(KvError::Assert { step: index, key: key.clone() }) }
}

fn range(map: &Map, prefix: &[u8], from: &[u8], limit: u32) -> KvAnswer {
    let limit = MAX_RANGE_PAIRS.min(limit as usize);
    let (mut pairs, mut bytes) = (Vec::new(), 0);
    let mut next = map.first(Bound::Included(prefix.max(from)));
    while let Some((key, value)) = next.filter(|(key, _)| key.starts_with(prefix)) {
        let size = key.len() + value.len();
        if pairs.len() == limit || (bytes + size > MAX_RANGE_BYTES && !pairs.is_empty()) {
            return KvAnswer::Range { pairs, more: true };
        }
        bytes += size;
        pairs.push((key.to_vec(), value.to_vec()));
        next = map.first(Bound::Excluded(key));
    }
    KvAnswer::Range { pairs, more: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_ANSWER_BYTES, MAX_KEY_BYTES};
    use alloc::vec;

    /// Sets a key as long as the command says, and answers as many bytes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Wide;

    impl Function for Wide {
        fn apply(&self, map: &mut dyn OrderedMap, command: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
            let length = u32::from_le_bytes(command.try_into().expect("4 bytes")) as usize;
            map.set(b"touched", vec![]);
            map.set(&vec![b'k'; length.min(MAX_KEY_BYTES + 1)], vec![]);
            Ok(vec![0; length])
        }

        fn query(&self, _map: &dyn OrderedMap, query: &[u8]) -> Vec<u8> {
            vec![0; MAX_ANSWER_BYTES + query.len()]
        }
    }

    #[test]
    fn a_function_keeps_the_bounds_or_changes_nothing() {
        let function = FunctionId(3);
        let mut state = State::new([(function, Wide)].into());
        let mut apply = |length: usize| {
            let command = (length as u32).to_le_bytes().to_vec();
            let command = KvCommand::Function { function, command };
            let sequence = state.index + 1;
            let answer = state.apply(&LoggedCommand { session: 1, sequence, answered_below: 1, command });
            (answer, state.map.len())
        };
        assert!(matches!(apply(MAX_KEY_BYTES + 1), (KvAnswer::Failed(KvError::TooLarge(_)), 0)));
        assert!(matches!(apply(MAX_ANSWER_BYTES + 1), (KvAnswer::Failed(KvError::TooLarge(_)), 0)));
        assert!(matches!(apply(MAX_KEY_BYTES), (KvAnswer::Done(_), 2)));
        let query = |query| state.query(&KvQuery::Function { function, query });
        assert!(matches!(query(vec![]), KvAnswer::Done(_)));
        assert!(matches!(query(vec![0]), KvAnswer::Failed(KvError::TooLarge(_))));
    }
}
