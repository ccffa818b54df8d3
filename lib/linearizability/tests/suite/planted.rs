//! Faults are found, and nothing else is.

use linearizability::models::{AppendList, ListAction, ListAnswer, ListOperation, Register};
use linearizability::{Effort, History, Verdict, check};

use crate::simulated::{Fault, Shape, history};

/// How many of so many histories with a fault are found to be wrong. A fault that no later answer shows is none.
fn found(fault: Fault) -> usize {
    let shape = Shape { calls: 200, clients: 5, keys: 2, unanswered_percent: 2, fault: Some(fault) };
    let is_found = |seed: &u64| {
        matches!(check(&Register::new(), &history(*seed, &shape), Effort::default()), Verdict::Violated(_))
    };
    (0..50).filter(is_found).count()
}

#[test]
fn right_histories_are_linearizable() {
    for (clients, unanswered_percent) in [(1, 0), (3, 0), (5, 5), (16, 2)] {
        let shape = Shape { calls: 200, clients, keys: 2, unanswered_percent, fault: None };
        for seed in 0..50 {
            let verdict = check(&Register::new(), &history(seed, &shape), Effort::default());
            assert!(matches!(verdict, Verdict::Linearizable), "{clients} clients, seed {seed}: {verdict:?}");
        }
    }
}

#[test]
fn stale_reads_are_found() {
    assert!(found(Fault::StaleRead) >= 15, "{}", found(Fault::StaleRead));
}

#[test]
fn lost_writes_are_found() {
    assert!(found(Fault::LostWrite) >= 25, "{}", found(Fault::LostWrite));
}

#[test]
fn double_applies_are_found() {
    assert!(found(Fault::DoubleApply) >= 15, "{}", found(Fault::DoubleApply));
}

/// A client appends 1 and 2, and reads.
fn list(read: &[u64]) -> Verdict<AppendList<()>> {
    let on = |action| ListOperation { key: (), action };
    let mut history = History::new();
    let one = history.begin(1, on(ListAction::Append(1)));
    let two = history.begin(2, on(ListAction::Append(2)));
    history.end(one, ListAnswer::Done);
    history.end(two, ListAnswer::Done);
    // Its answer never comes.
    history.begin(3, on(ListAction::Append(3)));
    let all = history.begin(1, on(ListAction::Read));
    history.end(all, ListAnswer::Items(read.to_vec()));
    check(&AppendList::new(), &history, Effort::default())
}

#[test]
fn lists_show_what_was_lost_doubled_or_reordered() {
    for right in [&[1, 2][..], &[2, 1], &[1, 2, 3], &[2, 1, 3]] {
        assert!(matches!(list(right), Verdict::Linearizable), "{right:?}");
    }
    for wrong in [&[1][..], &[], &[1, 2, 2], &[1, 3, 2], &[1, 2, 3, 3], &[1, 2, 4]] {
        assert!(matches!(list(wrong), Verdict::Violated(_)), "{wrong:?}");
    }
}
