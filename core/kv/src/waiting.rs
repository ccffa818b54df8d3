//! Questions that wait for what this member will apply: reads at an index, and watches.

use alloc::vec::Vec;
use core::time::Duration;
use formats::Effect;
use formats::kv_client::{AT_LEAST_WAIT, WATCH_WAIT};
use formats::message::kv::{KvAnswer, KvError, KvFound, KvQuery};
use glossary::NodeId;
use step::{Effects, Function};

use crate::counters::{Counter, Counters};
use crate::device::Device;
use crate::group::Group;
use crate::hosted::{Hosted, reply};
use crate::limits::{MAX_WAITING, MAX_WAITING_BYTES, MAX_WAITING_OF_ONE, query_bytes};
use crate::state::State;

/// How often it is looked who waited long enough.
pub(crate) const LOOK: Duration = Duration::from_millis(500);

/// Who waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    waiters: Vec<Waiter>,
    bytes: usize,
    /// The command up to which all were looked at.
    seen: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiter {
    from: NodeId,
    request: u64,
    /// It is answered by a state that has applied this command; a watch, by one that changed something behind it.
    at_least: u64,
    query: KvQuery,
    is_watch: bool,
    /// Looks that are left.
    looks: u128,
}

impl Waiting {
    /// Lets a question wait; one that came before is the same, and waits as long. False: there is no room.
    fn push(&mut self, mut waiter: Waiter) -> bool {
        let is_same = |other: &Waiter| (other.from, other.request) == (waiter.from, waiter.request);
        if let Some(place) = self.waiters.iter().position(is_same) {
            waiter.looks = self.remove(place).looks;
        }
        let own = self.waiters.iter().filter(|other| other.from == waiter.from).count();
        let bytes = self.bytes + query_bytes(&waiter.query);
        if self.waiters.len() == MAX_WAITING || own == MAX_WAITING_OF_ONE || bytes > MAX_WAITING_BYTES {
            return false;
        }
        self.bytes = bytes;
        self.waiters.push(waiter);
        true
    }

    fn remove(&mut self, place: usize) -> Waiter {
        let waiter = self.waiters.remove(place);
        self.bytes -= query_bytes(&waiter.query);
        waiter
    }
}

/// The answer to a watch or a read at an index; none when it is to be waited for.
fn answer<F: Function>(state: &State<F>, at_least: u64, query: &KvQuery) -> Option<KvAnswer> {
    if state.index < at_least {
        return None;
    }
    let answer = state.query_at(query);
    let is_nothing = |answer: &KvAnswer| match answer {
        KvAnswer::Read { found: KvFound::Changes { changes, .. }, .. } => changes.is_empty(),
        _ => false,
    };
    (!is_nothing(&answer)).then_some(answer)
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// A question for what was applied up to `at_least`, or a watch. None: it waits.
    pub(crate) fn read_at(
        &mut self,
        (from, request): (NodeId, u64),
        at_least: u64,
        query: KvQuery,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Option<KvAnswer> {
        if let Some(answer) = answer(&self.state, at_least, &query) {
            counters.add(Counter::Queries, 1);
            return Some(answer);
        }
        let is_watch = matches!(query, KvQuery::Watch { .. });
        let looks = (if is_watch { WATCH_WAIT } else { AT_LEAST_WAIT }).as_millis() / LOOK.as_millis();
        if !self.waiting.push(Waiter { from, request, at_least, query, is_watch, looks }) {
            counters.add(Counter::NotNow, 1);
            return Some(KvAnswer::Failed(KvError::Unavailable));
        }
        // Commands up to here have nothing for it; what others saw of them, they saw.
        self.waiting.seen = self.waiting.seen.max(self.state.index);
        device.look_later(effects);
        None
    }

    /// Commands were applied: answers who waited for them.
    pub(crate) fn wake(&mut self, counters: &mut Counters, effects: &mut Effects<Effect>) {
        if self.waiting.waiters.is_empty() || self.waiting.seen == self.state.index {
            return;
        }
        let seen = core::mem::replace(&mut self.waiting.seen, self.state.index);
        let mut place = 0;
        while let Some(waiter) = self.waiting.waiters.get(place) {
            let answer = match self.is_woken(waiter, seen) {
                true => answer(&self.state, waiter.at_least, &waiter.query),
                false => None,
            };
            match answer {
                Some(answer) => {
                    let Waiter { from, request, .. } = self.waiting.remove(place);
                    counters.add(Counter::Queries, 1);
                    reply(from, request, answer, effects);
                }
                None => place += 1,
            }
        }
    }

    /// Whether commands behind `seen` have something for a question.
    fn is_woken(&self, waiter: &Waiter, seen: u64) -> bool {
        match (&waiter.query, self.state.recent.behind(seen)) {
            (KvQuery::Watch { prefix, .. }, Some(mut changes)) => {
                changes.any(|(_, key)| key.starts_with(prefix))
            }
            _ => true,
        }
    }

    /// All who wait hear that it is in vain.
    pub(crate) fn end_all_waits(&mut self, error: &KvError, effects: &mut Effects<Effect>) {
        for Waiter { from, request, .. } in core::mem::take(&mut self.waiting).waiters {
            reply(from, request, KvAnswer::Failed(error.clone()), effects);
        }
    }

    /// It is looked who waited long enough: reads hear that it is not yet, watches that there is nothing.
    pub(crate) fn end_waits(
        &mut self,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        let mut place = 0;
        while let Some(waiter) = self.waiting.waiters.get_mut(place) {
            waiter.looks = waiter.looks.saturating_sub(1);
            if waiter.looks > 0 {
                place += 1;
                continue;
            }
            let Waiter { from, request, query, is_watch, at_least, .. } = self.waiting.remove(place);
            let applied = self.state.index;
            let answer = if is_watch && applied >= at_least {
                counters.add(Counter::Queries, 1);
                self.state.query_at(&query)
            } else {
                KvAnswer::Failed(KvError::NotYet { applied })
            };
            reply(from, request, answer, effects);
        }
        if !self.waiting.waiters.is_empty() {
            device.look_later(effects);
        }
    }
}
