//! Servers of a cluster, and how the nodes that run on them are numbered.

use core::fmt;
use serde::{Deserialize, Serialize};

use crate::{NodeId, OsdId};

/// A server of a cluster: one process of `ovs serve` with its certificate, from 1. Number 0 is the process of
/// `ovs up`, which is a cluster of its own and talks to no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerId(pub u16);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl ServerId {
    /// The largest server number: node ids with a server above it belong to clients of a process, which are
    /// nobody's servers.
    pub const MAX: ServerId = ServerId(0x7fff);
}

/// The place of a KV among the nodes of its server.
const KV_PLACE: u16 = 1;

impl NodeId {
    /// The node at a place of a server: the server's number in the high 16 bits, the place in the low 16.
    pub fn at(server: ServerId, place: u16) -> NodeId {
        NodeId(u32::from(server.0) << 16 | u32::from(place))
    }

    /// The KV of a server.
    pub fn kv_of(server: ServerId) -> NodeId {
        NodeId::at(server, KV_PLACE)
    }

    /// The server that the node runs on. It is above [`ServerId::MAX`] for a client of a process.
    pub fn server(self) -> ServerId {
        ServerId((self.0 >> 16) as u16)
    }

    /// The place among the nodes of its server.
    pub fn place(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

/// How many OSDs a server may have: each server has so many numbers for its own, and takes no other's.
pub const OSDS_PER_SERVER: u32 = 1000;

/// The place of a server's first ASD among its nodes.
const FIRST_ASD_PLACE: u16 = 1000;

impl OsdId {
    /// An OSD of a server, by its place there, below [`OSDS_PER_SERVER`].
    pub fn at(server: ServerId, place: u32) -> OsdId {
        debug_assert!(place < OSDS_PER_SERVER, "servers have no more");
        OsdId(u32::from(server.0) * OSDS_PER_SERVER + place)
    }

    /// The server that has it. A number that no server has is at one above [`ServerId::MAX`], which is nowhere.
    pub fn server(self) -> ServerId {
        ServerId(u16::try_from(self.0 / OSDS_PER_SERVER).unwrap_or(u16::MAX))
    }
}

impl NodeId {
    /// The ASD that is an OSD.
    pub fn asd(osd: OsdId) -> NodeId {
        NodeId::at(osd.server(), FIRST_ASD_PLACE + (osd.0 % OSDS_PER_SERVER) as u16)
    }

    /// Whether it is an ASD of its server.
    pub fn is_asd(self) -> bool {
        (FIRST_ASD_PLACE..FIRST_ASD_PLACE + OSDS_PER_SERVER as u16).contains(&self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_place_of_a_server() {
        let node = NodeId::at(ServerId(3), 1002);
        assert_eq!(node, NodeId(0x0003_03ea));
        assert_eq!((node.server(), node.place()), (ServerId(3), 1002));
        assert_eq!(NodeId::kv_of(ServerId(0)), NodeId(1), "what ovs up always called its KV");
    }

    #[test]
    fn an_osd_is_a_node_of_its_server() {
        let osd = OsdId::at(ServerId(3), 7);
        assert_eq!((osd, osd.server()), (OsdId(3007), ServerId(3)));
        assert_eq!(NodeId::asd(osd), NodeId::at(ServerId(3), 1007));
        assert!(NodeId::asd(osd).is_asd() && NodeId::asd(OsdId(3999)).is_asd());
        assert!(!NodeId::kv_of(ServerId(3)).is_asd() && !NodeId::at(ServerId(3), 2000).is_asd());
        assert_eq!(NodeId::asd(OsdId(7)), NodeId(1007), "what ovs up always called it");
        assert!(NodeId::asd(OsdId(u32::MAX)).server() > ServerId::MAX);
    }
}
