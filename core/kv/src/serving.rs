//! Serving: the groups that are hosted, and what becomes of batches, and of a disk without room.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use consensus::{Member, Membership};
use formats::Effect;
use formats::message::member::MemberBody;
use formats::message::standing::DiskRoom;
use glossary::GroupId;
use step::{DiskOperation, DiskResult, Effects, Function};

use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::device::{Device, Mark, ROOM_AFTER, ROOM_TIMER};
use crate::disk::{Disk, Purpose, log_name, new_file};
use crate::follow::Told;
use crate::group::Group;
use crate::hosted::Hosted;
use crate::log::{self, Log, Writing};
use crate::replica::Replica;
use crate::room::Room;
use crate::sleep::Liveness;
use crate::start::Started;
use crate::wanted::Missing;

/// On a full disk a checkpoint is worth its writing when the log has grown by such a part of it.
const WORTH_PART: u64 = 8;

/// More log files than these are replaced by a checkpoint, however small they are: a start reads them all.
const LOG_FILES_MAX: usize = 8;

/// What a KV has while it serves.
#[derive(Debug)]
pub(crate) struct Serving<F, C> {
    /// The groups that it hosts, the root group always among them.
    pub(crate) groups: BTreeMap<GroupId, Hosted<F, C>>,
    pub(crate) device: Device,
    /// Groups that may have something to propose or to write.
    pub(crate) touched: BTreeSet<GroupId>,
    /// Which servers are heard.
    pub(crate) liveness: Liveness,
    /// A group that the cluster counts on, and that is not there.
    pub(crate) missing: Missing,
}

impl<F: Function, C: Group> Serving<F, C> {
    /// See [`crate::Kv`].
    pub(crate) fn check_invariants(&self) {
        assert!(
            self.device.checkpoint.is_none() || self.device.is_table_busy,
            "a checkpoint is a commit under way"
        );
        for hosted in self.groups.values() {
            hosted.check_invariants();
            assert_eq!(hosted.share, hosted.share_now(), "shares are noted");
        }
    }

    /// The root group.
    pub(crate) fn root(&self) -> &Hosted<F, C> {
        self.groups.get(&GroupId::ROOT).expect("the root group is always hosted")
    }

    pub(crate) fn root_mut(&mut self) -> &mut Hosted<F, C> {
        self.groups.get_mut(&GroupId::ROOT).expect("the root group is always hosted")
    }

    /// Lets a group do something, and notes what that means for all. None where it is not hosted.
    pub(crate) fn with<R>(
        &mut self,
        group: GroupId,
        act: impl FnOnce(&mut Hosted<F, C>, &mut Device) -> R,
    ) -> Option<R> {
        let hosted = self.groups.get_mut(&group)?;
        self.touched.insert(group);
        let answer = act(hosted, &mut self.device);
        note(hosted, &mut self.device);
        Some(answer)
    }

    /// The same with every group, until one fails.
    pub(crate) fn with_all(
        &mut self,
        mut act: impl FnMut(&mut Hosted<F, C>, &mut Device) -> Result<(), String>,
    ) -> Result<(), String> {
        for (group, hosted) in &mut self.groups {
            self.touched.insert(*group);
            let ended = act(hosted, &mut self.device);
            note(hosted, &mut self.device);
            ended?;
        }
        Ok(())
    }

    /// The same with those that may have something to propose or to write.
    fn with_touched(
        &mut self,
        mut act: impl FnMut(&mut Hosted<F, C>, &mut Device) -> Result<(), String>,
    ) -> Result<(), String> {
        for group in &self.touched {
            let hosted = self.groups.get_mut(group).expect("what is touched is hosted");
            let ended = act(hosted, &mut self.device);
            note(hosted, &mut self.device);
            ended?;
        }
        Ok(())
    }

