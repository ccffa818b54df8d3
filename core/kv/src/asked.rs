//! What was asked and has no answer yet, in the order it came.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use formats::kv_store::LoggedCommand;
use formats::message::kv::KvQuery;
use glossary::NodeId;

use crate::limits::{self, MAX_BATCH_BYTES, MAX_BATCH_REQUESTS, MAX_QUEUE_BYTES, MAX_QUEUE_REQUESTS};

/// What a request counts for beside its bytes.
const REQUEST_BYTES: usize = 64;

/// A request, and where its answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) from: NodeId,
    pub(crate) request: u64,
    pub(crate) what: What,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Command(LoggedCommand),
    /// A command of a session that was begun once, and is not known here.
    OfUnknown(LoggedCommand),
    Query {
        query: KvQuery,
        /// Whether the answer tells where it was read.
        is_indexed: bool,
    },
}

/// Requests that wait for the next batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    waiting: VecDeque<Asked>,
    bytes: usize,
    /// Commands that wait or are proposed: session and sequence.
    commands: BTreeSet<(u64, u64)>,
}

impl Asked {
    /// The command, if it is one.
    pub(crate) fn command(&self) -> Option<&LoggedCommand> {
        match &self.what {
            What::Command(command) => Some(command),
            What::Query { .. } | What::OfUnknown(_) => None,
        }
    }

    /// Bytes that it counts for.
    pub(crate) fn bytes(&self) -> usize {
        let own = match &self.what {
            What::Command(command) | What::OfUnknown(command) => limits::command_bytes(&command.command),
            What::Query { query, .. } => limits::query_bytes(query),
        };
        own + REQUEST_BYTES
    }
}

impl Queue {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a command waits or is proposed.
    pub(crate) fn holds(&self, session: u64, sequence: u64) -> bool {
        self.commands.contains(&(session, sequence))
    }

    /// Whether a command of a session waits or is proposed.
    pub(crate) fn has_session(&self, session: u64) -> bool {
        self.commands.range((session, 0)..).next().is_some_and(|(next, _)| *next == session)
    }

    /// How many commands wait or are proposed.
    pub(crate) fn commands(&self) -> usize {
        self.commands.len()
    }

    /// Their sessions.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = u64> {
        let mut last = None;
        self.commands
            .iter()
            .filter_map(move |(session, _)| (last.replace(*session) != Some(*session)).then_some(*session))
    }

    /// Lets a request wait; gives it back when there is no room.
    pub(crate) fn push(&mut self, asked: Asked) -> Result<(), Asked> {
        let bytes = asked.bytes();
        if self.waiting.len() == MAX_QUEUE_REQUESTS || self.bytes + bytes > MAX_QUEUE_BYTES {
            return Err(asked);
        }
        self.bytes += bytes;
        self.commands.extend(asked.command().map(|command| (command.session, command.sequence)));
        self.waiting.push_back(asked);
        Ok(())
    }

    /// Takes the next requests, as many as make a batch; none when nothing waits.
    pub(crate) fn take_batch(&mut self) -> Vec<Asked> {
        let (mut asked, mut bytes) = (Vec::new(), 0);
        while bytes < MAX_BATCH_BYTES && asked.len() < MAX_BATCH_REQUESTS {
            let Some(next) = self.waiting.pop_front() else { break };
            bytes += next.bytes();
            asked.push(next);
        }
        self.bytes -= bytes;
        asked
    }

    /// Bytes of what waits, at least.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Takes everything that waits.
    pub(crate) fn take_all(&mut self) -> VecDeque<Asked> {
        self.bytes = 0;
        core::mem::take(&mut self.waiting)
    }

    /// Whether the commands that it knows are those that wait and those that are `proposed`.
    pub(crate) fn knows<'a>(&'a self, proposed: impl Iterator<Item = &'a LoggedCommand>) -> bool {
        let waiting = self.waiting.iter().filter_map(Asked::command);
        let mut count = 0;
        let known = waiting.chain(proposed).all(|command| {
            count += 1;
            self.holds(command.session, command.sequence)
        });
        known && count == self.commands.len()
    }

    /// A command waits no longer: it is answered.
    pub(crate) fn settle(&mut self, command: &LoggedCommand) {
        self.commands.remove(&(command.session, command.sequence));
    }
}
