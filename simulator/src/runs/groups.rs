//! Groups beside the root group, in the middle of everything: an operator makes them, askers of their own ask them, some are
//! dropped, and of those nothing may be left.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use formats::Message;
use formats::kv_table::TableKey;
use formats::message::admin::{
    AdminAnswer, AdminBody, AdminReply, AdminRequest, KvGroupStatus, KvGroupVerb, KvGroupsVerb,
};
use glossary::{GroupId, NodeId};

use super::alarm::Alarm;
use super::operator::OPERATOR;
use super::run::Run;
use crate::checkers::Promise;
use crate::cluster::{Cluster, Layout, Part};
use crate::faults::Fault;
use crate::kv::Whose;
use crate::{Kind, Random};

/// Askers of each group.
const ASKERS_EACH: usize = 2;

/// How long what was dropped may take to be gone from all disks.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Make(usize),
    /// Its leader is cut off from all others while it sleeps.
    CutSleeper(usize),
    /// Once the askers have no more calls to make than this.
    Drop(usize, u32),
}

/// A group that is made in a run.
#[derive(Clone, Debug)]
struct Slot {
    name: String,
    /// Its number, once it is made.
    group: Option<GroupId>,
    is_dropped: bool,
}

/// What the operator wants of groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    wishes: VecDeque<Wish>,
    slots: Vec<Slot>,
    /// The number of the last request.
    asked: u64,
    /// Members that are to make a checkpoint, by the number of the request.
    checkpoints: BTreeMap<u64, NodeId>,
}

impl Groups {
    /// Draws what will be wanted.
    pub(super) fn draw(layout: &Layout, mut random: Random) -> Self {
        let mut groups = Groups::default();
        for index in 0..layout.groups {
            groups.want(format!("group-{index}"));
        }
        if layout.voters > 1 && layout.groups > 0 {
            for _ in 0..random.below(3) {
                groups.wishes.push_back(Wish::CutSleeper(random.below(layout.groups as u64) as usize));
            }
        }
        if layout.groups > 0 && random.chance(5_000) {
            let leaving = random.below(layout.groups as u64) as usize;
            groups.wishes.push_back(Wish::Drop(leaving, random.below(40) as u32));
            if random.coin() {
                // Another one of that name, which has nothing of the first.
                groups.want(format!("group-{leaving}"));
            }
        }
        groups
    }

    fn want(&mut self, name: String) {
        self.wishes.push_back(Wish::Make(self.slots.len()));
        self.slots.push(Slot { name, group: None, is_dropped: false });
    }

    /// How many groups there are to be, those included that come in the place of one that was dropped.
    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// How many askers they have.
    pub(super) fn askers(&self) -> usize {
        self.slots.len() * ASKERS_EACH
    }

    /// Whether an asker is the first of its group, where so many askers are the root group's.
    pub(super) fn is_first(&self, asker: usize, of_root: usize) -> bool {
        asker >= of_root && (asker - of_root).is_multiple_of(ASKERS_EACH)
    }

    /// Whether nothing is left to be wanted.
    pub(super) fn is_done(&self) -> bool {
        self.wishes.is_empty()
    }

    /// What it waits for, for whoever asks why.
    pub(super) fn waits_for(&self) -> Option<String> {
        self.wishes.front().map(|wish| format!("the operator waits for {wish:?}"))
    }

    /// The numbers of those that were dropped.
    fn dropped(&self) -> impl Iterator<Item = GroupId> {
        self.slots.iter().filter(|slot| slot.is_dropped).filter_map(|slot| slot.group)
    }
}

impl<C: Cluster> Run<C> {
    /// Which history an asker's calls belong to.
    pub(super) fn history_of(&self, asker: usize) -> usize {
        let of_root = self.engine.cluster.layout().askers.0;
        asker.checked_sub(of_root).map_or(0, |index| 1 + index / ASKERS_EACH)
    }

    fn askers_of(&self, slot: usize) -> core::ops::Range<usize> {
        let first = self.engine.cluster.layout().askers.0 + slot * ASKERS_EACH;
        first..first + ASKERS_EACH
    }

    /// Groups that are made and not to be dropped, each with its askers.
    pub(super) fn groups_with_askers(&self) -> impl Iterator<Item = (GroupId, core::ops::Range<usize>)> {
        let asked = |(slot, made): (usize, &Slot)| made.group.map(|group| (group, self.askers_of(slot)));
        let asked = self.groups.slots.iter().enumerate().filter_map(asked);
        asked.filter(|(group, askers)| self.askers[askers.start].whose == Whose::Group(*group))
    }

    /// Asks for what is wanted of groups, or again for what is not done.
    pub(super) fn change_groups(&mut self) {
        let after = self.random.microseconds(50_000, 600_000);
        if self.groups.is_done() && self.groups.checkpoints.is_empty() {
            return;
        }
        self.alarm(after, Alarm::Group);
        self.ask_checkpoints();
        let Some(wish) = self.groups.wishes.front().copied() else { return };
        let body = match wish {
            Wish::CutSleeper(slot) => return self.cut_sleeper(slot),
            Wish::Make(slot) => KvGroupsVerb::Make { name: self.groups.slots[slot].name.clone() },
            Wish::Drop(slot, left) => {
                let askers = self.askers_of(slot);
                if self.askers[askers.clone()].iter().any(|asker| asker.left() > left) {
                    return;
                }
                let Some(group) = self.groups.slots[slot].group else { return };
                self.askers[askers].iter_mut().for_each(|asker| asker.whose = Whose::Dropped(group));
                KvGroupsVerb::Drop { name: self.groups.slots[slot].name.clone() }
            }
        };
        self.ask_of_groups(body);
    }

