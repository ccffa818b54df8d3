//! Node ids in a process that runs a whole cluster.

use glossary::{NodeId, OsdId};

pub(crate) const KV: NodeId = NodeId(1);
pub(crate) const OBJECTS: NodeId = NodeId(2);
pub(crate) const VOLUME_DRIVER: NodeId = NodeId(3);
pub(crate) const EDGE: NodeId = NodeId(4);
pub(crate) const NBD: NodeId = NodeId(5);
pub(crate) const LINKS: NodeId = NodeId(6);

const FIRST_ASD: u32 = 1000;

pub(crate) fn asd(osd: OsdId) -> NodeId {
    NodeId(FIRST_ASD + osd.0)
}
