//! One session: the answers that its asker may not have yet.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use formats::kv_table::SessionRow;
use formats::message::kv::{KvAnswer, KvError, StepError};

use crate::hash;
use crate::limits::{MAX_SESSION_ANSWERS, MAX_SESSION_BYTES, STEP_BYTES};
use crate::steps;

/// What an answer counts for beside its bytes.
pub(crate) const ANSWER_BYTES: usize = 32;

/// What is known of an asker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) answered_below: u64,
    /// The number of its last command.
    pub(crate) used: u64,
    pub(crate) answers: BTreeMap<u64, KvAnswer>,
    pub(crate) bytes: usize,
    /// The sum of the hashes of answers, of which it sees numbers and sizes: answers are what the map makes them.
    hash: u64,
}

impl Session {
    /// One without answers.
    pub(crate) fn new(SessionRow { answered_below, used }: SessionRow) -> Self {
        Session { answered_below, used, ..Session::default() }
    }

    /// Its row, without answers.
    pub(crate) fn row(&self) -> SessionRow {
        SessionRow { answered_below: self.answered_below, used: self.used }
    }

    /// Takes the answer to a command.
    pub(crate) fn insert(&mut self, sequence: u64, answer: KvAnswer) {
        self.bytes += answer_bytes(&answer);
        self.hash = self.hash.wrapping_add(answer_hash(sequence, &answer));
        self.answers.insert(sequence, answer);
    }

    /// What it adds to the hash of all.
    pub(crate) fn hash(&self, number: u64) -> u64 {
        hash::mix([number, self.answered_below, self.used, self.hash])
    }

    /// Forgets answers, and says which.
    pub(crate) fn forget_below(&mut self, sequence: u64) -> Vec<u64> {
        self.answered_below = self.answered_below.max(sequence);
        let kept = self.answers.split_off(&self.answered_below);
        let gone = core::mem::replace(&mut self.answers, kept);
        for (sequence, answer) in &gone {
            self.bytes -= answer_bytes(answer);
            self.hash = self.hash.wrapping_sub(answer_hash(*sequence, answer));
        }
        gone.into_keys().collect()
    }

    /// Forgets answers beyond the bounds, and says which.
    pub(crate) fn keep_bounds(&mut self) -> Vec<u64> {
        let mut gone = Vec::new();
        while self.answers.len() > MAX_SESSION_ANSWERS
            || (self.bytes > MAX_SESSION_BYTES && self.answers.len() > 1)
        {
            let (&oldest, _) = self.answers.first_key_value().expect("there are answers");
            gone.extend(self.forget_below(oldest + 1));
        }
        gone
    }
}

fn answer_hash(sequence: u64, answer: &KvAnswer) -> u64 {
    hash::mix([sequence, answer_bytes(answer) as u64])
}

/// Bytes that an answer counts for.
pub(crate) fn answer_bytes(answer: &KvAnswer) -> usize {
    use KvError::{
        Assert, Forgotten, Full, NoFunction, NoGroup, NotAllowed, NotLeader, NotYet, Refused, Step, TooLarge,
        TooNew, Unavailable,
    };
    let own = match answer {
        KvAnswer::Done(bytes) | KvAnswer::Failed(Refused(bytes)) => bytes.len(),
        KvAnswer::Value(value) => value.as_ref().map_or(0, Vec::len),
        KvAnswer::Range { pairs, .. } => pairs.iter().map(|(key, value)| key.len() + value.len()).sum(),
        KvAnswer::Applied { answers, .. } => {
            answers.iter().map(|answer| STEP_BYTES + steps::answer_bytes(answer)).sum()
        }
        KvAnswer::Failed(Assert { key, .. }) => key.len(),
        KvAnswer::Failed(Step { path, key, why }) => key.len() + 8 * path.len() + step_error_bytes(why),
        KvAnswer::Failed(TooLarge(text)) => text.len(),
        KvAnswer::Failed(
            NoFunction(_)
            | Forgotten
            | Full
            | Unavailable
            | NotLeader { .. }
            | NotYet { .. }
            | TooNew { .. }
            | NotAllowed
            | NoGroup(_)
            | KvError::Unknown
            | KvError::TooManySessions,
        ) => 0,
        // No command is answered so.
        KvAnswer::Read { .. } => 0,
    };
    own + ANSWER_BYTES
}

fn step_error_bytes(why: &StepError) -> usize {
    match why {
        StepError::Refused(said) => said.len(),
        StepError::Value | StepError::Missing | StepError::Range | StepError::NoFunction(_) => 0,
    }
}
