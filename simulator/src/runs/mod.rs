//! Runs: one seed, many seeds, and what is told of them.

mod aims;
mod alarm;
mod changes;
mod due;
mod farewell;
mod groups;
mod happenings;
mod lives;
mod many;
mod one;
mod operator;
mod phases;
mod replacement;
mod report;
mod run;
mod strike;

pub use many::{Factory, Search, Summary, find_difference, run_many};
pub use one::run_one;
pub use report::{Report, Settings};
