//! The functions that the KV hosts.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use formats::message::kv::FunctionId;
use glossary::ClusterIdentity;
use namespaces::Namespaces;
use step::{Bug, Function, OrderedMap};

use crate::Role;

/// A function that the KV hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosted {
    /// The namespace manager.
    Namespaces(Namespaces),
}

impl Function for Hosted {
    fn apply(&self, map: &mut dyn OrderedMap, command: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        match self {
            Hosted::Namespaces(function) => function.apply(map, command),
        }
    }

    fn query(&self, map: &dyn OrderedMap, query: &[u8]) -> Vec<u8> {
        match self {
            Hosted::Namespaces(function) => function.query(map, query),
        }
    }
}

/// A KV of a cluster, with everything that it hosts. `snapshot_log_bytes` is the log after which a snapshot
/// is taken; `None` for the usual.
pub fn kv_role(cluster: ClusterIdentity, snapshot_log_bytes: Option<u64>, bug: Option<Bug>) -> Role {
    let functions = BTreeMap::from([(FunctionId::NAMESPACES, Hosted::Namespaces(Namespaces))]);
    let usual = kv::Config::new(cluster, functions);
    let snapshot_log_bytes = snapshot_log_bytes.unwrap_or(usual.snapshot_log_bytes);
    Role::Kv(Box::new(kv::Kv::new(kv::Config { snapshot_log_bytes, bug, ..usual })))
}
