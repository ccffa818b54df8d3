//! The KV as a machine: which event goes where.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use consensus::LogIndex;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest};
use formats::message::kv::{KvAnswer, KvError, KvOf, KvRequest};
use formats::message::member::{MemberBody, MemberMessage, MemberOf};
use formats::{Effect, Event, Message, kv_level};
use glossary::{GroupId, NodeId};
use step::{DiskError, DiskResult, Effects, Function, Machine, TimerId, Timestamp};

use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::device::{
    ANNOUNCE_TIMER, GATHER_TIMER, MARK_TIMER, Mark, ROOM_AFTER, ROOM_TIMER, TICK_TIMER, WAIT_TIMER,
};
use crate::disk::{Disk, Purpose};
use crate::group::Group;
use crate::hosted::{Hosted, reply};
use crate::look::Look;
use crate::overlay::Pair;
use crate::serving::Serving;
use crate::start::{Start, Started};

/// An ordered map of bytes with hosted functions `F`, kept by a group whose members are `C`. See the crate's documentation.
#[derive(Debug)]
pub struct Kv<F, C> {
    config: Config<F>,
    /// Spreads elections.
    seed: u64,
    disk: Disk,
    counters: Counters,
    phase: Phase<F, C>,
}

#[derive(Debug)]
enum Phase<F, C> {
    /// Nothing happened yet.
    New,
    /// Files of an earlier life are being read.
    Starting(Box<Start<F>>),
    /// The disk had no room for what a start writes again: it begins anew in a while, when nothing of the last
    /// attempt is under way.
    NoRoom,
    Serving(Box<Serving<F, C>>),
    /// For good.
    Halted,
}

impl<F: Function, C: Group> Kv<F, C> {
    /// A KV that has not started.
    pub fn new(config: Config<F>) -> Self {
        Kv { config, seed: 0, disk: Disk::default(), counters: Counters::new(), phase: Phase::New }
    }

    /// For checkers: how far this member has applied the group's log, and the pairs that this gives, in order. None
    /// while it doesn't serve, or has no state.
    pub fn pairs(&self) -> Option<(LogIndex, impl Iterator<Item = Pair<'_>>)> {
        self.pairs_of(GroupId::ROOT)
    }

    /// The same of a group. None while it isn't hosted.
    pub fn pairs_of(&self, group: GroupId) -> Option<(LogIndex, impl Iterator<Item = Pair<'_>>)> {
        let hosted = self.hosted(group)?;
        Some((hosted.replica.applied(), hosted.state.map.pairs()))
    }

    fn hosted(&self, group: GroupId) -> Option<&Hosted<F, C>> {
        match &self.phase {
            Phase::Serving(serving) => serving.groups.get(&group).filter(|hosted| hosted.healing.is_none()),
            _ => None,
        }
    }

    /// For checkers: this member as it is now. None while it doesn't serve, or has no
    /// state.
    pub fn look(&self) -> Option<Look> {
        self.look_of(GroupId::ROOT)
    }

    /// The same of a group. None while it isn't hosted.
    pub fn look_of(&self, group: GroupId) -> Option<Look> {
        Some(self.hosted(group)?.look(&self.counters))
    }

