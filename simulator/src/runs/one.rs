//! One seed, from the first event to the verdict.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::report::{Report, Settings};
use super::run::Run;
use crate::cluster::Cluster;
use crate::{Tally, Trace};

/// Runs a seed. A role that panics fails it.
pub fn run_one<C: Cluster>(make: impl FnOnce() -> C, seed: u64, settings: &Settings) -> Report {
    let trace = Trace::new(settings.trace_lines, settings.trace_until);
    let account = trace.clone();
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut run = Run::new(make(), seed, settings.operations, settings.profile, trace);
        run.play(settings.operations);
        run.judge();
        Report {
            seed,
            digest: run.engine.digest(),
            tally: run.engine.tally(),
            crashes: run.crashes.len() as u64,
            violations: run.violations,
            panic: None,
            operations: run.guests.iter().map(|guest| guest.operations() as u64).sum(),
            steps: run.engine.steps(),
            trace: run.engine.trace.clone(),
        }
    }));
    played.unwrap_or_else(|panic| Report {
        seed,
        digest: 0,
        tally: Tally::default(),
        crashes: 0,
        violations: Vec::new(),
        panic: Some(text(&*panic)),
        operations: 0,
        steps: 0,
        trace: account,
    })
}

fn text(panic: &dyn Any) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
