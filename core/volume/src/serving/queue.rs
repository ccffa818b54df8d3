//! From the queue of changes into the log: numbers, locations, the map.

use formats::tlog::{Entry, EntryKind};
use formats::{Crcs, Payload};
use glossary::{CLUSTER_BYTES, ClientId, ClusterAddress, Location, ScoOffset};
use step::Bug;

use super::change::{Change, ChangeKind, Part};
use super::{BufferClaim, Serving};
use crate::context::Context;
use crate::counters::Counter;
use crate::map::Run;

/// The epoch of the right to write, until that right is passed on (E3).
const RIGHT: u32 = 1;

impl Serving {
    /// Takes changes in order until one has to wait: for room, a SCO, a new TLog, or old contents to merge.
    pub(crate) fn process_queue(&mut self, context: &mut Context<'_>) {
        while !self.queue.is_empty() {
            if !self.buffer_is_claimed(context) || self.log.rolling() || self.flight_is_full() {
                return;
            }
            if !self.merged(context) {
                return;
            }
            let Some(mut change) = self.queue.pop_front() else { return };
            if !self.log_change(&mut change, context) {
                self.queue.push_front(change);
                return;
            }
        }
    }

    /// Whether the change at the head is one of whole clusters; starts to make it one otherwise.
    fn merged(&mut self, context: &mut Context<'_>) -> bool {
        let partial = |change: &Change| {
            matches!(change.kind, ChangeKind::PartialWrite { .. } | ChangeKind::PartialDiscard { .. })
        };
        if self.queue.front().is_some_and(partial) {
            self.start_merge(context);
        }
        self.queue.front().is_none_or(|change| change.kind != ChangeKind::Merging)
    }

    /// Logs what can be logged of a change of whole clusters; whether it is all in.
    fn log_change(&mut self, change: &mut Change, context: &mut Context<'_>) -> bool {
        let (client, number) = (change.client, change.number);
        let ChangeKind::Parts(parts) = &mut change.kind else {
            unreachable!("partial changes are merged first")
        };
        loop {
            let last = parts.is_last();
            let Some(part) = parts.first_mut() else { break };
            if !self.log_part(part, client, number, last, context) {
                return false;
            }
            parts.drop_first();
        }
        self.change_logged(change, context);
        true
    }

    fn log_part(
        &mut self,
        part: &mut Part,
        client: ClientId,
        change: u64,
        last: bool,
        context: &mut Context<'_>,
    ) -> bool {
        match part {
            Part::Discard { address, clusters } => {
                context.count(Counter::Discards, 1);
                let run =
                    Run { address: ClusterAddress(*address), clusters: *clusters, location: Location::NONE };
                if !context.config.has(Bug::DiscardNotLogged) {
                    self.log_entry(EntryKind::Discard, run, Crcs::default(), client, change, last);
                }
                self.not_lost(run.address.0, run.end());
                self.overlay.set(run, self.log.last_log_number());
                true
            }
            Part::Write { address, payload, done } => {
                let clusters = payload.clusters().expect("parts are whole clusters");
                context.count(Counter::Writes, u64::from(*done == 0));
                while *done < clusters {
                    let Some((location, count)) = self.take_place(clusters - *done, context) else {
                        return false;
                    };
                    let data = payload.slice_clusters(*done, count);
                    let run = Run { address: ClusterAddress(*address + *done), clusters: count, location };
                    *done += count;
                    self.log_write(run, data, client, change, last && *done == clusters, context);
                    if self.log.sco_is_full() {
                        self.close_sco(context);
                    }
                    if self.log.rolling() && *done < clusters {
                        return false;
                    }
                }
                true
            }
        }
    }

    fn log_write(
        &mut self,
        run: Run,
        data: Payload,
        client: ClientId,
        change: u64,
        last: bool,
        context: &mut Context<'_>,
    ) {
        context.count(Counter::WrittenBytes, data.len() as u64);
        let (sco, offset) = (run.location.sco(), u64::from(run.location.offset().0));
        self.log_entry(EntryKind::Write, run, data.shared_crcs(), client, change, last);
        self.log.gather_data(sco, offset, data.pieces());
        let local = self.local.get_mut(&sco).expect("the open SCO is local");
        local.through = self.log.last_number();
        local.take(offset, data);
        let misordered = context.config.has(Bug::OverlapInTwoOrders)
            && self.look_up(run.address.0, run.end()).iter().any(|old| self.is_recent(old));
        if !misordered {
            self.not_lost(run.address.0, run.end());
            self.overlay.set(run, self.log.last_log_number());
        }
    }

    /// Whether a run is not written yet: its change is in flight.
    fn is_recent(&self, run: &Run) -> bool {
        !run.location.is_none()
            && self
                .local
                .get(&run.location.sco())
                .is_some_and(|l| u64::from(run.location.offset().0) >= l.written)
    }

    fn log_entry(
        &mut self,
        kind: EntryKind,
        run: Run,
        crcs: Crcs,
        client: ClientId,
        change: u64,
        last: bool,
    ) {
        let number = self.log.next_number();
        self.log.gather_entry(Entry {
            kind,
            completes_change: last,
            right: RIGHT,
            number,
            client,
            change,
            address: run.address,
            clusters: run.clusters,
            location: run.location,
            crcs,
        });
    }

    /// A change is in the log, whole: it is acknowledged when its last entry is in the write buffer.
    fn change_logged(&mut self, change: &Change, context: &mut Context<'_>) {
        let number = self.log.last_number();
        let known = self.clients.get_mut(&change.client).expect("a change's client is known");
        known.logged = known.logged.max(change.number);
        known.unstable.push_back((change.number, number));
        self.log.acknowledge_when_written(change, number);
        self.acknowledge(context);
    }

    /// A place for up to `wanted` clusters: in the open SCO, or in the next.
    fn take_place(&mut self, wanted: u64, context: &mut Context<'_>) -> Option<(Location, u64)> {
        if !self.open_sco(context) {
            return None;
        }
        let (sco, offset, left) = self.log.open_place().expect("a SCO is open");
        let count = wanted.min(left);
        if !context.room.take(count * CLUSTER_BYTES) {
            context.count(Counter::Waits, 1);
            return None;
        }
        self.log.take_clusters(count);
        Some((Location::new(sco, ScoOffset(offset as u16)), count))
    }

    /// Whether the registry knows that this write buffer matters; asks it to, otherwise.
    fn buffer_is_claimed(&mut self, context: &mut Context<'_>) -> bool {
        if self.buffer == BufferClaim::Free && !self.record_held {
            self.claim_buffer(context);
        }
        self.buffer == BufferClaim::Claimed
    }
}