    fn ask_of_groups(&mut self, verb: KvGroupsVerb) {
        let to = *self.random.pick(&self.engine.cluster.layout().of(Part::Kv));
        self.groups.asked = self.next_request();
        self.engine.say(|name| format!("=== the operator asks {}: {verb:?}", name(to)));
        let body = AdminBody::KvGroups(verb);
        self.engine.send(OPERATOR, to, Message::Admin(AdminRequest { request: self.groups.asked, body }));
    }

    /// Somebody answered the operator.
    pub(super) fn on_groups(&mut self, reply: &AdminReply) {
        if reply.body == AdminAnswer::Done {
            self.groups.checkpoints.remove(&reply.request);
        }
        let Some(wish) = self.groups.wishes.front().copied() else { return };
        if reply.request != self.groups.asked {
            return;
        }
        self.engine.say(|_| format!("=== the operator hears of groups: {:?}", reply.body));
        match (&reply.body, wish) {
            // Which number it got, any member says that has heard of it.
            (AdminAnswer::Done, Wish::Make(_)) => self.ask_of_groups(KvGroupsVerb::List),
            (AdminAnswer::KvGroups(all), Wish::Make(slot)) => self.find_made(slot, all),
            (AdminAnswer::Done, Wish::Drop(slot, _)) => {
                self.groups.slots[slot].is_dropped = true;
                self.groups.wishes.pop_front();
                self.engine.count(Kind::DroppedGroup);
            }
            _ => {}
        }
    }

    fn find_made(&mut self, slot: usize, all: &[KvGroupStatus]) {
        let is_new = |group: GroupId| self.groups.slots.iter().all(|slot| slot.group != Some(group));
        let name = &self.groups.slots[slot].name;
        let Some(made) = all.iter().find(|status| status.name == *name && is_new(status.group)) else {
            return;
        };
        let group = made.group;
        self.groups.slots[slot].group = Some(group);
        self.groups.wishes.pop_front();
        self.engine.count(Kind::Group);
        for index in self.askers_of(slot) {
            self.askers[index].whose = Whose::Group(group);
        }
    }

    /// Cuts the leader of a group off, once it sleeps: it must notice that it may lead no more.
    fn cut_sleeper(&mut self, slot: usize) {
        // Without anybody who asks nobody would notice.
        let is_over = self.askers_of(slot).any(|index| self.askers[index].left() == 0);
        let group = self.groups.slots[slot].group.unwrap_or(GroupId::ROOT);
        let sleeper = self.engine.groups.sleeping_leader(group);
        if is_over || sleeper.is_some() {
            self.groups.wishes.pop_front();
        }
        if let Some(node) = sleeper.filter(|_| !is_over) {
            let others = self.nodes().filter(|other| *other != node).collect();
            let lasts = self.random.microseconds(2_000_000, 6_000_000);
            self.strike(Fault::Partition { from: vec![node], to: others, one_way: false, lasts });
        }
    }

    fn ask_checkpoints(&mut self) {
        for (request, to) in self.groups.checkpoints.clone() {
            let body = AdminBody::KvGroup(KvGroupVerb::Snapshot);
            self.engine.send(OPERATOR, to, Message::Admin(AdminRequest { request, body }));
        }
    }

    /// Of groups that were dropped nothing is left after a checkpoint: no member has them, in memory or on its disk. False
    /// where that does not come about.
    pub(super) fn bury(&mut self) -> bool {
        let gone: Vec<GroupId> = self.groups.dropped().collect();
        let mut members = self.engine.cluster.layout().of(Part::Kv);
        // Nobody tells who was removed what became of groups.
        members.retain(|node| !self.changes.has_left(*node));
        if gone.is_empty() {
            return true;
        }
        let hosts = |run: &Self, node: NodeId| {
            let view = run.engine.view();
            let machine = view.nodes[node.0 as usize].0;
            machine.is_none_or(|machine| {
                run.engine.cluster.looks(machine).iter().any(|(group, _)| gone.contains(group))
            })
        };
        let is_forgotten = |run: &Self| members.iter().all(|node| !hosts(run, *node));
        if !self.run_until(PATIENCE, is_forgotten) {
            self.complain(Promise::P9, format!("groups {gone:?} are dropped, and members still have them"));
            return false;
        }
        for node in &members {
            let request = self.next_request();
            self.groups.checkpoints.insert(request, *node);
        }
        self.alarm(Duration::from_micros(1), Alarm::Group);
        if !self.run_until(PATIENCE, |run| run.groups.checkpoints.is_empty()) {
            self.complain(Promise::P10, "nothing goes wrong, and yet members make no checkpoints".into());
            return false;
        }
        let left: Vec<String> = members.iter().filter_map(|node| self.left_of(&gone, *node)).collect();
        let is_clean = left.is_empty();
        left.into_iter().for_each(|what| self.complain(Promise::P9, what));
        is_clean
    }

    /// What the disk of a member has of groups that are gone.
    fn left_of(&self, gone: &[GroupId], node: NodeId) -> Option<String> {
        let tables = self.engine.folder(node).tables().values().filter_map(|table| table.table());
        let group_of = |key: &[u8]| match TableKey::decode(key)? {
            TableKey::Head => None,
            TableKey::Group(group) | TableKey::Arrived(group) | TableKey::Row { group, .. } => Some(group),
        };
        let mut groups = tables.flat_map(|table| table.pairs()).filter_map(|(key, _)| group_of(key));
        let left = groups.find(|group| gone.contains(group))?;
        Some(format!(
            "group {left} is dropped, and the table of {} still has some of it",
            self.engine.name(node)
        ))
    }
}
