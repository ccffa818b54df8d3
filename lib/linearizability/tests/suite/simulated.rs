//! Histories of a correct register, and of ones with faults.

use linearizability::models::{RegisterAction as Action, RegisterAnswer as Answer, RegisterOperation};
use linearizability::{CallId, History, Model, models::Register};

/// What is done to registers here.
pub(crate) type Operation = RegisterOperation<u64, u64>;

/// SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// A fault of the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A read answers what was there before the last change.
    StaleRead,
    /// A write is answered and not done.
    LostWrite,
    /// A write is done again after it was answered.
    DoubleApply,
}

/// How a history is made.
pub(crate) struct Shape {
    pub(crate) calls: usize,
    pub(crate) clients: u64,
    pub(crate) keys: u64,
    /// Of a hundred calls, how many get no answer; half of these happen.
    pub(crate) unanswered_percent: u64,
    pub(crate) fault: Option<Fault>,
}

/// A call under way.
struct Open {
    id: CallId,
    operation: Operation,
    /// What it will answer, once it happened.
    answer: Option<Answer<u64>>,
}

/// Makes a history of registers, each call of which happens at one instant but for the fault, which strikes now and
/// then in the second half.
pub(crate) fn history(seed: u64, shape: &Shape) -> History<Operation, Answer<u64>> {
    let mut rng = Rng(seed);
    let model = Register::new();
    let mut history = History::new();
    let mut states = vec![None; shape.keys as usize];
    let mut earlier = states.clone();
    let mut open: Vec<Option<Open>> = (0..shape.clients).map(|_| None).collect();
    let (mut begun, mut again) = (0, None);
    let strikes_after = shape.calls / 2;
    while begun < shape.calls || open.iter().any(Option::is_some) {
        let client = rng.below(shape.clients);
        let slot = &mut open[client as usize];
        let Some(call) = slot else {
            if begun < shape.calls {
                begun += 1;
                let operation = operation(&mut rng, shape.keys, begun as u64);
                let id = history.begin(client, operation.clone());
                *slot = Some(Open { id, operation, answer: None });
            }
            continue;
        };
        let key = call.operation.key as usize;
        if let Some(answer) = call.answer.take() {
            if rng.below(100) >= shape.unanswered_percent {
                history.end(call.id, answer);
            }
            *slot = None;
            continue;
        }
        if rng.below(100) < shape.unanswered_percent / 2 {
            *slot = None;
            continue;
        }
        if let Some((key, value)) = again.take_if(|_| rng.below(4) == 0) {
            states[key] = value;
        }
        let fault = shape.fault.filter(|_| begun > strikes_after && rng.below(4) == 0);
        let state = match fault {
            Some(Fault::StaleRead) if call.operation.action == Action::Read => &earlier[key],
            _ => &states[key],
        };
        let (after, answer) = happen(&model, state, &call.operation);
        call.answer = Some(answer);
        let is_change = after != states[key] && matches!(call.operation.action, Action::Write(_));
        match fault.filter(|_| is_change) {
            Some(Fault::LostWrite) => {}
            Some(Fault::DoubleApply) => {
                again = Some((key, after));
                (earlier[key], states[key]) = (states[key], after);
            }
            _ if matches!(call.operation.action, Action::Read) => {}
            _ => (earlier[key], states[key]) = (states[key], after),
        }
    }
    history
}

/// Does an operation: the state after it, and the right answer.
fn happen(
    model: &Register<u64, u64>,
    state: &Option<u64>,
    operation: &Operation,
) -> (Option<u64>, Answer<u64>) {
    let after = model.step(state, operation, None).expect("any answer is right");
    let answer = match &operation.action {
        Action::Read => Answer::Value(*state),
        Action::Write(_) | Action::Clear => Answer::Done,
        Action::CompareAndSet { expected, .. } => Answer::Swapped(expected == state),
    };
    (after, answer)
}

fn operation(rng: &mut Rng, keys: u64, number: u64) -> Operation {
    let key = rng.below(keys);
    let action = match rng.below(10) {
        0..5 => Action::Read,
        5..8 => Action::Write(number),
        8 => Action::CompareAndSet { expected: Some(rng.below(number + 1)), new: Some(number) },
        _ => Action::Clear,
    };
    RegisterOperation { key, action }
}
