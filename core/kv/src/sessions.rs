//! Sessions: what was answered to commands that may be sent again, so that each is applied once.
//!
//! The table is part of the state: it changes by applied commands alone, and its rows are in every checkpoint. A command
//! is known by its session and number. Its answer is kept until the asker says that it has it. All bounds
//! work by forgetting the oldest, and what was forgotten is answered so; it is never applied again. That holds
//! for a whole session too: as long as it is among the last that were forgotten ([`MAX_FORGOTTEN`]), and for ever
//! where its asker has had an answer. Who may begin one is in `admission.rs`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;
use formats::kv_store::{LoggedCommand, SessionRecord};
use formats::kv_table::{Row, RowKey, SessionRow, encode_row};
use formats::message::kv::{KvAnswer, KvError};

use crate::changed::Changed;
use crate::forgotten::Forgotten;
use crate::hash;
use crate::limits::{MAX_ALL_BYTES, MAX_FORGOTTEN, MAX_SESSIONS};
use crate::rows::Written;
use crate::session::{ANSWER_BYTES, Session, answer_bytes};

/// What a session takes in a table beside its answers, at most.
const SESSION_BYTES: usize = 64;

/// All sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    sessions: BTreeMap<u64, Session>,
    forgotten: Forgotten,
    bytes: usize,
    /// The sum of the hashes of sessions, and of the numbers of those forgotten.
    hash: u64,
    /// What changed since the last checkpoint: sessions, answers, and whether more are forgotten.
    changed: Changed<u64>,
    changed_answers: Changed<(u64, u64)>,
    changed_forgotten: Changed<()>,
    /// A planted mistake: nothing is known to have been applied before.
    pub(crate) is_blind: bool,
}

impl Sessions {
    /// The answer to a command that was applied before, or was forgotten; none to one that is new.
    pub(crate) fn answer(&self, session: u64, sequence: u64) -> Option<KvAnswer> {
        if self.is_blind {
            return None;
        }
        let forgotten = KvAnswer::Failed(KvError::Forgotten);
        let Some(known) = self.sessions.get(&session) else {
            return self.forgotten.has(session).then_some(forgotten);
        };
        let answer = known.answers.get(&sequence).cloned();
        answer.or_else(|| (sequence < known.answered_below).then_some(forgotten))
    }

    /// Whether a session is remembered.
    pub(crate) fn has(&self, session: u64) -> bool {
        self.sessions.contains_key(&session)
    }

    /// How many have a command after this one.
    pub(crate) fn used_since(&self, index: u64) -> usize {
        self.sessions.values().filter(|session| session.used > index).count()
    }

    /// Records that a new command was applied as number `index` and answered so.
    pub(crate) fn record(&mut self, command: &LoggedCommand, index: u64, answer: KvAnswer) {
        let before = self.sessions.get(&command.session).map_or(0, |known| known.hash(command.session));
        self.hash = self.hash.wrapping_sub(before);
        let was_there = self.sessions.contains_key(&command.session);
        self.changed.note(&command.session, SESSION_BYTES, was_there, true);
        let answers = &mut self.changed_answers;
        answers.note(&(command.session, command.sequence), answer_bytes(&answer), false, true);
        let session = self.sessions.entry(command.session).or_default();
        self.bytes -= session.bytes;
        session.used = index;
        session.insert(command.sequence, answer);
        // Nobody can have the answer to what is only now applied.
        let mut gone = session.forget_below(command.answered_below.min(command.sequence));
        gone.extend(session.keep_bounds());
        gone.iter()
            .for_each(|sequence| answers.note(&(command.session, *sequence), ANSWER_BYTES, true, false));
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
            self.changed.note(&idle, SESSION_BYTES, true, false);
            for sequence in session.answers.keys() {
                self.changed_answers.note(&(idle, *sequence), ANSWER_BYTES, true, false);
            }
            self.changed_forgotten.note(&(), 8, true, true);
            if let Some(oldest) = self.forgotten.push(idle) {
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

    /// Bytes of all its rows, at most.
    pub(crate) fn whole_bytes(&self) -> u64 {
        (self.bytes + SESSION_BYTES * self.sessions.len() + 8 * self.forgotten.len()) as u64
    }

    /// Its rows behind a key, in order.
    pub(crate) fn rows_after<'a>(&'a self, after: &[u8]) -> impl Iterator<Item = Row> + use<'a> {
        // Only what follows is made: pages of large tables are asked for one after another.
        let (sessions, answers) = match RowKey::decode(after) {
            Some(RowKey::Session(session)) => (Some(Bound::Excluded(session)), (0, Bound::Unbounded)),
            Some(RowKey::Answer(session, sequence)) => (None, (session, Bound::Excluded(sequence))),
            Some(RowKey::Forgotten | RowKey::Pair(_)) => (None, (u64::MAX, Bound::Excluded(u64::MAX))),
            None => (Some(Bound::Unbounded), (0, Bound::Unbounded)),
        };
        let sessions = sessions.into_iter().flat_map(|from| self.sessions.range((from, Bound::Unbounded)));
        let sessions = sessions.map(|(number, session)| Row::Session(*number, session.row()));
        let (first, first_from) = answers;
        let answers = self.sessions.range(first..).flat_map(move |(number, session)| {
            let from = if *number == first { first_from } else { Bound::Unbounded };
            let answers = session.answers.range((from, Bound::Unbounded));
            answers.map(|(sequence, answer)| Row::Answer(*number, *sequence, answer.clone()))
        });
        let is_told = self.forgotten.len() == 0 || RowKey::Forgotten.encode().as_slice() <= after;
        let forgotten = (!is_told).then(|| self.forgotten_row());
        sessions.chain(answers).chain(forgotten)
    }

