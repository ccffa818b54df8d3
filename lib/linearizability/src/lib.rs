//! Whether a recorded history of concurrent calls is linearizable: whether each call can be thought to have happened
//! at one instant between its beginning and its answer, so that all answers are right.
//!
//! The search is that of Wing and Gong (1993) with Lowe's memory of what was tried (2017): it takes calls that could
//! come next, in any order, goes back where an answer does not fit, and never looks twice at the same set of calls
//! with the same state. Calls on different keys are checked apart, as Herlihy and Wing (1990) prove to be enough.
//! A call whose answer never came may have happened at any time after it began, or not at all.
//!
//! ```
//! use linearizability::models::{Register, RegisterAction as Action, RegisterAnswer as Answer, RegisterOperation};
//! use linearizability::{Effort, History, Verdict, check};
//!
//! let on = |action| RegisterOperation { key: "x", action };
//! let mut history = History::new();
//! let write = history.begin(1, on(Action::Write(5)));
//! history.end(write, Answer::Done);
//! let read = history.begin(2, on(Action::Read));
//! history.end(read, Answer::Value(None));
//! let verdict = check(&Register::new(), &history, Effort::default());
//! assert!(matches!(verdict, Verdict::Violated(_)), "the read is stale");
//! ```
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod check;
mod done;
mod explanation;
mod history;
mod model;
pub mod models;
mod search;

pub use check::{Effort, Verdict, check};
pub use explanation::Explanation;
pub use history::{Call, CallId, History};
pub use model::Model;
