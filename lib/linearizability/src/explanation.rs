//! Why a history has no order: the shortest part that shows it.

use alloc::vec::Vec;
use core::fmt;

use crate::check::Effort;
use crate::history::CallOf;
use crate::search::{Found, Search};
use crate::{Call, Model};

/// States that are listed at most.
const STATES_MAX: usize = 8;

/// The shortest part of a history that has no order. Its `Display` is for people.
#[derive(Clone, Debug)]
pub struct Explanation<M: Model> {
    /// The key on which it happened.
    pub key: M::Key,
    /// States that were possible when the part began, some of them.
    pub before: Vec<M::State>,
    /// From the last moment at which no answered call was under way, to the answer that fits no order. Calls that were
    /// not answered by then stand without an answer.
    pub calls: Vec<Call<M::Operation, M::Answer>>,
}

/// Explains calls of one key that have no order.
pub(crate) fn explain<M: Model>(
    model: &M,
    key: M::Key,
    calls: &[CallOf<M>],
    effort: Effort,
) -> Explanation<M> {
    let mut ends: Vec<u64> = calls.iter().filter_map(|call| call.end.as_ref().map(|(end, _)| *end)).collect();
    ends.sort_unstable();
    // What has no order has none however much is added, so the first answer that fits no order is found by halving.
    let is_explained = |end: &u64| {
        let prefix = as_of(calls, *end);
        let mut tries = effort.tries_max;
        Search::new(model, &prefix, model.initial(&key)).run(&mut tries) != Found::Nothing
    };
    let shortest = ends.partition_point(is_explained);
    let last = ends.get(shortest).or(ends.last()).copied().unwrap_or(0);
    let prefix = as_of(calls, last);
    let begin = quiet_before(&prefix, last);
    let is_over = |call: &Call<_, _>| call.end.as_ref().is_some_and(|(end, _)| *end <= begin);
    let earlier = as_of(calls, begin);
    let mut before = Vec::new();
    let mut tries = effort.tries_max;
    Search::new(model, &earlier, model.initial(&key)).run_each(&mut tries, |state| {
        if !before.contains(state) {
            before.push(state.clone());
        }
        before.len() >= STATES_MAX
    });
    let calls = prefix.into_iter().filter(|call| !is_over(call)).collect();
    Explanation { key, before, calls }
}

/// The calls as they were known at a moment.
fn as_of<O: Clone, A: Clone>(calls: &[Call<O, A>], moment: u64) -> Vec<Call<O, A>> {
    calls.iter().filter_map(|call| call.as_of(moment)).collect()
}

/// The last moment, before the call that was answered last began, at which no answered call was under way.
fn quiet_before<O, A>(calls: &[Call<O, A>], last: u64) -> u64 {
    let mut begin = last;
    // Later calls reach back to earlier ones; as they are sorted by their beginnings, one pass backwards is enough.
    for call in calls.iter().rev() {
        if call.end.as_ref().is_some_and(|(end, _)| *end >= begin) {
            begin = begin.min(call.begin);
        }
    }
    begin.saturating_sub(1)
}

impl<M: Model> fmt::Display for Explanation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "key {:?}: no order of these calls explains their answers", self.key)?;
        writeln!(f, "  possible before them: {:?}", self.before)?;
        let last = self.calls.iter().filter_map(|call| call.end.as_ref().map(|(end, _)| *end)).max();
        for call in &self.calls {
            let Call { client, operation, begin, end } = call;
            match end {
                Some((end, answer)) => {
                    let note = if Some(*end) == last { "  <- fits no order" } else { "" };
                    writeln!(f, "  {begin:>5}..{end:<5} client {client}: {operation:?} -> {answer:?}{note}")?;
                }
                None => writeln!(f, "  {begin:>5}..      client {client}: {operation:?}, no answer yet")?,
            }
        }
        Ok(())
    }
}
