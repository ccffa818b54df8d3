//! What is to be done.

use alloc::vec::Vec;

use crate::{Entry, HardState, Leadership, LogIndex, Member, Message, SnapshotMark};

/// What is to be done, in any order but for what the fields say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// To be written.
    pub persist: Option<Persist>,
    /// To be sent. What depends on a write comes only after [`crate::Consensus::persisted`] told of it.
    pub send: Vec<Outgoing>,
    /// To be applied to the state machine, in this order. All are durable here and at a majority. Entries whose body
    /// is no command are for information: this crate has acted on them already.
    pub committed: Vec<Entry>,
    /// Answers to [`crate::Consensus::read`].
    pub reads: Vec<ReadAnswer>,
    /// Who leads, and what this member is, when that changed.
    pub leadership: Option<Leadership>,
    /// As leader: followers that need a snapshot, since entries they lack are gone. The follower hears of it too; it
    /// is up to the caller whether the leader pushes the data or the follower fetches it. May come again.
    pub snapshots_wanted: Vec<SnapshotWanted>,
    /// As leader: a member was added since the newest snapshot and lacks entries that are gone. Take a snapshot now,
    /// and tell [`crate::Consensus::compact`]. Comes again until that is done.
    pub snapshot_needed: bool,
    /// As follower: the leader offers a snapshot. When its data is here, checked and durable, call
    /// [`crate::Consensus::snapshot_arrived`]; when it cannot be had, [`crate::Consensus::snapshot_failed`].
    pub snapshot_offered: Option<SnapshotOffer>,
}

/// To be written, whole and in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    /// To be told to [`crate::Consensus::persisted`].
    pub number: u64,
    /// Replaces the one before. Never after the entries: in one record with them, or first.
    pub hard_state: Option<HardState>,
    /// The state is now that of this snapshot, which has arrived, and the log is empty after its mark. Comes before
    /// `append`.
    pub install: Option<SnapshotMark>,
    /// Entries for the log.
    pub append: Option<Append>,
    /// Whether anything waits for it. If not, it may be written whenever the next is, and need not be told.
    pub must_sync: bool,
}

/// Entries for the log. Whatever the log had after `after` is gone: another leader wrote something else there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The last index that stays.
    pub after: LogIndex,
    /// The entries from `after + 1`.
    pub entries: Vec<Entry>,
}

/// A message and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whom it is for.
    pub to: Member,
    /// What is said.
    pub message: Message,
}

/// The answer to a read. Every read gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAnswer {
    /// A majority confirmed, after the read was asked for, that this member leads. The read may be answered from the
    /// state once that has applied `index`.
    Confirmed {
        /// What the caller called it.
        context: u64,
        /// What was committed when it was asked, or more.
        index: LogIndex,
    },
    /// Leadership went before it was confirmed: ask the new leader.
    Lost {
        /// What the caller called it.
        context: u64,
    },
}

/// A follower that needs a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotWanted {
    /// The follower.
    pub member: Member,
    /// The newest snapshot, as [`crate::Consensus::compact`] was told.
    pub mark: SnapshotMark,
}

/// A snapshot that a leader offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotOffer {
    /// The leader.
    pub from: Member,
    /// What it stands for.
    pub mark: SnapshotMark,
}
