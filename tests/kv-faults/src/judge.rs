//! What clients did and saw, and whether one KV that does one thing after another explains it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use linearizability::models::{Register, RegisterAction, RegisterAnswer, RegisterOperation};
use linearizability::{CallId, Effort, History, Verdict, check};

pub(crate) type Action = RegisterAction<u64>;
pub(crate) type Answer = RegisterAnswer<u64>;

/// What all clients did, in the order of its beginnings and ends.
#[derive(Default)]
pub(crate) struct Record {
    history: Mutex<History<RegisterOperation<u8, u64>, Answer>>,
    /// When calls were answered.
    answers: Mutex<Vec<Instant>>,
}

impl Record {
    /// A client is about to ask.
    pub(crate) fn begin(&self, client: u64, key: u8, action: Action) -> CallId {
        self.history().begin(client, RegisterOperation { key, action })
    }

    /// It was answered. What is never answered may have happened or not.
    pub(crate) fn end(&self, call: CallId, answer: Answer) {
        self.history().end(call, answer);
        self.answers.lock().expect("no client panics in it").push(Instant::now());
    }

    /// The longest time in a stretch in which no client was answered.
    pub(crate) fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let answers = self.answers.lock().expect("no client panics in it");
        let within = answers.iter().copied().filter(|at| (from..=to).contains(at));
        let ends = within.chain([to]).scan(from, |last, at| Some(at - std::mem::replace(last, at)));
        ends.max().unwrap_or_default()
    }

    /// Judges it all, where no call may have failed.
    pub(crate) fn judge_all(&self, least: usize) -> Result<()> {
        let failed = self.history().calls().iter().filter(|call| call.end.is_none()).count();
        ensure!(failed == 0, "{failed} calls failed");
        self.judge(least)
    }

    /// Judges it all. `least` answers are needed for a judgement to be worth something.
    pub(crate) fn judge(&self, least: usize) -> Result<()> {
        let history = self.history();
        let answered = history.calls().iter().filter(|call| call.end.is_some()).count();
        println!("{} calls, {answered} of them answered", history.calls().len());
        ensure!(answered >= least, "only {answered} calls were answered, and {least} are needed");
        match check(&Register::new(), &history, Effort::default()) {
            Verdict::Linearizable => Ok(()),
            Verdict::Violated(explanation) => bail!("what clients saw has no order:\n{explanation}"),
            _ => bail!("the history is too long to be judged"),
        }
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History<RegisterOperation<u8, u64>, Answer>> {
        self.history.lock().expect("no client panics in it")
    }
}
