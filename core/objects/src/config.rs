//! What an objects client is told when it is made.

use alloc::vec::Vec;
use core::time::Duration;
use glossary::{ByteCount, GroupId, NodeId, OsdId, OsdIdentity};
use step::Bug;

/// Whom it talks to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The members of the KV's groups, at least one.
    pub kv: Vec<NodeId>,
    /// The group that hosts the namespace manager.
    pub namespaces: GroupId,
    /// The OSDs of the backend; no number and no node twice.
    pub osds: Vec<OsdConfig>,
    /// Those of them that can't start before an operator acts: what they hold counts as lost until they are heard.
    pub gone: Vec<OsdId>,
    /// Bounds and times.
    pub settings: Settings,
    /// A planted mistake, for the simulator alone.
    pub bug: Option<Bug>,
}

/// An OSD of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsdConfig {
    /// Its number: what manifests name.
    pub osd: OsdId,
    /// The ASD that serves it.
    pub node: NodeId,
    /// The identity that its disk must carry.
    pub identity: OsdIdentity,
    /// The storage node it is on: at most x fragments of a chunk go to one.
    pub storage_node: u32,
}

/// Bounds and times. [`Settings::default`] is what production uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most data of one fragment: whole clusters.
    pub fragment_bytes_max: ByteCount,
    /// Clusters of one block: what a small read moves.
    pub block_clusters: u16,
    /// How long an ASD may take for a write before it is asked again; after the second time it is late.
    pub apply_patience: Duration,
    /// The same for all other requests.
    pub read_patience: Duration,
    /// How long an OSD that somebody waits for may say nothing before it is asked whether it is there: 0.5 s.
    pub doubt_after: Duration,
    /// How long it may take to say so before it is asked once more, and as long again before it is down: 0.5 s. One that
    /// is known to take longer gets as long as it took, up to `read_patience`.
    pub probe_patience: Duration,
    /// How long a read waits for a fragment before it asks others too, while nothing is known of the OSD; then
    /// twice as long as nearly all its answers take.
    pub hedge_after: Duration,
    /// But never shorter: an answer that is this late isn't worth decoding for.
    pub hedge_shortest: Duration,
    /// And never longer, however slow the OSD is.
    pub hedge_longest: Duration,
    /// How long an upload that has c fragments of a chunk waits for the rest.
    pub slack: Duration,
    /// How long an OSD that said it is full is not asked for room.
    pub full_pause: Duration,
    /// An OSD that said nothing for so long is asked whether it is there.
    pub heartbeat: Duration,
    /// How soon an OSD that is down is asked again; each time twice as long.
    pub probe_first: Duration,
    /// The longest pause between two such questions.
    pub probe_longest: Duration,
    /// Chunks being encoded and uploaded at once; others wait in order.
    pub chunks_in_flight_max: usize,
    /// Fragments that are still on their way when their chunk had enough others. At this bound chunks wait
    /// for them.
    pub late_fragments_max: usize,
    /// Reads at work at once; others wait in order.
    pub reads_in_flight_max: usize,
    /// Bytes that these reads ask for; one that asks for more is at work alone.
    pub read_bytes_in_flight_max: ByteCount,
    /// Requests taken in; more are answered with "unavailable".
    pub tasks_max: usize,
    /// Manifests kept.
    pub manifests_cached_max: usize,
    /// How long after the start what no object needs is looked for on the OSDs.
    pub collect_first: Duration,
    /// The same after a round.
    pub collect_every: Duration,
    /// Objects whose fragments one round looks at; the next goes on behind them.
    pub collect_objects_max: usize,
    /// Fragments remembered as missing or damaged: they are asked for last.
    pub missing_known_max: usize,
    /// Fragments per OSD that are known garbage and wait to be deleted.
    pub garbage_per_osd_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            fragment_bytes_max: ByteCount(4 << 20),
            block_clusters: 4,
            apply_patience: Duration::from_secs(4),
            read_patience: Duration::from_secs(1),
            doubt_after: Duration::from_millis(500),
            probe_patience: Duration::from_millis(500),
            hedge_after: Duration::from_millis(20),
            hedge_shortest: Duration::from_millis(2),
            hedge_longest: Duration::from_millis(100),
            slack: Duration::from_millis(50),
            full_pause: Duration::from_secs(10),
            heartbeat: Duration::from_secs(5),
            probe_first: Duration::from_millis(250),
            probe_longest: Duration::from_secs(60),
            chunks_in_flight_max: 4,
            late_fragments_max: 8,
            reads_in_flight_max: 256,
            read_bytes_in_flight_max: ByteCount(64 << 20),
            tasks_max: 4096,
            manifests_cached_max: 4096,
            missing_known_max: 65_536,
            collect_first: Duration::from_secs(5),
            collect_every: Duration::from_secs(600),
            collect_objects_max: 65_536,
            garbage_per_osd_max: 65_536,
        }
    }
}
