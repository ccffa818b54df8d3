//! A role from its card: the same for servers, the simulator and replays.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use consensus::{Member, Membership};
use formats::message::kv::FunctionId;
use formats::recording::RoleCard;
use formats::registry::OsdRecord;
use glossary::{ClusterIdentity, GroupId, NodeId, OsdId};
use namespaces::Namespaces;
use step::Bug;

use crate::{Hosted, Role};

/// Makes the role that a card names, at the start of a life. `bug` is for the simulator.
pub fn cast(card: &RoleCard, bug: Option<Bug>) -> Role {
    match card {
        RoleCard::Kv { cluster } => kv_role(kv_config(*cluster, bug)),
        RoleCard::KvMember { cluster, me, first, nodes } => {
            let nodes = nodes.iter().copied().collect();
            kv_role(kv::Config { me: *me, first: first.clone(), nodes, ..kv_config(*cluster, bug) })
        }
        RoleCard::Asd { identity, capacity, segment, checkpoint_every } => {
            let (identity, capacity) = (*identity, *capacity);
            let (segment_bytes, checkpoint_every) = (segment.0, checkpoint_every.0);
            let config = asd::Config { identity, capacity, segment_bytes, checkpoint_every, bug };
            Role::Asd(Box::new(asd::Asd::new(config)))
        }
        RoleCard::Objects { kv, osds, gone } => objects_role((&[*kv], GroupId::ROOT), osds, gone, bug),
        RoleCard::ObjectsOfGroup { kv, osds, gone } => objects_role((kv, GroupId::ROOT), osds, gone, bug),
        RoleCard::ObjectsOfGroups { kv, namespaces, osds, gone } => {
            objects_role((kv, *namespaces), osds, gone, bug)
        }
        RoleCard::VolumeDriver { node, kv, objects, accept_loss } => {
            driver_role(volume::Config::new(*node, vec![*kv], *objects), *accept_loss, bug)
        }
        RoleCard::VolumeDriverOfGroup { node, kv, objects, accept_loss } => {
            driver_role(volume::Config::new(*node, kv.clone(), *objects), *accept_loss, bug)
        }
        RoleCard::VolumeDriverOfGroups { node, kv, namespaces, objects, accept_loss } => {
            let config = volume::Config::new(*node, kv.clone(), *objects);
            driver_role(volume::Config { namespaces: *namespaces, ..config }, *accept_loss, bug)
        }
        RoleCard::Edge { client, volume_driver } => {
            let config = edge::Config { bug, ..edge::Config::new(*client, *volume_driver) };
            Role::Edge(Box::new(edge::Edge::new(config)))
        }
    }
}

fn osd_config(osd: &OsdRecord, node: NodeId) -> objects::OsdConfig {
    objects::OsdConfig { osd: osd.osd, node, identity: osd.identity, storage_node: osd.storage_node }
}

/// `kv`: the members of the KV's groups, and that which hosts the namespaces.
fn objects_role(
    (kv, namespaces): (&[NodeId], GroupId),
    osds: &[(OsdRecord, NodeId)],
    gone: &[OsdId],
    bug: Option<Bug>,
) -> Role {
    let osds: Vec<_> = osds.iter().map(|(osd, node)| osd_config(osd, *node)).collect();
    let settings = objects::Settings::default();
    let config = objects::Config { kv: kv.to_vec(), namespaces, osds, gone: gone.to_vec(), settings, bug };
    Role::Objects(Box::new(objects::Objects::new(config)))
}

fn driver_role(config: volume::Config, accept_loss: bool, bug: Option<Bug>) -> Role {
    let config = volume::Config { accept_loss, bug, ..config };
    Role::VolumeDriver(Box::new(volume::VolumeDriver::new(config)))
}

/// The usual settings of a KV of a cluster, with everything that it hosts: a group of one.
pub fn kv_config(cluster: ClusterIdentity, bug: Option<Bug>) -> kv::Config<Hosted> {
    let functions = BTreeMap::from([(FunctionId::NAMESPACES, Hosted::Namespaces(Namespaces))]);
    kv::Config { bug, ..kv::Config::new(cluster, functions) }
}

/// The KV of a server, which is this member of its group. `first`: with whom the group begins. `level`: at which it is held,
/// where not at its program's.
pub fn kv_member(
    cluster: ClusterIdentity,
    me: Member,
    first: Option<Membership>,
    level: Option<u32>,
) -> Role {
    let usual = kv_config(cluster, None);
    kv_role(kv::Config { me, first, level: level.unwrap_or(usual.level), ..usual })
}

/// The KV of these settings.
pub fn kv_role(config: kv::Config<Hosted>) -> Role {
    Role::Kv(Box::new(kv::Kv::new(config)))
}
