//! Settings.

use alloc::collections::BTreeMap;
use consensus::{Member, Membership};
use formats::kv_level;
use formats::message::kv::FunctionId;
use glossary::{ClusterIdentity, NodeId};
use step::Bug;

/// How much log a checkpoint replaces, where nothing else is said: a start reads at most about twice as much.
pub const CHECKPOINT_LOG_BYTES: u64 = 32 << 20;

/// How far the log is filled with zeros ahead of what is written, where nothing else is said: some 256 small commands.
const LOG_AHEAD_BYTES: u64 = 1 << 20;

/// What stays free beside what checkpoints take, where nothing else is said. A pair that changes may make the table write its
/// neighbour again, a value of up to 8 MiB, and a start needs half of this.
const ROOM_KEPT: u64 = 32 << 20;

/// How many pairs of a checkpoint are gathered in one step, where nothing else is said: less than a millisecond's work.
const CHECKPOINT_ROWS: usize = 256;

/// What a KV is told at its construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config<F> {
    /// The cluster that the files belong to.
    pub cluster: ClusterIdentity,
    /// The functions that it hosts. One that commands were logged for stays, and stays as it was: the log is
    /// applied anew at every start.
    pub functions: BTreeMap<FunctionId, F>,
    /// Once the log has grown by so many bytes, a checkpoint replaces it.
    pub checkpoint_log_bytes: u64,
    /// The log is filled with zeros so far ahead of what is written, a multiple of 4 KiB; 0: not at all.
    pub log_ahead_bytes: u64,
    /// Commands that add leave so many bytes of the disk free beside what checkpoints take; those that only remove half of that.
    pub room_kept: u64,
    /// So many pairs of a checkpoint are gathered in one step.
    pub checkpoint_rows: usize,
    /// This member of the group that keeps the KV.
    pub me: Member,
    /// With whom the group begins, the same at all that begin it; none for a member that joins a group that runs.
    /// Once it has begun, the log says who belongs to it.
    pub first: Option<Membership>,
    /// Where the members are, others than this one, that are not the KVs of their servers ([`NodeId::kv_of`]).
    pub nodes: BTreeMap<Member, NodeId>,
    /// Entries before a checkpoint that are kept in memory, for members that are a little behind.
    pub kept_entries: u64,
    /// The level that this member goes up to, [`formats::kv_level::LEVEL`] at most. Held at an older one, it says and takes
    /// only what that knows.
    pub level: u32,
    /// A planted bug, for the simulator.
    pub bug: Option<Bug>,
}

impl<F> Config<F> {
    /// Usual settings: a group of one.
    pub fn new(cluster: ClusterIdentity, functions: BTreeMap<FunctionId, F>) -> Self {
        let me = Member(1);
        Config {
            cluster,
            functions,
            checkpoint_log_bytes: CHECKPOINT_LOG_BYTES,
            log_ahead_bytes: LOG_AHEAD_BYTES,
            room_kept: ROOM_KEPT,
            checkpoint_rows: CHECKPOINT_ROWS,
            me,
            first: Some(Membership::of_voters([me])),
            nodes: BTreeMap::new(),
            kept_entries: 256,
            level: kv_level::LEVEL,
            bug: None,
        }
    }
}
