//! A function for tests that host none.

use alloc::vec::Vec;
use step::{Function, OrderedMap};

/// Nobody calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoFunction;

impl Function for NoFunction {
    fn apply(&self, _map: &mut dyn OrderedMap, _command: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        Err(Vec::new())
    }

    fn query(&self, _map: &dyn OrderedMap, _query: &[u8]) -> Vec<u8> {
        Vec::new()
    }
}
