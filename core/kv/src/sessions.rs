//! Sessions: what was answered to commands that may be sent again, so that each is applied once.
//!
//! The table is part of the state: it changes by applied commands alone, and is in every snapshot. A command
//! is known by its session and number. Its answer is kept until the asker says that it has it. All bounds
//! work by forgetting the oldest, and what was forgotten is answered so; it is never applied again. That holds
//! for a whole session too, as long as it is among the last that were forgotten
//! ([`MAX_FORGOTTEN`]).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use formats::kv_store::{LoggedCommand, SessionRecord};
use formats::message::kv::{KvAnswer, KvError, StepError};

use crate::hash;
use crate::limits::{
    MAX_ALL_BYTES, MAX_FORGOTTEN, MAX_SESSION_ANSWERS, MAX_SESSION_BYTES, MAX_SESSIONS, STEP_BYTES,
};
use crate::steps;

/// What a session takes in a snapshot beside its answers, at most.
const SESSION_BYTES: usize = 64;

/// What an answer counts for beside its bytes.
const ANSWER_BYTES: usize = 32;

/// All sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    sessions: BTreeMap<u64, Session>,
    forgotten: VecDeque<u64>,
    bytes: usize,
    /// The sum of the hashes of sessions, and of the numbers of those forgotten.
    hash: u64,
    /// A planted mistake: nothing is known to have been applied before.
    pub(crate) is_blind: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Session {
    answered_below: u64,
    used: u64,
    answers: BTreeMap<u64, KvAnswer>,
    bytes: usize,
    /// The sum of the hashes of answers, of which it sees numbers and sizes: answers are what the map makes them.
    hash: u64,
}

impl Sessions {
    /// The answer to a command that was applied before, or was forgotten; none to one that is new.
    pub(crate) fn answer(&self, session: u64, sequence: u64) -> Option<KvAnswer> {
        if self.is_blind {
            return None;
        }
        let forgotten = KvAnswer::Failed(KvError::Forgotten);
        let Some(known) = self.sessions.get(&session) else {
            return self.forgotten.contains(&session).then_some(forgotten);
        };
        let answer = known.answers.get(&sequence).cloned();
        answer.or_else(|| (sequence < known.answered_below).then_some(forgotten))
    }

    /// Records that a new command was applied as number `index` and answered so.
    pub(crate) fn record(&mut self, command: &LoggedCommand, index: u64, answer: KvAnswer) {
        let before = self.sessions.get(&command.session).map_or(0, |known| known.hash(command.session));
        self.hash = self.hash.wrapping_sub(before);
        let session = self.sessions.entry(command.session).or_default();
        self.bytes -= session.bytes;
        session.used = index;
        session.insert(command.sequence, answer);
        // Nobody can have the answer to what is only now applied.
        session.forget_below(command.answered_below.min(command.sequence));
        session.keep_bounds();
        self.bytes += session.bytes;
        self.hash = self.hash.wrapping_add(session.hash(command.session));
        self.keep_bounds(command.session);
    }

    /// Forgets whole sessions beyond the bounds, those first that were idle for longest, and never `last`.
    fn keep_bounds(&mut self, last: u64) {
        while self.sessions.len() > MAX_SESSIONS || self.bytes > MAX_ALL_BYTES {
            let others = self.sessions.iter().filter(|(session, _)| **session != last);
            let Some((&idle, _)) = others.min_by_key(|(_, session)| session.used) else { break };
            let session = self.sessions.remove(&idle).expect("it was just found");
            self.bytes -= session.bytes;
            self.hash = self.hash.wrapping_sub(session.hash(idle)).wrapping_add(hash::mix([idle]));
            self.forgotten.push_back(idle);
            if self.forgotten.len() > MAX_FORGOTTEN
                && let Some(oldest) = self.forgotten.pop_front()
            {
                self.hash = self.hash.wrapping_sub(hash::mix([oldest]));
            }
        }
    }

    /// The same table, the same hash, however it came about.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether the bounds are kept.
    pub(crate) fn is_bounded(&self) -> bool {
        self.sessions.len() <= MAX_SESSIONS
            && self.forgotten.len() <= MAX_FORGOTTEN
            && (self.bytes <= MAX_ALL_BYTES || self.sessions.len() == 1)
    }

    /// How many sessions are remembered.
    pub(crate) fn len(&self) -> u64 {
        self.sessions.len() as u64
    }

    /// Bytes that the table takes in a snapshot, at most.
    pub(crate) fn snapshot_bytes(&self) -> u64 {
        (self.bytes + SESSION_BYTES * self.sessions.len() + 8 * self.forgotten.len()) as u64
    }

    /// The table as a snapshot holds it: sessions in order, and those forgotten.
    pub(crate) fn records(&self) -> (Vec<(u64, SessionRecord)>, Vec<u64>) {
        let record = |session: &Session| SessionRecord {
            answered_below: session.answered_below,
            used: session.used,
            answers: session.answers.iter().map(|(sequence, answer)| (*sequence, answer.clone())).collect(),
        };
        let records = self.sessions.iter().map(|(number, session)| (*number, record(session))).collect();
        (records, self.forgotten.iter().copied().collect())
    }

    /// Takes a session out of a snapshot.
    pub(crate) fn restore(&mut self, number: u64, record: SessionRecord) {
        let SessionRecord { answered_below, used, answers } = record;
        let mut session = Session { answered_below, used, ..Session::default() };
        answers.into_iter().for_each(|(sequence, answer)| session.insert(sequence, answer));
        self.bytes += session.bytes;
        self.hash = self.hash.wrapping_add(session.hash(number));
        self.sessions.insert(number, session);
    }

