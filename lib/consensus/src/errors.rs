//! What can be refused, and why.

use thiserror::Error;

use crate::{LogIndex, Member, Term};

/// Why something that the caller asked for was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Ask the leader instead.
    #[error("this member does not lead; {}", leader_hint(*leader))]
    NotLeader {
        /// Who leads, if that is known.
        leader: Option<Member>,
    },
    /// An empty command means nothing.
    #[error("a command has at least one byte")]
    EmptyCommand,
    /// One command may not fill a message.
    #[error("the command has {bytes} bytes, more than {limit}")]
    CommandTooLong {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Slow down: as much is under way as may be.
    #[error("as much is under way as may be; ask again when something is done")]
    Busy,
    /// Leadership is being handed over.
    #[error("leadership is being handed to {0}; ask it")]
    HandingOver(Member),
    /// One change of membership at a time.
    #[error("another change of membership, or a new leader's first entry, is not yet committed; ask again")]
    ChangeUnderWay,
    /// It is a member already.
    #[error("{0} is a member already")]
    AlreadyMember(Member),
    /// It is no learner.
    #[error("{0} is not a learner; add it as a learner first")]
    NotLearner(Member),
    /// It is no member.
    #[error("{0} is not a member")]
    NotMember(Member),
    /// It has no vote.
    #[error("{0} is not a voter; promote it first")]
    NotVoter(Member),
    /// Members are numbered from 1.
    #[error("0 is nobody's number")]
    NoSuchNumber,
    /// A bound of [`crate::Membership`].
    #[error("the group has as many members as it may have")]
    TooManyMembers,
    /// A learner that is far behind would make the group wait for it.
    #[error("{member} is {behind} entries behind; wait until it has caught up")]
    TooFarBehind {
        /// The learner.
        member: Member,
        /// How many entries it lacks.
        behind: u64,
    },
    /// A leader that removes itself leaves nobody who knows that it is gone.
    #[error("a leader does not remove itself; transfer leadership first")]
    TransferFirst,
    /// The change would leave the group without a majority that answers.
    #[error(
        "after this change {needed} voters would have to answer, but {active} do; bring members back first"
    )]
    QuorumAtRisk {
        /// Voters of the new majority.
        needed: usize,
        /// Voters that answered lately.
        active: usize,
    },
    /// A snapshot stands for what was handed out, and is newer than the last.
    #[error(
        "{0} is not where a snapshot can be: not handed out yet, or behind the last one, or not in this log"
    )]
    NoSnapshotThere(LogIndex),
}

impl Refused {
    /// Whether the same may be begun a little later, or by another member, with nothing else done about it.
    pub fn is_passing(&self) -> bool {
        match self {
            Refused::NotLeader { .. }
            | Refused::Busy
            | Refused::HandingOver(_)
            | Refused::ChangeUnderWay
            | Refused::TooFarBehind { .. }
            | Refused::TransferFirst
            | Refused::QuorumAtRisk { .. }
            | Refused::NoSnapshotThere(_) => true,
            Refused::EmptyCommand
            | Refused::CommandTooLong { .. }
            | Refused::AlreadyMember(_)
            | Refused::NotLearner(_)
            | Refused::NotMember(_)
            | Refused::NotVoter(_)
            | Refused::NoSuchNumber
            | Refused::TooManyMembers => false,
        }
    }
}

/// Why a message was dropped. Counted by the caller; those marked (lost data) deserve an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// From itself or from nobody.
    #[error("a message from {0}, which cannot be")]
    BadSender(Member),
    /// An answer from one that was not asked.
    #[error("an answer from {0}, which is not a member as far as is known here")]
    NotMember(Member),
    /// See [`crate::TERM_MAX`].
    #[error("term {0} is out of range")]
    TermOutOfRange(Term),
    /// See [`crate::INDEX_MAX`].
    #[error("index {0} is out of range")]
    IndexOutOfRange(LogIndex),
    /// Entries with gaps or impossible terms.
    #[error("the entries are not a piece of a log: entry {0} does not follow the one before it")]
    BrokenEntries(LogIndex),
    /// A mark without members, index or possible term.
    #[error("the mark stands for no snapshot")]
    BrokenSnapshotMark,
    /// A snapshot of a group without this member.
    #[error("the snapshot's members do not include this one")]
    NotInSnapshot,
    /// Two leaders in one term.
    #[error("{from} claims to lead term {term}, which {leader} leads")]
    SecondLeader {
        /// Who claims it.
        from: Member,
        /// The term.
        term: Term,
        /// Who leads.
        leader: Member,
    },
    /// (Lost data) The leader counts on entries that this member acknowledged and no longer has.
    #[error(
        "the leader has committed up to {commit} counting on this member, whose log ends at {last}: it lost what it acknowledged; remove it and let it join anew"
    )]
    LostEntries {
        /// What the leader says is committed here.
        commit: LogIndex,
        /// The last entry here.
        last: LogIndex,
    },
    /// A follower that says it has more than its leader ever wrote.
    #[error("{from} claims to have entry {matched}, the log ends at {last}")]
    BeyondLog {
        /// Who claims it.
        from: Member,
        /// What it claims.
        matched: LogIndex,
        /// The last entry here.
        last: LogIndex,
    },
    /// An answer about entries in one term that contradicts a newer one: it was overtaken.
    #[error("{0} sent this before it acknowledged more")]
    Overtaken(Member),
    /// A vote or an order to take over that comes while something of the log is not durable: nobody asked for it, or
    /// it was overtaken.
    #[error("not while entries are being written")]
    NotDurable,
    /// A newcomer begins with a snapshot.
    #[error("this member has nothing yet and needs a snapshot first")]
    NeedsSnapshot,
}

/// Why settings make no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadConfig {
    /// Members are numbered from 1.
    #[error("this member has number 0; members are numbered from 1")]
    NoNumber,
    /// Followers must not lose patience between two heartbeats.
    #[error("election_ticks must be more than heartbeat_ticks, and heartbeat_ticks not 0")]
    Ticks,
    /// A bound of 0 lets nothing through.
    #[error("{0} must not be 0")]
    Zero(&'static str),
    /// A message must hold the largest command.
    #[error("message_bytes_max must not exceed uncommitted_bytes_max, nor command_bytes_max exceed either")]
    Sizes,
}

/// Why what was recovered makes no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadRecovery {
    /// The settings.
    #[error("{0}")]
    Config(#[from] BadConfig),
    /// Entries are missing, or in the wrong order.
    #[error("entry {0} does not follow the one before it; the log is damaged")]
    Broken(LogIndex),
    /// The hard state is older than the log.
    #[error("the hard state is of term {term}, the log of term {log}; the hard state was lost")]
    OldHardState {
        /// The hard state's term.
        term: Term,
        /// The last entry's.
        log: Term,
    },
    /// The mark names no voters, or a log is there without a mark.
    #[error("the snapshot's mark is damaged: it names no valid membership")]
    BadMark,
    /// Numbers beyond what is accepted from others.
    #[error("a term or index is out of range")]
    OutOfRange,
}

fn leader_hint(leader: Option<Member>) -> alloc::string::String {
    match leader {
        Some(leader) => alloc::format!("ask {leader}"),
        None => "no leader is known".into(),
    }
}
