//! What members say to each other.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Entry, INDEX_MAX, LogIndex, Position, Rejected, SnapshotMark, TERM_MAX, Term};

/// What one member says to another. Who says it is known from the connection, never from the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The sender's term; of a pre-vote, the term that it would begin.
    pub term: Term,
    /// What it says.
    pub body: MessageBody,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageBody {
    /// "Would you vote for me?" Changes nothing at either side, so a member that was cut off disturbs nobody.
    AskPreVote(Canvass),
    /// The answer to it.
    PreVote {
        /// Whether it would.
        granted: bool,
        /// With a refusal, the newest entry that is known to be committed.
        commit: Position,
    },
    /// "Vote for me."
    AskVote {
        /// What the candidate has.
        canvass: Canvass,
        /// Whether the leader asked it to take over, so that nobody waits for that leader to be silent first.
        is_transfer: bool,
    },
    /// The answer to it.
    Vote {
        /// Whether it voted for the candidate.
        granted: bool,
        /// With a refusal, the newest entry that is known to be committed.
        commit: Position,
    },
    /// From the leader: what follows upon an entry.
    Append {
        /// The entry before the first of these.
        after: Position,
        /// Without gaps. May be empty.
        entries: Vec<Entry>,
        /// What is committed, as far as the receiver has it after this.
        commit: LogIndex,
    },
    /// To the leader: the log is the leader's up to here, durably.
    Appended {
        /// The last index of which that is true.
        matched: LogIndex,
        /// What the sender knows to be committed.
        commit: LogIndex,
    },
    /// To the leader: the entry that the others were to follow is not here.
    Mismatch {
        /// The index of that entry.
        at: LogIndex,
        /// Where the logs may still be the same.
        hint: Position,
        /// What the sender knows to be committed.
        commit: LogIndex,
    },
    /// From the leader: "I still lead."
    Heartbeat {
        /// What is committed and known to be at the receiver.
        commit: LogIndex,
        /// A round of reads that asks whether this is so.
        round: Option<u64>,
    },
    /// The answer to it.
    HeartbeatAnswer {
        /// What the sender knows to be committed.
        commit: LogIndex,
        /// The round it was asked for.
        round: Option<u64>,
    },
    /// From the leader: entries that you need are gone, take a snapshot. The data goes another way.
    Snapshot(SnapshotMark),
    /// From the leader: take over, now.
    TakeOver,
}

/// What a candidate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canvass {
    /// The last entry of its log.
    pub last: Position,
    /// The newest entry that it knows to be committed.
    pub commit: Position,
}

impl Message {
    /// Whether it makes sense in itself, whoever sent it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), Rejected> {
        if self.term.0 == 0 || self.term > TERM_MAX {
            return Err(Rejected::TermOutOfRange(self.term));
        }
        match &self.body {
            MessageBody::AskPreVote(canvass) | MessageBody::AskVote { canvass, .. } => {
                in_range(canvass.last.index)?;
                in_range(canvass.commit.index)
            }
            MessageBody::PreVote { commit, .. } | MessageBody::Vote { commit, .. } => in_range(commit.index),
            MessageBody::Append { after, entries, commit } => {
                in_range(*commit)?;
                self.check_entries(*after, entries)
            }
            MessageBody::Appended { matched, commit } => in_range(*matched).and_then(|()| in_range(*commit)),
            MessageBody::Mismatch { at, hint, commit } => {
                [*at, hint.index, *commit].into_iter().try_for_each(in_range)
            }
            MessageBody::Heartbeat { commit, .. } | MessageBody::HeartbeatAnswer { commit, .. } => {
                in_range(*commit)
            }
            MessageBody::Snapshot(mark) => self.check_mark(mark),
            MessageBody::TakeOver => Ok(()),
        }
    }

    /// Whether only the leader of its term says it.
    #[must_use]
    pub fn is_from_leader(&self) -> bool {
        use MessageBody::{Append, Heartbeat, Snapshot, TakeOver};
        matches!(self.body, Append { .. } | Heartbeat { .. } | Snapshot(_) | TakeOver)
    }

    /// Whether it answers a question, so that it comes from a member that the receiver asked.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        use MessageBody::{Appended, HeartbeatAnswer, Mismatch, PreVote, Vote};
        matches!(
            self.body,
            PreVote { .. } | Vote { .. } | Appended { .. } | Mismatch { .. } | HeartbeatAnswer { .. }
        )
    }

    /// Entries follow upon each other without gaps, in terms that never fall and never pass the sender's.
    fn check_entries(&self, after: Position, entries: &[Entry]) -> Result<(), Rejected> {
        in_range(after.index)?;
        // Beyond its log, the library takes any entry for one of term 0.
        if (after.term.0 == 0) != (after.index.0 == 0) || after.term > self.term {
            return Err(Rejected::BrokenEntries(after.index));
        }
        let mut previous = after;
        for entry in entries {
            let follows = entry.index == previous.index.next() && entry.term >= previous.term;
            if !follows || entry.term > self.term || entry.term.0 == 0 {
                return Err(Rejected::BrokenEntries(entry.index));
            }
            previous = entry.position();
        }
        in_range(previous.index)
    }

    fn check_mark(&self, mark: &SnapshotMark) -> Result<(), Rejected> {
        in_range(mark.index)?;
        let is_real = mark.index.0 > 0 && mark.term.0 > 0 && mark.term <= self.term;
        if is_real && mark.membership.is_valid() { Ok(()) } else { Err(Rejected::BrokenSnapshotMark) }
    }
}

fn in_range(index: LogIndex) -> Result<(), Rejected> {
    if index <= INDEX_MAX { Ok(()) } else { Err(Rejected::IndexOutOfRange(index)) }
}
