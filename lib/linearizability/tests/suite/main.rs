//! The tests of the checker.

mod against_another;
mod explanations;
mod large;
mod planted;
mod simulated;
