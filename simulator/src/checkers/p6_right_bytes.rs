//! P6: what is read is exactly what some write put there, or zeros. An answer that fits no question counts as
//! wrong bytes too.

use crate::workload::Outcome;
use crate::workload::pattern::Value;

use super::facts::Facts;
use super::violation::{Promise, Violation};

/// Finds a violation for each cell and each answer that has one.
pub(crate) fn check(facts: &Facts<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for operation in &facts.history.operations {
        if let Outcome::Nonsense(why) = operation.outcome {
            let (at, range) = (operation.ended, operation.request.range());
            let what = format!("{:?} was answered with {why}", operation.request);
            violations.push(Violation { promise: Promise::P6, at, range, what });
        }
    }
    for (cell, sights) in facts.sights.iter().enumerate() {
        let wrong = sights.iter().find(|sight| match sight.value {
            Value::Nobody => true,
            Value::Of(number) => facts.sent(number) > sight.ended,
            Value::Zeros => false,
        });
        if let Some(sight) = wrong {
            let what = match sight.value {
                Value::Of(number) => format!("saw {} before it was sent", facts.tell(number)),
                _ => "saw what nobody wrote there".into(),
            };
            let what = format!("{} {what}", facts.tell(sight.read));
            let range = facts.cells.bytes(cell);
            violations.push(Violation { promise: Promise::P6, at: sight.ended, range, what });
        }
    }
    violations
}
