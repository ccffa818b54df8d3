//! What a violation looks like to people.

use linearizability::models::{
    Register, RegisterAction as Action, RegisterAnswer as Answer, RegisterOperation,
};
use linearizability::{Effort, History, Verdict, check};

#[test]
fn the_shortest_part_that_shows_it_is_shown() {
    let on = |action| RegisterOperation { key: "x", action };
    let mut history = History::new();
    for value in 1..=50 {
        let write = history.begin(1, on(Action::Write(value)));
        history.end(write, Answer::Done);
    }
    let write = history.begin(1, on(Action::Write(51)));
    let early = history.begin(2, on(Action::Read));
    history.end(early, Answer::Value(Some(51)));
    let late = history.begin(3, on(Action::Read));
    history.end(late, Answer::Value(Some(50)));
    history.end(write, Answer::Done);
    for value in 52..=100 {
        let write = history.begin(1, on(Action::Write(value)));
        history.end(write, Answer::Done);
    }
    let Verdict::Violated(explanation) = check(&Register::new(), &history, Effort::default()) else {
        panic!("the late read is older than the early one")
    };
    let shown = r#"key "x": no order of these calls explains their answers
  possible before them: [Some(51)]
    101..      client 1: RegisterOperation { key: "x", action: Write(51) }, no answer yet
    104..105   client 3: RegisterOperation { key: "x", action: Read } -> Value(Some(50))  <- fits no order
"#;
    assert_eq!(explanation.to_string(), shown);
}
