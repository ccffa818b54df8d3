//! The KV's group under fire: who asks it, and what is checked of its members and its answers.

mod asker;
mod group;
mod model;

pub use asker::{Asker, Whose};
pub use group::{GroupChecker, GroupCheckers};
pub use model::{Answer, KEYS, KvHistory, Operation, Value, check};
