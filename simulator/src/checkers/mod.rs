//! Checkers, named after the promises. They see histories of guests and nothing else, except where a promise
//! is about what guests don't see (P7, P9).

mod cells;
mod facts;
mod p3_prefix;
mod p5_linearizable;
mod p6_right_bytes;
#[cfg(test)]
mod tests;
mod violation;

pub use violation::{Promise, Violation};

use crate::workload::History;
use facts::Facts;

/// Checks P1, P2, P3, P5 and P6 on the history of one vDisk: violations in the order they showed.
pub fn check(history: &History) -> Vec<Violation> {
    let facts = Facts::new(history);
    let mut violations = p6_right_bytes::check(&facts);
    violations.extend(p5_linearizable::check(&facts));
    violations.extend(p3_prefix::check(&facts));
    violations.sort_by_key(|violation| (violation.at, violation.promise, violation.range.start));
    violations
}
