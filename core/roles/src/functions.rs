//! The functions that the KV hosts.

use alloc::vec::Vec;
use namespaces::Namespaces;
use step::{Function, OrderedMap};

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
