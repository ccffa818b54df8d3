//! A group that this KV hosts: its state, what was asked of it, and the member of it that this KV is.

use alloc::string::String;
use consensus::Role;
use formats::message::kv::{KvAnswer, KvReply};
use formats::message::standing::DiskRoom;
use formats::{Effect, Message};
use glossary::NodeId;
use step::{Effects, Function};

use crate::asked::Queue;
use crate::changes::Changes;
use crate::counters::{Counter, Counters};
use crate::device::Share;
use crate::group::Group;
use crate::knows::Announcing;
use crate::look::Look;
use crate::proposals::Proposals;
use crate::replica::Replica;
use crate::standings::Standings;
use crate::state::State;
use crate::transfer::{Held, Transfer};
use crate::waiting::Waiting;

/// What a KV has of one group while it serves.
#[derive(Debug)]
pub(crate) struct Hosted<F, C> {
    pub(crate) state: State<F>,
    pub(crate) queue: Queue,
    pub(crate) replica: Replica<C>,
    pub(crate) proposals: Proposals,
    pub(crate) waiting: Waiting,
    pub(crate) announcing: Announcing,
    pub(crate) changes: Changes,
    pub(crate) standings: Standings,
    /// A snapshot that another member gives.
    pub(crate) transfer: Option<Transfer<F>>,
    /// One that was given, until the log goes on from it.
    pub(crate) installed: Option<Held>,
    /// A snapshot is wanted, as soon as one can begin.
    pub(crate) wants_snapshot: bool,
    /// What the device has noted of it.
    pub(crate) share: Share,
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// A group with what was found of it.
    pub(crate) fn new(state: State<F>, replica: Replica<C>) -> Self {
        let mut hosted = Hosted {
            state,
            queue: Queue::default(),
            replica,
            proposals: Proposals::default(),
            waiting: Waiting::default(),
            announcing: Announcing::default(),
            changes: Changes::default(),
            standings: Standings::default(),
            transfer: None,
            installed: None,
            wants_snapshot: false,
            share: Share::default(),
        };
        hosted.pass_to(hosted.replica.applied());
        hosted
    }

    /// See [`crate::Kv`].
    pub(crate) fn check_invariants(&self) {
        assert!(self.queue.knows(self.proposals.commands()), "every command has one place");
        assert!(self.state.sessions.is_bounded(), "sessions keep their bounds");
    }

    /// See [`crate::Kv::look`].
    pub(crate) fn look(&self, counters: &Counters) -> Look {
        let (applied, leadership) = (self.replica.applied(), self.leadership());
        let is_ahead_of_all = leadership.role != Role::Leader
            || self.replica.status().progress.values().all(|progress| progress.next > progress.matched);
        let (installed, differed) = (counters.get(Counter::Installed), counters.get(Counter::Differed));
        Look { applied, hash: self.state.hash(), installed, differed, is_ahead_of_all, leadership }
    }

    /// What it takes of what all groups share, as it is now.
    pub(crate) fn share_now(&self) -> Share {
        Share {
            snapshot_bytes: self.state.snapshot_bytes(),
            queued: self.queue.bytes(),
            arriving: u64::from(self.transfer.is_some() || self.installed.is_some()),
            ticking: u64::from(self.replica.has_others),
        }
    }

    /// A tick is over.
    pub(crate) fn on_tick(
        &mut self,
        room: DiskRoom,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        self.replica.tick();
        self.tick_transfer(effects);
        self.announce(effects);
        self.tell_standing(room, effects);
        self.promote();
        self.pump(counters, effects)
    }
}

/// Sends an answer.
pub(crate) fn reply(to: NodeId, request: u64, body: KvAnswer, effects: &mut Effects<Effect>) {
    effects.push(Effect::Send { to, message: Message::KvReply(KvReply { request, body }) });
}