    fn forgotten_row(&self) -> Row {
        Row::Forgotten(self.forgotten.all())
    }

    /// Rows of what changed since the last checkpoint, for the one that begins now.
    pub(crate) fn begin_checkpoint(&mut self, rows: &mut Vec<Written>) {
        let written = |row: Row| {
            let (key, value) = encode_row(&row);
            (key, Some(value))
        };
        for number in self.changed.begin() {
            rows.push(match self.sessions.get(number) {
                Some(session) => written(Row::Session(*number, session.row())),
                None => (RowKey::Session(*number).encode(), None),
            });
        }
        for (number, sequence) in self.changed_answers.begin() {
            let answer = self.sessions.get(number).and_then(|session| session.answers.get(sequence));
            rows.push(match answer {
                Some(answer) => written(Row::Answer(*number, *sequence, answer.clone())),
                None => (RowKey::Answer(*number, *sequence).encode(), None),
            });
        }
        let has_more_forgotten = self.changed_forgotten.begin().next().is_some();
        rows.extend(has_more_forgotten.then(|| written(self.forgotten_row())));
    }

    /// It is durable, or came to nothing.
    pub(crate) fn end_checkpoint(&mut self, is_durable: bool) {
        if is_durable {
            self.changed.end();
            self.changed_answers.end();
            self.changed_forgotten.end();
        } else {
            self.changed.give_up();
            self.changed_answers.give_up();
            self.changed_forgotten.give_up();
        }
    }

    /// Keys that changed since the last checkpoint, and bytes of them, at most.
    pub(crate) fn changed(&self) -> [(u64, u64); 3] {
        let forgotten = (self.changed_forgotten.weight().0, 8 * self.forgotten.len() as u64);
        [self.changed.weight(), self.changed_answers.weight(), forgotten]
    }

    /// Takes a session that the table has, without its answers.
    pub(crate) fn restore_session(&mut self, number: u64, row: SessionRow) {
        let SessionRow { answered_below, used } = row;
        self.restore(number, SessionRecord { answered_below, used, answers: Vec::new() });
    }

    /// Takes an answer that the table has. One of no session shows in the sums.
    pub(crate) fn restore_answer(&mut self, number: u64, sequence: u64, answer: KvAnswer) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        (self.bytes, self.hash) = (self.bytes - session.bytes, self.hash.wrapping_sub(session.hash(number)));
        session.insert(sequence, answer);
        (self.bytes, self.hash) = (self.bytes + session.bytes, self.hash.wrapping_add(session.hash(number)));
    }

    /// Takes a session out of a snapshot of an older program.
    pub(crate) fn restore(&mut self, number: u64, record: SessionRecord) {
        let SessionRecord { answered_below, used, answers } = record;
        let mut session = Session::new(SessionRow { answered_below, used });
        answers.into_iter().for_each(|(sequence, answer)| session.insert(sequence, answer));
        self.bytes += session.bytes;
        self.hash = self.hash.wrapping_add(session.hash(number));
        self.sessions.insert(number, session);
    }

    /// Takes forgotten sessions, the oldest first.
    pub(crate) fn restore_forgotten(&mut self, sessions: Vec<u64>) {
        for session in sessions {
            self.hash = self.hash.wrapping_add(hash::mix([session]));
            self.forgotten.push(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_SESSION_ANSWERS, MAX_SESSION_BYTES};
    use alloc::vec;
    use formats::kv_table::decode_row;
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
    fn its_rows_hold_all_of_it() {
        let mut sessions = Sessions::default();
        for session in 0..MAX_SESSIONS as u64 + 3 {
            record(&mut sessions, session, 4, 3, session + 1);
        }
        let (mut restored, mut after) = (Sessions::default(), Vec::new());
        // One by one, as pages may break anywhere.
        while let Some(row) = sessions.rows_after(&after).next() {
            after = encode_row(&row).0;
            match row {
                Row::Session(number, row) => restored.restore_session(number, row),
                Row::Answer(number, sequence, answer) => restored.restore_answer(number, sequence, answer),
                Row::Forgotten(sessions) => restored.restore_forgotten(sessions),
                Row::Pair(..) => panic!("sessions are no pairs"),
            }
        }
        assert_eq!(restored, sessions);
    }

    /// Whatever is forgotten between two checkpoints, the table has what there is.
    #[test]
    fn the_rows_of_checkpoints_give_all_of_it() {
        let (mut sessions, mut table) = (Sessions::default(), BTreeMap::new());
        for index in 1..=3 * MAX_SESSIONS as u64 {
            let (session, sequence) = (index / 2, 1 + index % 2);
            record(&mut sessions, session, sequence, sequence, index);
            if index.is_multiple_of(1000) || index == 3 * MAX_SESSIONS as u64 {
                let mut rows = Vec::new();
                sessions.begin_checkpoint(&mut rows);
                for (key, value) in rows {
                    match value {
                        Some(value) => drop(table.insert(key, value)),
                        None => drop(table.remove(&key)),
                    }
                }
                sessions.end_checkpoint(true);
            }
        }
        let mut restored = Sessions::default();
        for (key, value) in &table {
            match decode_row(key, value).expect("a row") {
                Row::Session(number, row) => restored.restore_session(number, row),
                Row::Answer(number, sequence, answer) => restored.restore_answer(number, sequence, answer),
                Row::Forgotten(sessions) => restored.restore_forgotten(sessions),
                Row::Pair(..) => panic!("sessions are no pairs"),
            }
        }
        assert_eq!(restored, sessions);
        assert_eq!(restored.answer(1, 1), FORGOTTEN, "two thousand were pushed out");
    }
}