    /// Every group that it hosts and has a state of, as its member is now.
    pub fn looks(&self) -> impl Iterator<Item = (GroupId, Look)> + '_ {
        let groups = match &self.phase {
            Phase::Serving(serving) => Some(serving.groups.iter()),
            _ => None,
        };
        let has_state = |(_, hosted): &(&GroupId, &Hosted<F, C>)| hosted.healing.is_none();
        let groups = groups.into_iter().flatten().filter(has_state);
        groups.map(|(group, hosted)| (*group, hosted.look(&self.counters)))
    }

    /// What holds between steps, where debug assertions are on. The clauses are those of the crate's
    /// documentation as far as memory alone tells.
    fn check_invariants(&self) {
        if cfg!(debug_assertions)
            && let Phase::Serving(serving) = &self.phase
        {
            serving.check_invariants();
        }
    }

    fn on_start(&mut self, effects: &mut Effects<Effect>) {
        let start = Start::begin(&self.config, &mut self.disk, effects);
        self.phase = Phase::Starting(Box::new(start));
    }

    fn on_disk(&mut self, purpose: Purpose, result: DiskResult, effects: &mut Effects<Effect>) {
        if matches!(self.phase, Phase::Starting(_)) && result == Err(DiskError::Full) {
            // Nothing was answered, and what was read may not be durable: as if nothing had been read.
            self.phase = Phase::NoRoom;
            self.counters.add(Counter::Full, 1);
            effects.push(Effect::SetTimer { timer: ROOM_TIMER, after: ROOM_AFTER });
            return;
        }
        let disk = &mut self.disk;
        let ended = match (&mut self.phase, purpose) {
            (Phase::Starting(start), _) => match start.on_done(purpose, result, disk, effects) {
                Ok(Some(started)) => self.serve(started, effects),
                Ok(None) => Ok(()),
                Err(refusal) => Err(refusal),
            },
            (Phase::Serving(serving), Purpose::Log) => {
                serving.on_log(result, &self.config, disk, &mut self.counters, effects)
            }
            (Phase::Serving(serving), Purpose::Space) => {
                serving.on_space(&result, effects);
                Ok(())
            }
            (Phase::Serving(serving), Purpose::Forget) => {
                serving.device.on_forgotten(disk, effects);
                Ok(())
            }
            (Phase::Serving(serving), Purpose::Checkpoint) => {
                serving.on_checkpoint(result, disk, &mut self.counters, effects)
            }
            (Phase::Serving(serving), Purpose::Arriving(group)) => {
                serving.on_arriving(group, result, &mut self.counters, effects)
            }
            _ => Ok(()),
        };
        self.go_on(ended, effects);
    }

    fn serve(&mut self, started: Started<F>, effects: &mut Effects<Effect>) -> Result<(), String> {
        let (config, disk) = (&self.config, &mut self.disk);
        let serving = Serving::begin(started, (config, self.seed), disk, &mut self.counters, effects)?;
        self.phase = Phase::Serving(Box::new(serving));
        Ok(())
    }

    /// Halts where that is all that is left.
    fn go_on(&mut self, ended: Result<(), String>, effects: &mut Effects<Effect>) {
        if let Err(reason) = ended {
            self.phase = Phase::Halted;
            effects.push(Effect::Halt { reason });
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, effects: &mut Effects<Effect>) {
        if matches!(self.phase, Phase::Halted) {
            return;
        }
        match message {
            Message::Kv(request) => self.on_request(GroupId::ROOT, from, request, effects),
            Message::KvOf(KvOf { group, request }) => self.on_request(group, from, request, effects),
            Message::Admin(request) => self.on_admin(from, request, effects),
            Message::Member(message) => self.on_member(GroupId::ROOT, from, message, effects),
            Message::MemberOf(MemberOf { group, message }) => self.on_member(group, from, message, effects),
            // A message that is meant for somebody else has no answer here.
            _ => {}
        }
    }

    fn on_admin(
        &mut self,
        from: NodeId,
        AdminRequest { request, body }: AdminRequest,
        effects: &mut Effects<Effect>,
    ) {
        let counters = &mut self.counters;
        let answer = match (&mut self.phase, body) {
            (Phase::Serving(serving), AdminBody::KvGroup(verb)) => serving.on_group_verb(from, request, verb),
            (Phase::Serving(serving), AdminBody::KvGroups(verb)) => {
                Some(serving.on_groups_verb(verb, counters, effects))
            }
            (Phase::Serving(serving), AdminBody::KvGroupOf { name, verb }) => {
                serving.on_verb_of(&name, (from, request), verb)
            }
            (Phase::Serving(serving), AdminBody::KvStatusOf { name }) => {
                Some(serving.status_of(&name, counters))
            }
            (Phase::Serving(serving), AdminBody::KvLevels) => {
                Some(AdminAnswer::KvLevels(serving.root().told_levels()))
            }
            (
                _,
                AdminBody::KvGroup(_)
                | AdminBody::KvGroups(_)
                | AdminBody::KvGroupOf { .. }
                | AdminBody::KvStatusOf { .. }
                | AdminBody::KvLevels,
            ) => Some(AdminAnswer::NotYet("the KV is reading its log; ask again".to_string())),
            (Phase::Serving(serving), body) => {
                Some(crate::status::answer(&body, Some(serving), counters, false))
            }
            (phase, body) => {
                let no_room = matches!(phase, Phase::NoRoom);
                Some(crate::status::answer(&body, None::<&Serving<F, C>>, counters, no_room))
            }
        };
        if let Some(answer) = answer {
            effects.push(Effect::Send { to: from, message: crate::status::reply(request, answer) });
        }
    }

    /// A request to a group.
    fn on_request(
        &mut self,
        group: GroupId,
        from: NodeId,
        request: KvRequest,
        effects: &mut Effects<Effect>,
    ) {
        let asked = request.request;
        let counters = &mut self.counters;
        let answer = match &mut self.phase {
            Phase::Serving(serving) => {
                let act = |hosted: &mut Hosted<F, C>, device: &mut _| {
                    hosted.on_request(from, request, device, counters, effects)
                };
                let answer = serving.with(group, act);
                answer.unwrap_or_else(|| Some(KvAnswer::Failed(serving.without(group))))
            }
            _ => {
                counters.add(Counter::NotNow, 1);
                Some(KvAnswer::Failed(KvError::Unavailable))
            }
        };
        if let Some(body) = answer {
            reply(from, asked, body, effects);
        }
    }

    /// A message of another member of a group. Of one that is not hosted it is dropped: it will be said again.
    fn on_member(
        &mut self,
        group: GroupId,
        from: NodeId,
        message: MemberMessage,
        effects: &mut Effects<Effect>,
    ) {
        if let Phase::Serving(serving) = &mut self.phase {
            if kv_level::of_message(&message.body) > self.config.level {
                self.counters.add(Counter::Unknown, 1);
                return;
            }
            if message.cluster == self.config.cluster {
                serving.liveness.hear(from);
                if serving.on_levels(from, &message.body, effects) {
                    return;
                }
            }
            if let MemberBody::WantsLead { root } = message.body
                && message.cluster == self.config.cluster
            {
                serving.on_wants_lead(group, from, root);
            }
            let counters = &mut self.counters;
            let ended = serving.with(group, |hosted, _| hosted.on_member(from, message, counters, effects));
            self.go_on(ended.unwrap_or(Ok(())), effects);
        }
    }

    fn on_timer(&mut self, timer: TimerId, effects: &mut Effects<Effect>) {
        if matches!(self.phase, Phase::NoRoom) && timer == ROOM_TIMER {
            if self.disk.is_idle() {
                self.on_start(effects);
            } else {
                effects.push(Effect::SetTimer { timer: ROOM_TIMER, after: ROOM_AFTER });
            }
        }
        let Phase::Serving(serving) = &mut self.phase else { return };
        match timer {
            MARK_TIMER if serving.device.mark == Mark::Waiting => serving.device.mark = Mark::Now,
            WAIT_TIMER => serving.end_waits(&mut self.counters, effects),
            ANNOUNCE_TIMER => serving.announce(effects),
            GATHER_TIMER => {
                if let Some(checkpoint) = &mut serving.device.checkpoint {
                    checkpoint.on_gather();
                }
            }
            ROOM_TIMER => serving.device.look_for_room(&mut self.disk, effects),
            TICK_TIMER => {
                let ended = serving.on_tick(&mut self.counters, effects);
                self.go_on(ended, effects);
            }
            _ => {}
        }
    }
}

impl<F: Function, C: Group> Machine for Kv<F, C> {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        if let Phase::Serving(serving) = &mut self.phase {
            serving.device.now = now;
        }
        match event {
            Event::Start { seed } => {
                self.seed = u64::from_le_bytes(*seed.first_chunk().expect("a seed has 32 bytes"));
                self.on_start(effects);
            }
            Event::Message { from, message } => self.on_message(from, message, effects),
            Event::Disk { operation, result } => {
                if let Some(purpose) = self.disk.end(operation) {
                    self.on_disk(purpose, result, effects);
                }
            }
            Event::Timer(timer) => self.on_timer(timer, effects),
            Event::TurnEnd => {
                if let Phase::Serving(serving) = &mut self.phase {
                    let told = (&self.config, self.seed);
                    let ended = serving.on_turn_end(told, &mut self.disk, &mut self.counters, effects);
                    self.go_on(ended, effects);
                }
            }
            // No work is ever asked for.
            Event::Worked { .. } => {}
        }
        if let Phase::Serving(serving) = &mut self.phase {
            serving.device.keep_time(effects);
        }
        self.check_invariants();
    }
}
