//! The rules are enough, and each is needed.

use models::log_recovery::{Rule, Rules, Search, check};

/// Nothing that can happen within the model's bounds breaks a promise, and what must be possible is.
#[test]
fn all_rules_together_keep_every_promise() {
    let report = check(Rules::all(), Search::Exhaustive);
    assert_eq!(report.breaches, []);
    assert_eq!(report.never, Vec::<&str>::new());
    // A model that grew too small to show anything would pass as well.
    assert!(report.states > 1_000_000, "only {} states", report.states);
}

/// Without any one rule, the promise that it guards is broken.
#[test]
fn each_rule_is_needed() {
    for rule in Rule::ALL {
        let report = check(Rules::without(&[rule]), Search::UntilBroken);
        let broken: Vec<&str> = report.breaches.iter().map(|breach| breach.promise).collect();
        assert!(broken.contains(&rule.breaks().text()), "without {rule:?} only {broken:?} is broken");
    }
}
