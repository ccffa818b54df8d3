//! Which OSDs answer, and what is done when one doesn't or does so again.

use core::time::Duration;
use formats::fragment::namespace_prefix;
use formats::message::admin::OsdState;
use formats::message::asd::{AsdAnswer, AsdBody, AsdKey};
use glossary::NamespaceId;
use step::Timestamp;

use crate::calls::{Call, Failure, Owner};
use crate::config::Settings;
use crate::counters::Counter;
use crate::deadlines::Due;
use crate::objects::{Life, Turn};
use crate::sweep::deletion;

/// Keys deleted by one request.
const GARBAGE_AT_ONCE: usize = 128;

impl Life {
    /// An ASD has had its time for a request: it gets a second one, and then is late. One that said nothing
    /// at all since the first is down.
    pub(crate) fn on_call_due(&mut self, request: u64, turn: &mut Turn<'_>) {
        let now = turn.now;
        let Some(call) = self.hub.calls.get_mut(request) else { return };
        let osd = call.osd;
        if let Some(body) = call.try_again(now).cloned() {
            let due = call.due;
            self.hub.deadlines.insert(due, Due::Call { request });
            let mut cx = self.context(turn);
            cx.count(Counter::Resends, 1);
            cx.send(osd, request, body);
            return;
        }
        let Some(call) = self.hub.calls.remove(request) else { return };
        let heard = self.hub.osds.get(osd).last_heard;
        if heard.is_none_or(|heard| heard < call.first_sent) {
            self.lose(osd, turn);
        }
        self.deliver(request, call, Err(Failure::Silent), turn);
    }

    /// An ASD says "not now": it has too much to do, or can't serve. Which of the two shows when it is asked
    /// whether it is there, as that takes next to nothing; the request waits meanwhile.
    pub(crate) fn on_not_now(&mut self, osd: usize, request: u64, turn: &mut Turn<'_>) {
        self.hub.osds.is_back_soon(osd);
        let until = turn.now.after(self.hub.config.settings.probe_first);
        let Some(mut call) = self.take_call(request) else { return };
        if call.owner == Owner::Probe {
            self.lose(osd, turn);
        } else if call.postpone(until) {
            self.hub.deadlines.insert(until, Due::Call { request });
            self.hub.calls.insert(request, call);
            self.probe(osd, turn);
            return;
        }
        self.deliver(request, call, Err(Failure::Silent), turn);
    }

    /// An OSD doesn't answer, or says that it can't: nothing more is expected from it.
    pub(crate) fn lose(&mut self, osd: usize, turn: &mut Turn<'_>) {
        let pause = self.hub.config.settings.probe_first;
        let state = self.hub.osds.get_mut(osd);
        if !state.is_away() {
            state.state = OsdState::Down;
            self.hub.counters.add(Counter::OsdsLost, 1);
            self.hub.osds.get_mut(osd).probe_pause = pause;
            self.probe_at(osd, turn.now.after(pause));
        }
        for request in self.hub.calls.of_osd(osd) {
            if let Some(call) = self.take_call(request) {
                self.deliver(request, call, Err(Failure::Silent), turn);
            }
        }
    }

    /// An ASD says that it won't serve before an operator acts: what it holds counts as lost.
    pub(crate) fn on_stopped(&mut self, osd: usize, request: u64, turn: &mut Turn<'_>) {
        let call = self.take_call(request);
        self.lose(osd, turn);
        self.hub.osds.get_mut(osd).state = OsdState::Gone;
        if let Some(call) = call {
            self.deliver(request, call, Err(Failure::Silent), turn);
        }
    }

    /// An OSD answered.
    pub(crate) fn on_heard(&mut self, osd: usize, now: Timestamp) {
        if self.hub.osds.on_heard(osd, now) {
            let heartbeat = self.hub.config.settings.heartbeat;
            self.probe_at(osd, now.after(heartbeat));
            // It missed what was deleted meanwhile.
            self.hub.scan(osd, now);
        }
    }

    /// Takes a request off the list of those without an answer.
    pub(crate) fn take_call(&mut self, request: u64) -> Option<Call> {
        let call = self.hub.calls.remove(request)?;
        self.hub.deadlines.remove(call.due, Due::Call { request });
        Some(call)
    }

    /// An OSD that said nothing for a while is asked whether it is there.
    pub(crate) fn on_probe_due(&mut self, osd: usize, turn: &mut Turn<'_>) {
        let settings = &self.hub.config.settings;
        let (heartbeat, longest) = (settings.heartbeat, settings.probe_longest);
        let state = self.hub.osds.get_mut(osd);
        let is_down = state.is_away();
        let is_quiet = state.last_heard.is_none_or(|heard| turn.now.since(heard) >= heartbeat);
        if is_down {
            state.probe_pause = (state.probe_pause * 2).min(longest);
        }
        let pause = if is_down { state.probe_pause } else { heartbeat };
        self.probe_at(osd, turn.now.after(pause));
        if is_down || is_quiet {
            self.probe(osd, turn);
        }
    }

