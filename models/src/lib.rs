//! Protocols that keep data safe, in the smallest size that shows how they fail, checked exhaustively.
//!
//! A model has a switch per rule. With all rules on, every reachable state must be safe; with a rule off there
//! must be a way to lose data, which proves that the rule is needed and that the checker can see.

#![forbid(unsafe_code)]

pub mod log_recovery;
