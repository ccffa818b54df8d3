//! What the commands make: the map, the sessions, and how far they were applied. Replication is under this:
//! the same commands in the same order give the same state and the same answers at every member.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use formats::journal::PAGE;
use formats::kv_groups::{GROUP_PREFIX, WANTED_PREFIX};
use formats::kv_store::LoggedCommand;
use formats::message::kv::{FunctionId, KvAnswer, KvCommand, KvError, StepError};
use step::{Bug, Function, OrderedMap};

use crate::hash;
use crate::knows;
use crate::limits;
use crate::map::Map;
use crate::recent::Recent;
use crate::sessions::Sessions;
use crate::steps;
use crate::transaction::Transaction;

/// What a pair takes in a row beside key and value, at most.
const PAIR_BYTES: u64 = 16;

/// Pages that a state takes whatever is in it.
const WHOLE_PAGES: u64 = 16;

/// The state that the log leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State<F> {
    /// The number of the last command that was applied, from 1; sent-again ones count too.
    pub(crate) index: u64,
    pub(crate) map: Map,
    pub(crate) sessions: Sessions,
    /// What the last commands changed.
    pub(crate) recent: Recent,
    pub(crate) functions: BTreeMap<FunctionId, F>,
    /// What is said of groups may have changed since this was last set back.
    pub(crate) names_groups: bool,
}

impl<F: Function> State<F> {
    /// Nothing yet.
    pub(crate) fn new(functions: BTreeMap<FunctionId, F>) -> Self {
        State {
            index: 0,
            map: Map::default(),
            sessions: Sessions::default(),
            recent: Recent::default(),
            functions,
            names_groups: true,
        }
    }

    /// Makes a planted mistake from now on, if it is one of the state's.
    pub(crate) fn plant(&mut self, bug: Option<Bug>) {
        self.sessions.is_blind = bug == Some(Bug::KvAppliesTwice);
        self.map.keeps_nothing = bug == Some(Bug::CheckpointOfManyMoments);
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

    /// What a command needs of a function that it doesn't know here: it must not be applied, lest members differ.
    pub(crate) fn lacks(&self, command: &KvCommand) -> Option<(FunctionId, u32)> {
        knows::needs(command).find(|(function, version)| self.version(*function) < *version)
    }

    /// The version of a function; 0 where there is none, as in the first one.
    pub(crate) fn version(&self, function: FunctionId) -> u32 {
        self.functions.get(&function).map_or(0, Function::version)
    }

    /// The functions that have another version than the first.
    pub(crate) fn versions(&self) -> Vec<(FunctionId, u32)> {
        let versions = self.functions.iter().map(|(id, function)| (*id, function.version()));
        versions.filter(|(_, version)| *version > 0).collect()
    }

    fn run(&mut self, command: &KvCommand) -> Result<KvAnswer, KvError> {
        let mut transaction = Transaction::new(&self.map);
        let answer = match command {
            KvCommand::Sequence(steps) => {
                steps::run(&mut transaction, &self.functions, steps).map_err(flat)?;
                KvAnswer::Done(Vec::new())
            }
            KvCommand::Steps(steps) => {
                let answers = steps::run(&mut transaction, &self.functions, steps)?;
                KvAnswer::Applied { index: self.index, answers }
            }
            KvCommand::Function { function, command } => {
                let hosted = self.functions.get(function).ok_or(KvError::NoFunction(*function))?;
                let answer = hosted.apply(&mut transaction, command);
                limits::check_answer(answer.as_ref().map_or_else(Vec::len, Vec::len))?;
                KvAnswer::Done(answer.map_err(KvError::Refused)?)
            }
        };
        for (key, value) in transaction.finish()? {
            self.recent.record(self.index, &key);
            self.names_groups |= key.starts_with(GROUP_PREFIX) || key.starts_with(WANTED_PREFIX);
            match value {
                Some(value) => self.map.set(&key, value),
                None => self.map.delete(&key),
            }
        }
        Ok(answer)
    }

    /// Bytes of all its rows, at most.
    pub(crate) fn whole_bytes(&self) -> u64 {
        let pairs = self.map.bytes() + PAIR_BYTES * self.map.len();
        let all = pairs + self.sessions.whole_bytes();
        all + all / 32 + WHOLE_PAGES * PAGE
    }
}

/// The error of a step as it was told before steps had paths.
fn flat(error: KvError) -> KvError {
    match error {
        KvError::Step { why: StepError::Refused(said), .. } => KvError::Refused(said),
        KvError::Step { why: StepError::NoFunction(function), .. } => KvError::NoFunction(function),
        KvError::Step { path, key, .. } => KvError::Assert { step: path.first().copied().unwrap_or(0), key },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_ANSWER_BYTES, MAX_KEY_BYTES};
    use alloc::vec;
    use formats::message::kv::KvQuery;

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