    /// Somebody waits for an OSD, or did: where nothing was heard since it is asked whether it is there. A disk that is slow
    /// says so at once, and is waited for; one that is dead does not cost every write its patience.
    pub(crate) fn on_doubt_due(&mut self, osd: usize, turn: &mut Turn<'_>) {
        let doubt_after = self.hub.config.settings.doubt_after;
        let waits_since = self.hub.calls.waits_since(osd);
        let state = self.hub.osds.get_mut(osd);
        state.is_watched = waits_since.is_some();
        let Some(waits_since) = waits_since else { return };
        let silent_since = state.last_heard.map_or(waits_since, |heard| heard.max(waits_since));
        let is_away = state.is_away();
        let mut again = silent_since.after(doubt_after);
        if again <= turn.now {
            again = turn.now.after(doubt_after);
            if !is_away {
                self.probe(osd, turn);
            }
        }
        self.hub.deadlines.insert(again, Due::Doubt { osd });
    }

    /// An OSD said that it is there, after so long; or it didn't. One that takes long, always, is not down: it gets the time
    /// that it takes, so that it does not come and go.
    pub(crate) fn on_probed(&mut self, osd: usize, took: Option<Duration>) {
        let Settings { probe_patience, read_patience, .. } = self.hub.config.settings;
        let state = self.hub.osds.get_mut(osd);
        state.probing = false;
        if let Some(took) = took {
            state.probe_patience = took.clamp(probe_patience, read_patience.max(probe_patience));
        }
    }

    /// Asks an OSD whether it is there, unless that has been asked.
    fn probe(&mut self, osd: usize, turn: &mut Turn<'_>) {
        let read_patience = self.hub.config.settings.read_patience;
        let state = self.hub.osds.get_mut(osd);
        // Nobody waits for one that is away: it may take its time.
        let patience = if state.is_away() { read_patience } else { state.probe_patience };
        if !core::mem::replace(&mut state.probing, true) {
            // Any answer will do; this one is found in memory.
            let prefix: AsdKey = namespace_prefix(NamespaceId(0));
            let body = AsdBody::List { from: prefix.clone(), prefix, limit: 1 };
            self.context(turn).call_for(osd, Owner::Probe, body, patience);
        }
    }

    /// Somebody waits for OSDs that are down: they are asked soon.
    pub(crate) fn hurry_probes(&mut self, turn: &mut Turn<'_>) {
        let soon = turn.now.after(self.hub.config.settings.probe_first);
        for osd in 0..self.hub.osds.len() {
            let state = self.hub.osds.get(osd);
            if state.is_away() && state.probe_due > soon {
                self.probe_at(osd, soon);
            }
        }
    }

    fn probe_at(&mut self, osd: usize, at: Timestamp) {
        let state = self.hub.osds.get_mut(osd);
        let before = core::mem::replace(&mut state.probe_due, at);
        self.hub.deadlines.remove(before, Due::Probe { osd });
        self.hub.deadlines.insert(at, Due::Probe { osd });
    }

    /// Sends every OSD that answers what is to be deleted from it: one request at a time.
    pub(crate) fn delete_garbage(&mut self, turn: &mut Turn<'_>) {
        for osd in 0..self.hub.osds.len() {
            let state = self.hub.osds.get_mut(osd);
            let idle = state.garbage.is_empty() || state.garbage_asked > 0;
            if idle || state.is_away() || state.garbage_due > turn.now {
                continue;
            }
            let keys: alloc::vec::Vec<AsdKey> = state.garbage.iter().take(GARBAGE_AT_ONCE).cloned().collect();
            state.garbage_asked = keys.len();
            self.context(turn).call(osd, Owner::Garbage, deletion(keys));
        }
    }

    /// The answer to a deletion of garbage.
    pub(crate) fn on_garbage(&mut self, osd: usize, result: Result<AsdAnswer, Failure>, now: Timestamp) {
        let later = now.after(self.hub.config.settings.full_pause);
        let state = self.hub.osds.get_mut(osd);
        let asked = core::mem::take(&mut state.garbage_asked).min(state.garbage.len());
        let counter = match result {
            Ok(AsdAnswer::Applied) => Counter::GarbageDeleted,
            Err(Failure::Silent | Failure::Full) => {
                state.garbage_due = later;
                self.hub.deadlines.insert(later, Due::Garbage);
                return;
            }
            // It will say the same again.
            Ok(_) | Err(Failure::Gone | Failure::Refused) => Counter::GarbageLeft,
        };
        state.garbage.drain(..asked);
        self.hub.counters.add(counter, asked as u64);
    }
}
