//! What a role's counters are called.

use facts::Described;
use formats::message::admin::RoleStatus;

/// The role's name, name and help of each of its counters, and their values in the same order.
pub fn counters_of(status: &RoleStatus) -> (&'static str, &'static [Described], &[u64]) {
    match status {
        RoleStatus::Edge { counters, .. } => ("edge", edge::COUNTERS, counters),
        RoleStatus::VolumeDriver { counters, .. } => ("volume_driver", volume::COUNTERS, counters),
        RoleStatus::Objects { counters, .. } => ("objects", objects::COUNTERS, counters),
        RoleStatus::Asd { counters, .. } => ("asd", asd::COUNTERS, counters),
        RoleStatus::Kv { counters, .. } | RoleStatus::KvMember { counters, .. } => {
            ("kv", kv::COUNTERS, counters)
        }
    }
}