    /// Takes forgotten sessions out of a snapshot, the oldest first.
    pub(crate) fn restore_forgotten(&mut self, sessions: Vec<u64>) {
        let hashes = sessions.iter().map(|session| hash::mix([*session]));
        self.hash = hashes.fold(self.hash, u64::wrapping_add);
        self.forgotten.extend(sessions);
    }
}

impl Session {
    fn insert(&mut self, sequence: u64, answer: KvAnswer) {
        self.bytes += answer_bytes(&answer);
        self.hash = self.hash.wrapping_add(answer_hash(sequence, &answer));
        self.answers.insert(sequence, answer);
    }

    fn hash(&self, number: u64) -> u64 {
        hash::mix([number, self.answered_below, self.used, self.hash])
    }

    fn forget_below(&mut self, sequence: u64) {
        self.answered_below = self.answered_below.max(sequence);
        let kept = self.answers.split_off(&self.answered_below);
        let gone = core::mem::replace(&mut self.answers, kept);
        for (sequence, answer) in &gone {
            self.bytes -= answer_bytes(answer);
            self.hash = self.hash.wrapping_sub(answer_hash(*sequence, answer));
        }
    }

    fn keep_bounds(&mut self) {
        while self.answers.len() > MAX_SESSION_ANSWERS
            || (self.bytes > MAX_SESSION_BYTES && self.answers.len() > 1)
        {
            let (&oldest, _) = self.answers.first_key_value().expect("there are answers");
            self.forget_below(oldest + 1);
        }
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
            | NoGroup(_),
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use formats::message::kv::KvCommand;

    const FORGOTTEN: Option<KvAnswer> = Some(KvAnswer::Failed(KvError::Forgotten));

    fn record(sessions: &mut Sessions, session: u64, sequence: u64, answered_below: u64, index: u64) {
        let command = KvCommand::Sequence(Vec::new());
        let command = LoggedCommand { session, sequence, answered_below, command };
        sessions.record(&command, index, KvAnswer::Done(vec![sequence as u8]));
    }

    #[test]
    fn answers_are_kept_until_the_asker_has_them() {
        let mut sessions = Sessions::default();
        for sequence in [1, 3, 2] {
            record(&mut sessions, 7, sequence, 1, sequence);
        }
        assert_eq!(sessions.answer(7, 2), Some(KvAnswer::Done(vec![2])));
        assert_eq!(sessions.answer(7, 4), None);
        assert_eq!(sessions.answer(8, 2), None, "another session");
        record(&mut sessions, 7, 4, 3, 4);
        assert_eq!(sessions.answer(7, 2), FORGOTTEN);
        assert_eq!(sessions.answer(7, 3), Some(KvAnswer::Done(vec![3])));
        record(&mut sessions, 7, 5, 900, 5);
        assert_eq!(sessions.answer(7, 5), Some(KvAnswer::Done(vec![5])), "nobody has it yet");
        assert_eq!(sessions.answer(7, 6), None);
    }

    #[test]
    fn too_many_answers_are_forgotten_from_the_oldest_on() {
        let mut sessions = Sessions::default();
        let last = MAX_SESSION_ANSWERS as u64 + 2;
        for sequence in 1..=last {
            record(&mut sessions, 7, sequence, 1, sequence);
        }
        assert_eq!(sessions.answer(7, 2), FORGOTTEN);
        assert!(matches!(sessions.answer(7, 3), Some(KvAnswer::Done(_))));
    }

    #[test]
    fn large_answers_are_forgotten_but_the_last() {
        let mut sessions = Sessions::default();
        for sequence in 1..=3 {
            let command = KvCommand::Sequence(Vec::new());
            let command = LoggedCommand { session: 7, sequence, answered_below: 1, command };
            sessions.record(&command, sequence, KvAnswer::Done(vec![0; MAX_SESSION_BYTES]));
        }
        assert_eq!(sessions.answer(7, 2), FORGOTTEN);
        assert!(matches!(sessions.answer(7, 3), Some(KvAnswer::Done(_))));
        assert_eq!(sessions.bytes, MAX_SESSION_BYTES + ANSWER_BYTES);
    }

    #[test]
    fn the_session_that_was_idle_for_longest_is_forgotten_first() {
        let mut sessions = Sessions::default();
        for session in 0..MAX_SESSIONS as u64 {
            record(&mut sessions, session, 1, 1, session + 1);
        }
        record(&mut sessions, 0, 2, 1, 10_000);
        record(&mut sessions, 50_000, 1, 1, 10_001);
        assert_eq!(sessions.answer(1, 1), FORGOTTEN);
        assert_eq!(sessions.answer(1, 2), FORGOTTEN, "what it did is unknown for good");
        assert_eq!(sessions.answer(0, 1), Some(KvAnswer::Done(vec![1])));
        assert_eq!(sessions.len(), MAX_SESSIONS as u64);
    }

    #[test]
    fn a_snapshot_holds_all_of_it() {
        let mut sessions = Sessions::default();
        for session in 0..MAX_SESSIONS as u64 + 3 {
            record(&mut sessions, session, 4, 3, session + 1);
        }
        let (records, forgotten) = sessions.records();
        let mut restored = Sessions::default();
        records.into_iter().for_each(|(number, record)| restored.restore(number, record));
        restored.restore_forgotten(forgotten);
        assert_eq!(restored, sessions);
    }
}
