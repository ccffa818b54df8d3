//! A group that this KV hosts: its state, what was asked of it, and the member of it that this KV is.

use alloc::string::String;
use alloc::vec::Vec;
use consensus::{Member, Role, SnapshotMark};
use formats::message::kv::{KvAnswer, KvReply};
use formats::{Effect, Message};
use glossary::{GroupId, NodeId};
use step::{Effects, Function};

use crate::admission::Ages;
use crate::asked::Queue;
use crate::changes::Changes;
use crate::counters::{Counter, Counters};
use crate::device::{Device, Share};
use crate::follow::Told;
use crate::found::Rest;
use crate::group::Group;
use crate::heal::Healing;
use crate::knows::Announcing;
use crate::level::Levels;
use crate::look::Look;
use crate::proposals::Proposals;
use crate::records::Saying;
use crate::replica::Replica;
use crate::rows::Frozen;
use crate::standings::Standings;
use crate::state::State;
use crate::transfer::Transfer;
use crate::unwritten::{Anew, Taken};
use crate::waiting::Waiting;

/// What a KV has of one group while it serves.
#[derive(Debug)]
pub(crate) struct Hosted<F, C> {
    pub(crate) state: State<F>,
    pub(crate) queue: Queue,
    pub(crate) replica: Replica<C>,
    pub(crate) proposals: Proposals,
    pub(crate) waiting: Waiting,
    pub(crate) ages: Ages,
    pub(crate) announcing: Announcing,
    pub(crate) changes: Changes,
    pub(crate) levels: Levels,
    /// Who the members are.
    pub(crate) naming: Saying,
    pub(crate) standings: Standings,
    /// A state that another member gives.
    pub(crate) transfer: Option<Transfer<F>>,
    /// One was given, and the log does not go on from it yet.
    pub(crate) installed: bool,
    /// The state as it was, for others.
    pub(crate) frozen: Option<Frozen>,
    /// There is no state, until another member gives one.
    pub(crate) healing: Option<Healing>,
    /// The table has nothing of the state: the next checkpoint writes all of it.
    pub(crate) is_unwritten: bool,
    /// The generation of the state's rows in the table.
    pub(crate) generation: u64,
    /// The highest one that was ever begun.
    pub(crate) last_generation: u64,
    /// Generations whose rows go with the next checkpoint.
    pub(crate) stale: Vec<u64>,
    /// What the device has noted of it.
    pub(crate) share: Share,
    /// No time passes for it.
    pub(crate) is_asleep: bool,
    /// Ticks since its leader had something to do.
    pub(crate) idle: u32,
    /// Ticks since a leader that should not lead was asked to hand over.
    pub(crate) wanting: u32,
    /// Who gave rows of a state that can't be read here, the last time that one was wanted.
    pub(crate) unreadable: Option<Member>,
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
            ages: Ages::default(),
            announcing: Announcing::default(),
            changes: Changes::default(),
            levels: Levels::default(),
            naming: Saying::default(),
            standings: Standings::default(),
            transfer: None,
            installed: false,
            frozen: None,
            healing: None,
            is_unwritten: false,
            generation: 1,
            last_generation: 1,
            stale: Vec::new(),
            share: Share::default(),
            is_asleep: false,
            idle: 0,
            wanting: 0,
            unreadable: None,
        };
        hosted.pass_to(hosted.replica.applied());
        // Who is alone leads from the beginning.
        hosted.begin_changes();
        hosted
    }

    /// How its state rests in the table, and what it goes on from.
    pub(crate) fn rest_in(&mut self, rest: Rest, mark: SnapshotMark) {
        (self.generation, self.last_generation, self.stale) =
            (rest.generation, rest.last_generation, rest.stale);
        self.replica.is_mute = rest.is_lost;
        self.healing = rest.is_lost.then(|| Healing::new(mark));
    }

    /// See [`crate::Kv`].
    pub(crate) fn check_invariants(&self) {
        assert!(self.queue.knows(self.proposals.commands()), "every command has one place");
        assert!(self.state.sessions.is_bounded(), "sessions keep their bounds");
        let is_frozen = self.state.map.frozen_bytes().is_some();
        assert_eq!(self.frozen.is_some(), is_frozen, "a map is frozen for other members");
        assert!(self.healing.is_some() || !self.replica.is_mute, "who has a state stands for election");
    }

    /// See [`crate::Kv::look`].
    pub(crate) fn look(&self, counters: &Counters) -> Look {
        let (applied, leadership) = (self.replica.applied(), self.leadership());
        let is_ahead_of_all = leadership.role != Role::Leader
            || self.replica.status().progress.values().all(|progress| progress.next > progress.matched);
        Look {
            applied,
            hash: self.state.hash(),
            installed: counters.get(Counter::Installed),
            differed: counters.get(Counter::Differed),
            healed: counters.get(Counter::Healed),
            is_asleep: self.is_asleep,
            is_ahead_of_all,
            leadership,
        }
    }

    /// What it takes of what all groups share, as it is now.
    pub(crate) fn share_now(&self) -> Share {
        Share {
            checkpoint_bytes: match self.is_unwritten {
                true => 2 * self.state.whole_bytes(),
                false => self.state.checkpoint_bytes(),
            },
            queued: self.queue.bytes(),
            arriving: u64::from(self.transfer.as_ref().is_some_and(Transfer::is_in_table) || self.installed),
            beginning: u64::from(self.replica.begins().is_some()),
            ticking: u64::from(self.replica.has_others && !self.is_asleep),
        }
    }

    /// Whether it has something to propose or to write, or may have soon, without being told anything.
    pub(crate) fn has_to_do(&self) -> bool {
        !self.queue.is_empty()
            || self.replica.has_unwritten()
            || self.transfer.is_some()
            || self.healing.is_some()
    }

    /// All that is to be written. A member without its state keeps the entries that it could not apply.
    pub(crate) fn take_unwritten(&mut self, anew: Option<&Anew>) -> Taken {
        let taken = self.replica.take_unwritten(anew);
        match &self.healing {
            Some(healing) => healing.keep(taken),
            None => taken,
        }
    }

    /// A tick is over.
    pub(crate) fn on_tick(
        &mut self,
        told: Told<'_>,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        self.check_level()?;
        self.replica.tick();
        self.tick_transfer(effects);
        if self.healing.is_some() {
            self.tick_healing(effects);
            return self.pump(counters, effects);
        }
        if self.is_stuck(device) {
            self.proposals.let_questions_pass();
        }
        self.ages.mark(device.now, self.state.index);
        self.announce(device, counters, effects);
        self.raise_level(device, counters, effects);
        self.name_members(device, counters, effects);
        self.tell_standing(told.room, effects);
        self.promote();
        if self.replica.of() != GroupId::ROOT {
            self.follow(told, effects);
        }
        self.pump(counters, effects)?;
        if self.replica.of() != GroupId::ROOT {
            self.fall_asleep(told.root, told.liveness, effects);
        }
        Ok(())
    }
}

/// Who asks what this member wants itself: its answer is for nobody. No node has this number.
pub(crate) const NOBODY: NodeId = NodeId(u32::MAX);

/// Sends an answer.
pub(crate) fn reply(to: NodeId, request: u64, body: KvAnswer, effects: &mut Effects<Effect>) {
    if to != NOBODY {
        effects.push(Effect::Send { to, message: Message::KvReply(KvReply { request, body }) });
    }
}
