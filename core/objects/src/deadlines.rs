//! Everything that waits for a time, behind one timer of the executor.

use alloc::collections::BTreeSet;
use formats::Effect;
use step::{Effects, TimerId, Timestamp};

/// The only timer of an objects client.
pub(crate) const TIMER: TimerId = TimerId(0);

/// What is due. Whoever gets one looks whether it still matters: tasks and calls may have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// An ASD has had its time for a request.
    Call { request: u64 },
    /// A read has waited long enough for a fragment.
    Hedge { task: u64, segment: u32 },
    /// A chunk with c fragments has waited long enough for the rest.
    Slack { task: u64, chunk: u16 },
    /// An OSD is to be asked whether it is there.
    Probe { osd: usize },
    /// An OSD that somebody waits for may have been silent for too long.
    Doubt { osd: usize },
    /// Garbage that couldn't be deleted is to be tried again; the end of the turn does so.
    Garbage,
    /// It is time to look for what no object needs.
    Collect,
    /// It is time to look through the namespaces on an OSD.
    Scan,
    /// It is time to ask where the KV's members are.
    Members,
}

/// What is due when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deadlines {
    waiting: BTreeSet<(Timestamp, Due)>,
    armed: Option<Timestamp>,
}

impl Deadlines {
    pub(crate) fn insert(&mut self, at: Timestamp, due: Due) {
        self.waiting.insert((at, due));
    }

    pub(crate) fn remove(&mut self, at: Timestamp, due: Due) {
        self.waiting.remove(&(at, due));
    }

    /// The timer ran out.
    pub(crate) fn on_timer(&mut self) {
        self.armed = None;
    }

    /// Takes out the next that is due.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<Due> {
        let (at, _) = self.waiting.first()?;
        if *at > now {
            return None;
        }
        self.waiting.pop_first().map(|(_, due)| due)
    }

    /// Sets the timer when something, or `other`, is due before it would run out. One that runs out for
    /// nothing is cheaper than moving it with every request.
    pub(crate) fn arm(&mut self, now: Timestamp, other: Option<Timestamp>, effects: &mut Effects<Effect>) {
        let first = self.waiting.first().map(|(at, _)| *at);
        let Some(first) = first.into_iter().chain(other).min() else { return };
        if self.armed.is_none_or(|armed| first < armed) {
            self.armed = Some(first);
            effects.push(Effect::SetTimer { timer: TIMER, after: first.since(now) });
        }
    }
}
