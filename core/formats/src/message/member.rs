//! Members of the KV's group among themselves.

use alloc::boxed::Box;
use alloc::vec::Vec;
use consensus::{LogIndex, Member, SnapshotMark, Term};
use glossary::{ClusterIdentity, GroupId, ServerId};
use serde::{Deserialize, Serialize};

use crate::kv_table::GroupHead;
use crate::message::standing::Standing;

/// The member that a server's KV is: the server's number in the low 16 bits, above it how often the server lost its disk.
/// Who lost it has forgotten its votes, so it is never again the member that it was.
pub fn member_of(server: ServerId, disks_lost: u32) -> Member {
    Member(u64::from(disks_lost) << 16 | u64::from(server.0))
}

/// The server of a member.
pub fn server_of(member: Member) -> ServerId {
    ServerId((member.0 & 0xffff) as u16)
}

/// How often the server of a member had lost its disk.
pub fn disks_lost_of(member: Member) -> u32 {
    (member.0 >> 16) as u32
}

/// A message from one member to another. Who sent it is known from the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberMessage {
    /// The cluster of the group: what comes from another is dropped.
    pub cluster: ClusterIdentity,
    /// What is said.
    pub body: MemberBody,
}

/// A message of a member of another group than the root group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberOf {
    /// Which group.
    pub group: GroupId,
    /// What is said in it.
    pub message: MemberMessage,
}

/// What members say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberBody {
    /// About the log.
    Consensus(consensus::Message),
    /// Asks for a piece of the file of a snapshot.
    Fetch {
        /// Which snapshot.
        mark: SnapshotMark,
        /// From where, in bytes.
        offset: u64,
    },
    /// A piece of the file of a snapshot.
    Piece {
        /// Which snapshot.
        mark: SnapshotMark,
        /// The number in the file's header.
        sequence: u64,
        /// Where the piece starts, in bytes.
        offset: u64,
        /// The length of the file, in bytes.
        length: u64,
        /// The piece; its length is the sender's choice.
        bytes: Vec<u8>,
    },
    /// The snapshot that was asked for is not here, or no longer.
    NoSnapshot {
        /// Which.
        mark: SnapshotMark,
    },
    /// About the log, with who says it to whom: a server whose disk was lost is another member than before, and what
    /// was meant for the one is not for the other.
    Addressed {
        /// Who says it: a member of the node that sent it.
        from: Member,
        /// To whom.
        to: Member,
        /// What.
        message: consensus::Message,
    },
    /// How the sender stands.
    Standing(Standing),
    /// The leader of the group has nothing to do, and time stops for it until it is told something. Whoever has all that it
    /// has can do the same.
    Sleep {
        /// The term in which it leads.
        term: Term,
        /// The last entry of its log, which is committed.
        last: LogIndex,
    },
    /// The server of the sender lives: said now and then on behalf of all its groups that sleep.
    Alive,
    /// Asks for rows of a state, from a key on.
    FetchPage {
        /// Of which state.
        mark: SnapshotMark,
        /// Whether that one, or one that stands for at least as much.
        is_exact: bool,
        /// Behind which row; empty for the first ones.
        after: Vec<u8>,
    },
    /// Rows of a state ([`crate::kv_table`]).
    Page {
        /// Of which state.
        mark: SnapshotMark,
        /// Behind which row they begin.
        after: Vec<u8>,
        /// Keys and values, in order; how many is the sender's choice.
        rows: Vec<(Vec<u8>, Vec<u8>)>,
        /// What all rows add up to, with the last of them.
        head: Option<Box<GroupHead>>,
    },
    /// The leader of this group is no member of the root group, as far as the sender knows: the sender, which is one, wants
    /// to lead in its place, so that the group can follow.
    WantsLead {
        /// How far the sender has applied the root group's log.
        root: LogIndex,
    },
    /// Asks a server that is to join the group for the level of its program. From level 1 on.
    AskLevel,
    /// The level of the sender's program ([`crate::kv_level`]).
    Level {
        /// Which member the sender is, or is to become.
        member: Member,
        /// Its level.
        level: u32,
    },
}
