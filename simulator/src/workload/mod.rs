//! Guests: what they do, what they write, and what they remember of it.

mod growth;
mod guest;
mod history;
pub mod pattern;
mod profile;

pub(crate) use growth::Growth;
pub use guest::{Guest, Task};
pub use history::{History, Operation, Outcome, Request};
pub use profile::{Action, Profile};
