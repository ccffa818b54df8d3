//! Nodes that aren't here, and the gateways that speak for them: those of other processes.

use std::ops::RangeInclusive;

use formats::Message;
use glossary::NodeId;

/// A range of nodes and the gateway that speaks for those of them that aren't here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relay {
    pub(crate) nodes: RangeInclusive<NodeId>,
    pub(crate) gateway: NodeId,
    pub(crate) shard: usize,
}

/// All of them: few, and looked at only for nodes that aren't here, so that messages among those that are pay nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Relays(Vec<Relay>);

impl Relays {
    /// Adds one; a gateway that starts again says the same again.
    pub(crate) fn add(&mut self, relay: Relay) {
        if !self.0.contains(&relay) {
            self.0.push(relay);
        }
    }

    /// Who speaks for a node.
    pub(crate) fn find(&self, node: NodeId) -> Option<&Relay> {
        self.0.iter().find(|relay| relay.nodes.contains(&node))
    }
}

/// A message on its way to a gateway that speaks for its addressee.
pub(crate) struct Relayed {
    pub(crate) gateway: NodeId,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
}
