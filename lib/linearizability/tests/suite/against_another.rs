//! The same verdicts as another checker, on small histories of any kind, right or wrong.

use linearizability::models::{
    Register, RegisterAction as Action, RegisterAnswer as Answer, RegisterOperation,
};
use linearizability::{CallId, Effort, History, Model, Verdict, check};
use proptest::prelude::*;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

/// One register, as the other checker wants it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Spec(Option<u8>);

impl SequentialSpec for Spec {
    type Op = Action<u8>;
    type Ret = Answer<u8>;

    fn invoke(&mut self, action: &Action<u8>) -> Answer<u8> {
        let before = self.0;
        let operation = RegisterOperation { key: (), action: action.clone() };
        self.0 = Register::new().step(&self.0, &operation, None).expect("any answer is right");
        match action {
            Action::Read => Answer::Value(before),
            Action::Write(_) | Action::Clear => Answer::Done,
            Action::CompareAndSet { expected, .. } => Answer::Swapped(*expected == before),
        }
    }
}

fn action() -> impl Strategy<Value = Action<u8>> {
    let value = || prop::option::of(0u8..3);
    prop_oneof![
        3 => Just(Action::Read),
        3 => (0u8..3).prop_map(Action::Write),
        1 => Just(Action::Clear),
        2 => (value(), value()).prop_map(|(expected, new)| Action::CompareAndSet { expected, new }),
    ]
}

/// An answer of the right kind, which may be wrong.
fn answer(action: &Action<u8>, draw: u8) -> Answer<u8> {
    match action {
        Action::Read => Answer::Value((draw % 4).checked_sub(1)),
        Action::Write(_) | Action::Clear => Answer::Done,
        Action::CompareAndSet { .. } => Answer::Swapped(draw.is_multiple_of(2)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_agree(steps in prop::collection::vec((0u64..4, action(), any::<u8>()), 1..14)) {
        let mut history = History::new();
        let mut other = LinearizabilityTester::new(Spec::default());
        let mut open: [Option<(CallId, Action<u8>)>; 4] = Default::default();
        for (client, action, draw) in steps {
            let slot = &mut open[client as usize];
            if let Some((id, action)) = slot.take() {
                let answer = answer(&action, draw);
                history.end(id, answer.clone());
                other.on_return(client, answer).expect("it was asked");
            } else {
                other.on_invoke(client, action.clone()).expect("one at a time");
                let id = history.begin(client, RegisterOperation { key: (), action: action.clone() });
                *slot = Some((id, action));
            }
        }
        let verdict = check(&Register::new(), &history, Effort::default());
        let is_linearizable = matches!(verdict, Verdict::Linearizable);
        prop_assert_eq!(is_linearizable, other.is_consistent(), "{:?}", verdict);
    }
}
