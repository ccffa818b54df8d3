//! What is being written, and the messages that wait for it.
//!
//! Raft's answers (votes, acknowledgements) promise that something is durable. Here they wait, in order, until it is.
//! A leader's own messages promise nothing about its entries and go at once, but not before its term and its vote for
//! itself are durable: the only voter of a group with learners would else lead the same term twice, with different
//! entries, after a crash.
//!
//! To hear a leader promises nothing but the term either. It is answered at once, however long the disk takes: else a
//! majority whose disks are full would take the lead from a leader that can answer reads, and nobody could take it up. But each
//! such answer has the leader send more: so a member that has as much to write as a leader may propose says nothing, as one
//! that lacks a majority can't have that much, and one that has it does without.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::{HardState, Member, MessageBody, Outgoing, Term};

/// One write under way, or nothing to write but messages behind earlier ones.
struct Stage {
    number: u64,
    /// Term and vote after it.
    ballot: (Term, Option<Member>),
    must_sync: bool,
    /// Whether it has entries or a snapshot.
    is_log: bool,
    /// Bytes of its entries.
    bytes: u64,
    messages: Vec<Outgoing>,
}

/// Writes in their order.
pub(super) struct Pipeline {
    /// Bytes of entries that are being written, and how many are too many to say anything.
    bytes: u64,
    bytes_max: u64,
    durable: (Term, Option<Member>),
    stages: VecDeque<Stage>,
    released: Vec<Outgoing>,
}

/// What a ready brings into the pipeline.
pub(super) struct Entering {
    pub(super) number: u64,
    pub(super) state: HardState,
    pub(super) must_sync: bool,
    pub(super) is_log: bool,
    /// Bytes of its entries.
    pub(super) bytes: u64,
    /// Whether the messages are a leader's, which promise nothing about its log.
    pub(super) is_leader: bool,
    pub(super) messages: Vec<Outgoing>,
}

impl Pipeline {
    pub(super) fn new(state: &HardState, bytes_max: u64) -> Pipeline {
        let (stages, released) = (VecDeque::new(), Vec::new());
        Pipeline { bytes: 0, bytes_max, durable: (state.term, state.vote), stages, released }
    }

    /// Takes in a ready. Returns its number if it waits for nothing, and so is durable.
    pub(super) fn enter(&mut self, entering: Entering) -> Option<u64> {
        let Entering { number, state, must_sync, is_log, bytes, is_leader, mut messages } = entering;
        let ballot = (state.term, state.vote);
        self.bytes += bytes;
        if ballot == self.durable {
            let goes = |outgoing: &mut Outgoing| is_leader || promises_nothing(&outgoing.message.body);
            let going = messages.extract_if(.., goes);
            if is_leader || self.bytes <= self.bytes_max {
                self.released.extend(going);
            } else {
                // As if they were lost on their way.
                going.for_each(drop);
            }
        }
        self.stages.push_back(Stage { number, ballot, must_sync, is_log, bytes, messages });
        self.settle()
    }

    /// A planted bug: lets messages go at once.
    pub(super) fn release(&mut self, mut entering: Entering) -> Entering {
        self.released.append(&mut entering.messages);
        entering
    }

    /// All up to this number is durable. Returns the number up to which everything is, with what need not be written.
    pub(super) fn persisted(&mut self, number: u64) -> Option<u64> {
        for stage in self.stages.iter_mut().take_while(|stage| stage.number <= number) {
            stage.must_sync = false;
        }
        self.settle()
    }

    /// Lets go of what waits for nothing any more.
    fn settle(&mut self) -> Option<u64> {
        let mut settled = None;
        while let Some(stage) = self.stages.pop_front_if(|stage| !stage.must_sync) {
            self.durable = stage.ballot;
            self.bytes -= stage.bytes;
            self.released.extend(stage.messages);
            settled = Some(stage.number);
        }
        settled
    }

    /// Whether entries or a snapshot are being written.
    pub(super) fn is_log_under_way(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_log)
    }

    pub(super) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// Messages that may go.
    pub(super) fn take_released(&mut self) -> Vec<Outgoing> {
        core::mem::take(&mut self.released)
    }
}

/// Whether a message says nothing of what its sender has.
fn promises_nothing(body: &MessageBody) -> bool {
    matches!(body, MessageBody::HeartbeatAnswer { .. })
}
