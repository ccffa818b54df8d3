//! The roles of a cluster, with the settings of its sizes.

use core::time::Duration;

use consensus::Membership;
use formats::message::member::member_of;
use formats::recording::RoleCard;
use glossary::{ByteCount, ClientId, NodeId, OsdId, ServerId};
use roles::Role;

use super::sizes::{Sizes, asd_capacity, osd_identity};
use super::{CLUSTER, OBJECTS, RolesCluster, VOLUME_DRIVER};
use crate::cluster::{Cluster, Part};

impl RolesCluster {
    /// What a deployment of the same shape would tell a node of its role. What only the simulator makes small is
    /// as large as it usually is.
    pub fn card(&self, node: NodeId) -> RoleCard {
        let asd = |index: u32| RoleCard::Asd {
            identity: osd_identity(index),
            capacity: ByteCount(asd_capacity()),
            segment: ByteCount(self.sizes.segment_bytes),
            checkpoint_every: ByteCount(self.sizes.checkpoint_every),
        };
        let osds = self.sizes.osds().into_iter().zip((0..).map(|index| self.sizes.asd(index)));
        match self.layout.node(node).part {
            Part::Kv if self.sizes.is_one() => RoleCard::Kv { cluster: CLUSTER },
            Part::Kv => {
                let kv::Config { cluster, me, first, nodes, .. } = self.kv(node);
                RoleCard::KvMember { cluster, me, first, nodes: nodes.into_iter().collect() }
            }
            Part::Objects => RoleCard::ObjectsOfGroups {
                kv: self.configured.clone(),
                namespaces: self.sizes.namespaces(),
                osds: osds.collect(),
                gone: Vec::new(),
            },
            Part::VolumeDriver => RoleCard::VolumeDriverOfGroups {
                node,
                kv: self.configured.clone(),
                namespaces: self.sizes.namespaces(),
                objects: OBJECTS,
                accept_loss: false,
            },
            Part::Edge => RoleCard::Edge { client: client_of(node), volume_driver: VOLUME_DRIVER },
            Part::Asd => asd(node.0 - self.sizes.asd(0).0),
        }
    }

    /// The settings of a member of the KV's group.
    pub(super) fn kv(&self, node: NodeId) -> kv::Config<roles::Hosted> {
        let usual = roles::kv_config(CLUSTER, self.bug);
        let Sizes { checkpoint_log_bytes, checkpoint_rows, log_ahead_bytes, .. } = self.sizes;
        // Disks are as small here as logs are.
        let room_kept = checkpoint_log_bytes / 16;
        let config =
            kv::Config { checkpoint_log_bytes, checkpoint_rows, log_ahead_bytes, room_kept, ..usual };
        if self.sizes.is_one() {
            return config;
        }
        // Where the others are follows from their numbers.
        let me = self.member_of(node);
        let first = (1..=self.sizes.members).map(|server| member_of(ServerId(server), 0));
        let first = Membership::of_voters(first);
        let first = first.contains(me).then_some(first);
        let level = self.level_of(node);
        kv::Config { me, first, level, kept_entries: self.sizes.kept_entries, ..config }
    }

    /// The number of the server that a node of the KV is.
    pub(super) fn server_at(&self, node: NodeId) -> Option<u16> {
        (1..=self.sizes.servers()).find(|server| self.sizes.member(server - 1) == node)
    }

    pub(super) fn volume_driver(&self) -> Role {
        let usual = volume::Config::new(VOLUME_DRIVER, self.configured.clone(), OBJECTS);
        Role::VolumeDriver(Box::new(volume::VolumeDriver::new(volume::Config {
            namespaces: self.sizes.namespaces(),
            tlog_covers: self.sizes.tlog_covers,
            retry_first: self.sizes.retry,
            retry_max: self.sizes.retry * 8,
            bug: self.bug,
            ..usual
        })))
    }

    pub(super) fn edge(&self, node: NodeId) -> Role {
        let usual = edge::Config::new(client_of(node), VOLUME_DRIVER);
        Role::Edge(Box::new(edge::Edge::new(edge::Config {
            remember_max: ByteCount(self.sizes.remember_bytes),
            retry_first: self.sizes.retry,
            retry_max: self.sizes.retry * 8,
            silence: self.sizes.retry * 10,
            bug: self.bug,
            ..usual
        })))
    }

    /// An objects client that is told that these OSDs are gone.
    pub fn objects(&self, gone: Vec<OsdId>) -> Role {
        let osds = self.sizes.osds().into_iter().enumerate().map(|(index, record)| objects::OsdConfig {
            osd: record.osd,
            node: self.sizes.asd(index as u32),
            identity: record.identity,
            storage_node: record.storage_node,
        });
        let settings =
            objects::Settings { probe_longest: Duration::from_secs(2), ..objects::Settings::default() };
        let config = objects::Config {
            kv: self.configured.clone(),
            namespaces: self.sizes.namespaces(),
            osds: osds.collect(),
            gone,
            settings,
            bug: self.bug,
        };
        Role::Objects(Box::new(objects::Objects::new(config)))
    }

    pub(super) fn asd(&self, index: u32) -> Role {
        Role::Asd(Box::new(asd::Asd::new(asd::Config {
            identity: osd_identity(index),
            capacity: ByteCount(asd_capacity()),
            segment_bytes: self.sizes.segment_bytes,
            checkpoint_every: self.sizes.checkpoint_every,
            bug: self.bug,
        })))
    }
}

/// An Edge is the same client in every life.
fn client_of(edge: NodeId) -> ClientId {
    ClientId(u64::from(edge.0))
}
