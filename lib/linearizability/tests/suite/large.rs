//! Long histories need little effort, and hard ones don't hang.

use linearizability::models::{
    Register, RegisterAction as Action, RegisterAnswer as Answer, RegisterOperation,
};
use linearizability::{Effort, History, Verdict, check};

use crate::simulated::{Fault, Shape, history};

#[test]
fn ten_thousand_calls_of_sixteen_clients_need_little_effort() {
    // A million tries take a quarter of a second: one register that all clients use all the time is the worst case.
    for (keys, tries_max) in [(1, 3_000_000), (10, 60_000)] {
        let shape = Shape { calls: 10_000, clients: 16, keys, unanswered_percent: 0, fault: None };
        for seed in 0..3 {
            let verdict = check(&Register::new(), &history(seed, &shape), Effort { tries_max });
            assert!(matches!(verdict, Verdict::Linearizable), "{keys} keys, seed {seed}: {verdict:?}");
        }
    }
}

#[test]
fn a_fault_in_ten_thousand_calls_is_found() {
    let shape =
        Shape { calls: 10_000, clients: 16, keys: 10, unanswered_percent: 0, fault: Some(Fault::LostWrite) };
    let mut found = 0;
    for seed in 0..5 {
        let verdict = check(&Register::new(), &history(seed, &shape), Effort { tries_max: 2_000_000 });
        found += usize::from(matches!(verdict, Verdict::Violated(_)));
    }
    assert!(found >= 2, "{found}");
}

#[test]
fn what_is_too_hard_is_undecided() {
    let mut history = History::new();
    let on = |action| RegisterOperation { key: 7, action };
    for value in 0..40 {
        history.begin(value, on(Action::Write(value)));
    }
    let read = history.begin(99, on(Action::Read));
    history.end(read, Answer::Value(Some(1000)));
    let verdict = check(&Register::new(), &history, Effort { tries_max: 10_000 });
    assert!(matches!(verdict, Verdict::Undecided(7)), "{verdict:?}");
}