    /// Serves what the start found. The log's next file is opened meanwhile.
    pub(crate) fn begin(
        started: Started<F>,
        (config, seed): (&Config<F>, u64),
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<Self, String> {
        let Started {
            mut state,
            recovered,
            others,
            begins,
            is_new,
            end,
            next,
            kept,
            needless,
            log_bytes,
            table,
        } = started;
        let is_taken_over = begins.as_ref().is_some_and(|begins| begins.upon.is_some());
        state.plant(config.bug);
        let mark = recovered.mark.clone();
        let replica = Replica::open(config, GroupId::ROOT, seed, recovered, begins)?;
        for file in needless {
            disk.start(Purpose::Forget, DiskOperation::Delete { file }, effects);
        }
        let mut log =
            Log::open((config.cluster.0, config.bug, config.log_ahead_bytes), next, end, disk, effects);
        log.grown = log_bytes;
        let mut room = Room::default();
        room.look(disk, effects);
        let mut device = Device::new(log, room, config.room_kept, kept.into_iter().collect());
        device.is_new = is_new;
        device.rewrites = table.rewrites;
        let is_wasteful = table.rest.is_wasteful() || others.values().any(|found| found.rest.is_wasteful());
        device.checkpoint_due = is_taken_over || is_wasteful;
        device.dropped = table.strangers;
        let mut root = Hosted::new(state, replica);
        root.rest_in(table.rest, mark);
        let groups = [(GroupId::ROOT, root)].into();
        let mut serving = Serving {
            groups,
            device,
            touched: BTreeSet::new(),
            liveness: Liveness::default(),
            missing: Missing::default(),
        };
        for (group, found) in others {
            serving.host_found(group, found, (config, seed))?;
        }
        serving.with_all(|hosted, _| hosted.pump(counters, effects))?;
        serving.root().check_level()?;
        Ok(serving)
    }

    pub(crate) fn on_log(
        &mut self,
        result: DiskResult,
        config: &Config<F>,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        let device = &mut self.device;
        match device.log.on_done(result, disk, effects) {
            log::Progress::None => {}
            log::Progress::Opened => {
                device.files.insert(log_name(device.log.sequence()));
                if core::mem::take(&mut device.is_new) {
                    disk.start(Purpose::Forget, DiskOperation::Delete { file: new_file() }, effects);
                }
                // Each start and each full disk leaves a file.
                device.checkpoint_due |= device.log_files() > LOG_FILES_MAX && device.may_checkpoint();
            }
            log::Progress::Durable(batch) => {
                self.on_durable(&batch, counters, effects)?;
                if let Some(sequence) = batch.begins {
                    self.begin_checkpoint(sequence, config, disk, effects);
                }
                let device = &mut self.device;
                device.checkpoint_due |=
                    device.log.grown >= config.checkpoint_log_bytes && device.may_checkpoint();
            }
            log::Progress::Full => {
                counters.add(Counter::Full, 1);
                self.with_all(|hosted, _| {
                    hosted.on_full(counters, effects);
                    Ok(())
                })?;
                self.give_way()?;
                self.device.room.is_awaited = true;
                effects.push(Effect::SetTimer { timer: ROOM_TIMER, after: ROOM_AFTER });
            }
            log::Progress::Failed(error) => return Err(log::failure(error)),
        }
        Ok(())
    }

    /// This member's disk takes nothing: it leads no group that another can lead.
    fn give_way(&mut self) -> Result<(), String> {
        self.with_all(|hosted, _| {
            // Where the others can keep nothing either, a new leader could not even answer questions.
            if hosted.can_keep(DiskRoom::Nothing) {
                hosted.hand_over();
            }
            Ok(())
        })
    }

    fn on_durable(
        &mut self,
        batch: &Writing,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        if batch.is_mark {
            counters.add(Counter::Marks, 1);
        } else {
            counters.add(Counter::Batches, 1);
            self.device.mark = Mark::Due;
        }
        for (group, number) in &batch.through {
            let ended = self.with(*group, |hosted, _| {
                hosted.replica.persisted(*number);
                hosted.pump(counters, effects)
            });
            ended.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    /// The room was looked at. Where commands find none, a checkpoint makes some: the log goes.
    pub(crate) fn on_space(&mut self, result: &DiskResult, effects: &mut Effects<Effect>) {
        let device = &mut self.device;
        let is_wanted = device.room.wanted() > 0;
        if device.room.looked(result, device.reserve(false)) {
            return;
        }
        // What was removed gives its room back with a checkpoint, however small it is.
        let has_changed = || self.groups.values().any(|hosted| hosted.state.map.changed().0 > 0);
        let is_worth_it =
            device.log.grown >= device.checkpoint_bytes() / WORTH_PART || (is_wanted && has_changed());
        device.checkpoint_due |= is_worth_it && device.may_checkpoint();
        device.await_room(effects);
    }

    /// A tick is over.
    pub(crate) fn on_tick(
        &mut self,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        self.device.on_tick();
        if self.device.log.hangs() {
            self.give_way()?;
        }
        let (root, room) = (self.root().replica.status().membership, self.device.disk_room());
        self.say_alive(&root, effects);
        let liveness = core::mem::take(&mut self.liveness);
        let is_disturbed = |hosted: &Hosted<F, C>| hosted.is_disturbed(&liveness);
        let disturbed =
            self.groups.iter().filter(|(_, hosted)| is_disturbed(hosted)).map(|(group, _)| *group);
        for group in disturbed.collect::<Vec<_>>() {
            self.with(group, |hosted, _| hosted.wake_up());
        }
        let levels = if self.groups.len() > 1 { self.root().levels() } else { BTreeMap::new() };
        let (applied, level) = (self.root().replica.applied(), self.root().level());
        let told = Told { root: &root, applied, liveness: &liveness, room, level, levels: &levels };
        let ended = self.tick_awake(told, counters, effects);
        self.liveness = liveness;
        ended
    }

    fn tick_awake(
        &mut self,
        told: Told<'_>,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        let root = told.root;
        let are_several = root.voters.len() + root.learners.len() > 1;
        let passes =
            |hosted: &Hosted<F, C>| (are_several || hosted.replica.has_others) && !hosted.is_asleep();
        let groups = self.groups.iter().filter(|(_, hosted)| passes(hosted)).map(|(group, _)| *group);
        for group in groups.collect::<Vec<_>>() {
            let ended = self.with(group, |hosted, device| hosted.on_tick(told, device, counters, effects));
            ended.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    /// Says to the others now and then that this server lives, where there are groups that may sleep.
    fn say_alive(&mut self, members: &Membership, effects: &mut Effects<Effect>) {
        let replica = &self.groups[&GroupId::ROOT].replica;
        let all = members.voters.iter().chain(&members.learners).copied();
        let others = all.filter(|member| *member != replica.me());
        let is_time = self.liveness.on_tick(others.clone().map(|member| replica.node_of(member)));
        if is_time && self.groups.len() > 1 {
            // Between the root group's leader and the others go its heartbeats, as often.
            let leader = replica.leadership.leader;
            let is_heard = |member: &Member| leader == Some(*member) || leader == Some(replica.me());
            others
                .filter(|member| !is_heard(member))
                .for_each(|member| replica.send(member, MemberBody::Alive, effects));
        }
    }

    /// It is looked who waited long enough.
    pub(crate) fn end_waits(&mut self, counters: &mut Counters, effects: &mut Effects<Effect>) {
        self.device.on_look();
        for hosted in self.groups.values_mut() {
            hosted.end_waits(&mut self.device, counters, effects);
        }
    }

    /// What waited for entries to travel with goes by itself.
    pub(crate) fn announce(&mut self, effects: &mut Effects<Effect>) {
        for group in core::mem::take(&mut self.device.announcing) {
            if let Some(hosted) = self.groups.get_mut(&group) {
                hosted.replica.say_held(effects);
            }
        }
    }

    pub(crate) fn on_turn_end(
        &mut self,
        told: (&Config<F>, u64),
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        self.settle_groups(told, counters, effects)?;
        self.make_missing(counters, effects);
        self.gather(told.0, disk, effects);
        let log = &self.device.log;
        let can_write = log.is_ready() && !log.is_writing() && !self.is_rotating();
        self.with_touched(|hosted, device| {
            hosted.ask_levels(effects);
            hosted.propose(can_write, device, counters, effects)?;
            hosted.commit_transfer(device, disk, effects);
            device.checkpoint_due |= hosted.heal(counters)?;
            if hosted.replica.held.is_any() {
                device.announce_later(hosted.replica.of(), effects);
            }
            Ok(())
        })?;
        self.write_next(disk, counters, effects);
        let groups = &self.groups;
        self.touched.retain(|group| groups.get(group).is_some_and(Hosted::has_to_do));
        Ok(())
    }
}

/// A group did something: what that means for all.
pub(crate) fn note<F: Function, C: Group>(hosted: &mut Hosted<F, C>, device: &mut Device) {
    let now = hosted.share_now();
    device.note(hosted.share, now);
    hosted.share = now;
}
