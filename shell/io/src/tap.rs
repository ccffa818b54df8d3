//! Watching a node: for recording what happens to it, so that it can be replayed.

use formats::{Effect, Event};
use glossary::NodeId;
use step::Timestamp;

/// Sees every step of one node, in order, on the node's shard. It must not block: what it writes, it buffers.
pub trait Tap: Send {
    /// The node is about to be given `event`.
    fn on_event(&mut self, node: NodeId, now: Timestamp, event: &Event);

    /// What the node wants, upon the event before.
    fn on_effects(&mut self, node: NodeId, now: Timestamp, effects: &[Effect]);
}
