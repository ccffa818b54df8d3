//! A role from its card: the same for servers, the simulator and replays.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use formats::message::kv::FunctionId;
use formats::recording::RoleCard;
use formats::registry::OsdRecord;
use glossary::{ClusterIdentity, NodeId};
use namespaces::Namespaces;
use step::Bug;

use crate::{Hosted, Role};

/// Makes the role that a card names, at the start of a life. `bug` is for the simulator.
pub fn cast(card: &RoleCard, bug: Option<Bug>) -> Role {
    match card {
        RoleCard::Kv { cluster } => kv_role(*cluster, None, bug),
        RoleCard::Asd { identity, capacity, segment, checkpoint_every } => {
            let (identity, capacity) = (*identity, *capacity);
            let (segment_bytes, checkpoint_every) = (segment.0, checkpoint_every.0);
            let config = asd::Config { identity, capacity, segment_bytes, checkpoint_every, bug };
            Role::Asd(Box::new(asd::Asd::new(config)))
        }
        RoleCard::Objects { kv, osds, gone } => {
            let osds: Vec<_> = osds.iter().map(|(osd, node)| osd_config(osd, *node)).collect();
            let (gone, settings) = (gone.clone(), objects::Settings::default());
            let config = objects::Config { kv: *kv, osds, gone, settings, bug };
            Role::Objects(Box::new(objects::Objects::new(config)))
        }
        RoleCard::VolumeDriver { node, kv, objects, accept_loss } => {
            let accept_loss = *accept_loss;
            let config = volume::Config { accept_loss, bug, ..volume::Config::new(*node, *kv, *objects) };
            Role::VolumeDriver(Box::new(volume::VolumeDriver::new(config)))
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

/// A KV of a cluster, with everything that it hosts. `snapshot_log_bytes` is the log after which a snapshot
/// is taken; `None` for the usual.
pub fn kv_role(cluster: ClusterIdentity, snapshot_log_bytes: Option<u64>, bug: Option<Bug>) -> Role {
    let functions = BTreeMap::from([(FunctionId::NAMESPACES, Hosted::Namespaces(Namespaces))]);
    let usual = kv::Config::new(cluster, functions);
    let snapshot_log_bytes = snapshot_log_bytes.unwrap_or(usual.snapshot_log_bytes);
    Role::Kv(Box::new(kv::Kv::new(kv::Config { snapshot_log_bytes, bug, ..usual })))
}
