//! The places of nodes on their server. Server 0 is the process that runs a whole cluster.

use glossary::{NodeId, ServerId};

const OBJECTS: u16 = 2;
const VOLUME_DRIVER: u16 = 3;
const EDGE: u16 = 4;
const NBD: u16 = 5;

/// The nodes of a server, beside its KV and its ASDs, which have their numbers everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nodes {
    pub(crate) server: ServerId,
}

impl Nodes {
    pub(crate) fn objects(self) -> NodeId {
        NodeId::at(self.server, OBJECTS)
    }

    pub(crate) fn volume_driver(self) -> NodeId {
        NodeId::at(self.server, VOLUME_DRIVER)
    }

    pub(crate) fn edge(self) -> NodeId {
        NodeId::at(self.server, EDGE)
    }

    pub(crate) fn nbd(self) -> NodeId {
        NodeId::at(self.server, NBD)
    }
}
