//! What clients do with the log: registers, whose history is checked from outside.

use std::collections::BTreeMap;

use linearizability::models::{Register, RegisterAction as Action, RegisterAnswer, RegisterOperation};
use linearizability::{CallId, Effort, Model, Verdict, check};

use super::checker::Violation;
use super::rng::Rng;

pub(crate) type Operation = RegisterOperation<u8, u64>;
pub(crate) type Answer = RegisterAnswer<u64>;
pub(crate) type History = linearizability::History<Operation, Answer>;

/// Few keys, so that clients meet.
const KEYS: u64 = 4;

/// Registers by key; absent ones are empty.
pub(crate) type Registers = BTreeMap<u8, u64>;

/// A command under way: the term it was promised, and its call.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) term: consensus::Term,
    pub(crate) call: CallId,
}

/// An operation that changes something, and its command. `value` was never written before.
pub(crate) fn draw_change(rng: &mut Rng, value: u64) -> (Operation, Vec<u8>) {
    let key = rng.below(KEYS) as u8;
    let expected = rng.percent(80).then(|| value.saturating_sub(rng.below(12)));
    let action = match rng.below(10) {
        0..6 => Action::Write(value),
        6 => Action::Clear,
        _ => Action::CompareAndSet { expected, new: Some(value) },
    };
    let (tag, expected) = match &action {
        Action::Clear => (1, 0),
        Action::CompareAndSet { expected, .. } => (2, expected.unwrap_or(0)),
        Action::Read | Action::Write(_) => (0, 0),
    };
    let mut command = value.to_le_bytes().to_vec();
    command.extend_from_slice(&[key, tag]);
    command.extend_from_slice(&expected.to_le_bytes());
    command.resize(command.len() + rng.below(90) as usize, 7);
    let action = decode(&command).action;
    (RegisterOperation { key, action }, command)
}

pub(crate) fn draw_read(rng: &mut Rng) -> Operation {
    RegisterOperation { key: rng.below(KEYS) as u8, action: Action::Read }
}

fn decode(command: &[u8]) -> Operation {
    let number = |at: usize| u64::from_le_bytes(command[at..at + 8].try_into().expect("eight bytes"));
    let (value, expected) = (number(0), number(10));
    let action = match command[9] {
        0 => Action::Write(value),
        1 => Action::Clear,
        _ => Action::CompareAndSet { expected: (expected > 0).then_some(expected), new: Some(value) },
    };
    RegisterOperation { key: command[8], action }
}

/// Does a command.
pub(crate) fn apply(registers: &mut Registers, command: &[u8]) -> Answer {
    let operation = decode(command);
    let before = registers.get(&operation.key).copied();
    let after = Register::new().step(&before, &operation, None).expect("any answer is right");
    match after {
        Some(value) => registers.insert(operation.key, value),
        None => registers.remove(&operation.key),
    };
    match operation.action {
        Action::CompareAndSet { expected, .. } => Answer::Swapped(expected == before),
        Action::Read | Action::Write(_) | Action::Clear => Answer::Done,
    }
}

/// Whether the registers behaved as if each call happened at one instant. True where it was found out.
pub(crate) fn check_history(history: &History) -> Result<bool, Violation> {
    match check(&Register::new(), history, Effort { tries_max: 50_000 }) {
        Verdict::Linearizable => Ok(true),
        Verdict::Undecided(_) => Ok(false),
        Verdict::Violated(explanation) => Err(format!("not linearizable: {explanation}")),
    }
}
