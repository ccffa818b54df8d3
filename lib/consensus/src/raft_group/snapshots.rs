//! Snapshots on their way: only marks travel through raft, the data goes where the caller sends it.
//!
//! A follower holds the leader's message back until the caller has the data, so raft never sees a snapshot that is
//! not there. A leader whose message or whose follower's answer was lost offers again after a while.

use alloc::collections::BTreeMap;

use crate::{Member, SnapshotMark, SnapshotOffer};

/// Offers to this member, and by it.
#[derive(Default)]
pub(super) struct Snapshots {
    /// What the caller fetches.
    fetching: Option<SnapshotOffer>,
    /// Whether the caller was told.
    is_told: bool,
    /// Ticks since members were offered one.
    waiting: BTreeMap<Member, u32>,
}

impl Snapshots {
    /// An offer arrives. One that is being fetched goes on, whatever else is offered meanwhile: else a leader that
    /// takes snapshots faster than they travel would never bring one across.
    pub(super) fn on_offer(&mut self, offer: SnapshotOffer) {
        match &self.fetching {
            Some(fetching) if fetching.mark != offer.mark || fetching.from == offer.from => {}
            _ => (self.fetching, self.is_told) = (Some(offer), false),
        }
    }

    /// The offer of which the caller was not told yet.
    pub(super) fn untold(&self) -> Option<&SnapshotOffer> {
        self.fetching.as_ref().filter(|_| !self.is_told)
    }

    pub(super) fn tell(&mut self) -> Option<SnapshotOffer> {
        let offer = self.untold().cloned();
        self.is_told = true;
        offer
    }

    /// Ends the wait for a mark; none if it was not waited for.
    pub(super) fn end(&mut self, mark: &SnapshotMark) -> Option<SnapshotOffer> {
        self.fetching.take_if(|offer| offer.mark == *mark)
    }

    /// A tick passes for those members that need a snapshot. Calls for each that waited too long.
    pub(super) fn tick(
        &mut self,
        needy: impl Iterator<Item = Member>,
        patience: u32,
        mut give_up: impl FnMut(Member),
    ) {
        let before = core::mem::take(&mut self.waiting);
        for member in needy {
            let ticks = before.get(&member).map_or(1, |ticks| ticks + 1);
            if ticks >= patience {
                give_up(member);
            } else {
                self.waiting.insert(member, ticks);
            }
        }
    }
}
