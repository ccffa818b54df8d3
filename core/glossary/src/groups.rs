//! Groups of a KV.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A group of the KV: a map of its own, with a log that its members agree on. Number 0 is the root group, in which the
/// others are made; no number is given twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The group that is always there.
    pub const ROOT: GroupId = GroupId(0);
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
