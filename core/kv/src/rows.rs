//! A state as rows: what a checkpoint writes of it, what a start reads, and what is given to other members.

use alloc::vec::Vec;
use consensus::SnapshotMark;
use formats::kv_table::{GroupHead, Row, RowKey, decode_row, encode_row};
use step::Function;

use crate::fingerprints::SCHEME;
use crate::map::Map;
use crate::recent::Recent;
use crate::sessions::Sessions;
use crate::state::State;

/// What a row takes in a table beside what is in it, at most: it is in a page of its own, perhaps.
const ROW_BYTES: u64 = 4096;

/// Rows, or pairs: keys and values, in order.
pub(crate) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A row: its key within a generation, and its value; none where it is gone.
pub(crate) type Written = (Vec<u8>, Option<Vec<u8>>);

impl<F: Function> State<F> {
    /// The rows of sessions that changed since the last checkpoint, or all, for the one that begins now. Pairs follow, as
    /// they are gathered.
    pub(crate) fn begin_checkpoint(&mut self, is_whole: bool) -> Vec<Written> {
        let mut rows = Vec::new();
        self.sessions.begin_checkpoint(&mut rows);
        self.map.begin_checkpoint(is_whole);
        if is_whole {
            let every = self.sessions.rows_after(&[]).map(|row| encode_row(&row));
            rows = every.map(|(key, value)| (key, Some(value))).collect();
        }
        rows
    }

    /// It is durable, or came to nothing.
    pub(crate) fn end_checkpoint(&mut self, is_durable: bool) {
        self.sessions.end_checkpoint(is_durable);
        self.map.end_checkpoint(is_durable);
    }

    /// Bytes that a checkpoint takes, at most.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        let (mut rows, mut bytes) = self.map.changed();
        for (more, grown) in self.sessions.changed() {
            (rows, bytes) = (rows + more, bytes + grown);
        }
        let changed = bytes.saturating_add(rows * ROW_BYTES);
        changed.min(2 * self.whole_bytes()) + ROW_BYTES
    }

    /// What its rows add up to.
    pub(crate) fn head(&self, mark: SnapshotMark, generation: u64) -> GroupHead {
        GroupHead {
            mark,
            generation,
            index: self.index,
            scheme: SCHEME,
            pairs: self.map.len(),
            pairs_hash: self.map.hash(),
            sessions: self.sessions.len(),
            sessions_hash: self.sessions.hash(),
        }
    }

    /// Takes a row of a checkpoint. Whether it makes sense.
    pub(crate) fn restore_row(&mut self, key: &[u8], value: &[u8]) -> bool {
        match decode_row(key, value) {
            Some(Row::Session(session, row)) => self.sessions.restore_session(session, row),
            Some(Row::Answer(session, sequence, answer)) => {
                self.sessions.restore_answer(session, sequence, answer);
            }
            Some(Row::Forgotten(sessions)) => self.sessions.restore_forgotten(sessions),
            Some(Row::Pair(key, value)) => self.map.restore(key, value),
            None => return false,
        }
        true
    }

    /// All rows were restored: whether they are what a head says.
    pub(crate) fn finish_restore(&mut self, head: &GroupHead) -> bool {
        self.restore_index(head.index);
        let counted = (self.map.len(), self.sessions.len()) == (head.pairs, head.sessions);
        let summed = (self.map.hash(), self.sessions.hash()) == (head.pairs_hash, head.sessions_hash);
        // Another program may have summed up otherwise.
        counted && (summed || head.scheme != SCHEME)
    }

    /// Every change is known: nothing but all rows gives the state.
    pub(crate) fn restore_index(&mut self, index: u64) {
        self.index = index;
        self.recent = Recent::begin(index);
    }
}

/// A state that stays as it was, for other members.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) head: GroupHead,
    sessions: Sessions,
    /// Ticks since it was asked for.
    pub(crate) idle: u32,
}

impl Frozen {
    /// Keeps a state as it is now.
    pub(crate) fn new<F: Function>(state: &mut State<F>, mark: SnapshotMark) -> Self {
        state.map.freeze();
        Frozen { head: state.head(mark, 0), sessions: state.sessions.clone(), idle: 0 }
    }

    /// Its rows behind a key, at least one and no further one once they have so many bytes; and whether none follows.
    pub(crate) fn page(&self, map: &Map, after: &[u8], bytes: u64) -> (Rows, bool) {
        let (mut page, mut size) = (Vec::new(), 0_u64);
        let is_first_pair = match RowKey::decode(after) {
            Some(RowKey::Pair(_)) => false,
            _ => {
                for row in self.sessions.rows_after(after) {
                    let (key, value) = encode_row(&row);
                    size += (key.len() + value.len()) as u64;
                    page.push((key, value));
                    if size >= bytes {
                        return (page, false);
                    }
                }
                true
            }
        };
        let from = after.get(1..).filter(|_| !is_first_pair);
        let found = map.frozen_after(from, bytes.saturating_sub(size));
        let is_all = found.is_empty();
        page.extend(found.into_iter().map(|(key, value)| encode_row(&Row::Pair(key, value))));
        (page, is_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::no_function::NoFunction;
    use alloc::vec;
    use formats::kv_store::LoggedCommand;
    use formats::message::kv::{KvCommand, KvStep};

    /// A state with one pair, by one command of one session.
    fn state(value: u8, session: u64) -> State<NoFunction> {
        let mut state = State::new([].into());
        let command = KvCommand::Sequence(vec![KvStep::Set { key: vec![1], value: vec![value] }]);
        state.apply(&LoggedCommand { session, sequence: 1, answered_below: 1, command });
        state
    }

    /// Each row may check for itself, and one be from another time.
    #[test]
    fn rows_that_do_not_add_up_to_the_head_are_no_state() {
        let head = state(1, 1).head(SnapshotMark::default(), 1);
        for (value, session, fits) in [(1, 1, true), (2, 1, false), (1, 2, false)] {
            let mut other = state(value, session);
            let (rows, is_all) =
                Frozen::new(&mut other, SnapshotMark::default()).page(&other.map, &[], u64::MAX);
            let mut restored = State::<NoFunction>::new([].into());
            assert!(!is_all && rows.iter().all(|(key, value)| restored.restore_row(key, value)));
            assert_eq!(restored.finish_restore(&head), fits, "{value} {session}");
        }
    }
}
