//! Troubles that are aimed at who leads a group of the KV, while others ask it: at random they hit a leader, and askers that
//! would notice, too seldom.

use core::ops::Range;
use core::time::Duration;
use std::collections::VecDeque;

use consensus::Term;
use formats::Message;
use formats::message::admin::{AdminBody, AdminRequest, KvGroupVerb};
use glossary::{GroupId, NodeId};

use super::alarm::Alarm;
use super::operator::OPERATOR;
use super::run::Run;
use crate::cluster::{Cluster, Layout, Part};
use crate::faults::{Fault, Plan};
use crate::{Moment, Random};

/// How often in 10,000 a run has aims, where its group is one thing among many.
const AIMED: u64 = 4_000;

/// Looks after which an aim is let be, as nobody leads or nobody asks, and after which who is to be idle isn't waited for.
const LOOKS_MAX: u32 = 60;
const IDLE_LOOKS: u32 = 10;

/// Calls that each asker of the group has to make more, for each aim.
const CALLS: u32 = 15;

/// How long a leader that is to rot goes on alone, in microseconds: it writes down what nobody else has.
const ALONE: (u64, u64) = (30_000, 200_000);

/// How long whoever lost the lead is watched for taking it again: nobody else can, and that takes 2 s to notice.
const RETURN_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// The leader is cut off from the other members, and from nobody else: one that answers without them says what was.
    /// Who changes something finds the next leader as soon as it leads.
    Cut(Way),
    /// It is cut off, dies, and its table rots: it has what nobody else has, and must lead without its state.
    Rot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Both,
    /// It is not heard.
    Out,
    /// It hears nothing.
    In,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Those who are to ask later end what they ask.
    Gather,
    /// The leader is alone.
    Alone,
    /// Somebody leads after it, or it does again.
    Followed,
}

/// An aim that is being carried out.
#[derive(Clone, Debug)]
struct Shot {
    aim: Aim,
    group: GroupId,
    askers: Range<usize>,
    leader: NodeId,
    term: Term,
    stage: Stage,
    ends: Moment,
}

/// What is aimed at leaders.
#[derive(Debug)]
pub(super) struct Aims {
    wishes: VecDeque<Aim>,
    shot: Option<Shot>,
    looks: u32,
    random: Random,
}

impl Aims {
    /// Draws what will be aimed at; a table rots only where the plan has none rot, as one member must have it whole.
    pub(super) fn draw(layout: &Layout, plan: &Plan, mut random: Random) -> Self {
        let mut wishes = VecDeque::new();
        let is_meant = layout.members_away > 0 || random.chance(AIMED);
        if layout.voters > 1 && is_meant {
            for _ in 0..random.between(1, 3) {
                let way = [Way::Both, Way::Out, Way::In][random.weighted(&[6, 1, 1])];
                wishes.push_back(Aim::Cut(way));
            }
            let rots = plan.faults.iter().any(|(_, fault)| matches!(fault, Fault::TableRot { .. }));
            // Of more than two the others go on without it.
            if !rots && random.chance(if layout.voters == 2 { 8_000 } else { 1_500 }) {
                wishes.insert(random.below(wishes.len() as u64 + 1) as usize, Aim::Rot);
            }
        }
        Aims { wishes, shot: None, looks: 0, random }
    }

    /// Whether nothing is left to be aimed at.
    pub(super) fn is_done(&self) -> bool {
        self.wishes.is_empty() && self.shot.is_none()
    }
}

impl<C: Cluster> Run<C> {
    /// Looks whether an aim can be taken, or what came of it.
    pub(super) fn take_aim(&mut self) {
        if self.aims.is_done() {
            return;
        }
        let (low, high) = if self.aims.shot.is_some() { (2_000, 15_000) } else { (20_000, 300_000) };
        let after = self.aims.random.microseconds(low, high);
        self.alarm(after, Alarm::Aim);
        self.aims.looks += 1;
        match self.aims.shot.take() {
            None => self.aims.shot = self.choose(),
            Some(shot) => self.aims.shot = self.pursue(shot),
        }
        if self.aims.shot.is_none() && self.aims.looks > LOOKS_MAX {
            self.aims.looks = 0;
            self.aims.wishes.pop_front();
        }
    }

    /// Takes a group that is asked and led.
    fn choose(&mut self) -> Option<Shot> {
        let aim = *self.aims.wishes.front()?;
        let groups: Vec<_> = self.asked_groups().collect();
        let (group, askers) = groups[self.aims.random.below(groups.len() as u64) as usize].clone();
        let (term, leader) =
            self.engine.groups.leader(group).filter(|(_, node)| self.engine.is_alive(*node))?;
        if askers.clone().all(|index| self.askers[index].left() == 0) {
            return None;
        }
        if aim == Aim::Rot && !self.engine.folder(leader).tables().values().any(|table| table.has_pairs()) {
            // What isn't in the table yet can't rot there.
            let body = AdminBody::KvGroup(KvGroupVerb::Snapshot);
            let request = self.next_request();
            self.engine.send(OPERATOR, leader, Message::Admin(AdminRequest { request, body }));
            return None;
        }
        self.aims.wishes.pop_front();
        self.aims.looks = 0;
        for index in askers.clone() {
            let waits = self.askers[index].only_reads() == (aim == Aim::Rot);
            let left = self.askers[index].left();
            self.askers[index].task(left + CALLS);
            self.askers[index].hurry(!waits, waits);
        }
        Some(Shot { aim, group, askers, leader, term, stage: Stage::Gather, ends: Moment::NEVER })
    }

    fn pursue(&mut self, mut shot: Shot) -> Option<Shot> {
        let now = self.engine.now();
        let is_over = now >= shot.ends;
        match (shot.stage, shot.aim) {
            (Stage::Gather, aim) => {
                let idle = |index: usize| !self.askers[index].is_held() || !self.askers[index].is_waiting();
                if shot.askers.clone().all(idle) || self.aims.looks > IDLE_LOOKS {
                    let (low, high) = if aim == Aim::Rot { ALONE } else { (600_000, 3_000_000) };
                    let lasts = self.aims.random.microseconds(low, high);
                    self.part_leader(shot.leader, aim, lasts);
                    (shot.stage, shot.ends) = (Stage::Alone, now.after(lasts));
                }
            }
            (Stage::Alone, Aim::Cut(_)) if !is_over => {
                if let Some((_, next)) = self.next_leader(&shot) {
                    self.let_ask(&shot, next);
                    shot.stage = Stage::Followed;
                }
            }
            (Stage::Alone, Aim::Rot) if is_over => {
                self.rot_leader(shot.leader);
                (shot.stage, shot.ends) = (Stage::Followed, now.after(RETURN_MAX));
            }
            (Stage::Followed, Aim::Rot) if !is_over => {
                if let Some((_, next)) = self.next_leader(&shot) {
                    self.let_ask(&shot, next);
                    if next != shot.leader {
                        shot.ends = now;
                    } else {
                        (shot.ends, shot.term) = (now.after(Duration::from_millis(500)), Term(u64::MAX));
                    }
                }
            }
            _ if !is_over => {}
            _ => {
                shot.askers.clone().for_each(|index| self.askers[index].hurry(false, false));
                self.aims.looks = 0;
                return None;
            }
        }
        Some(shot)
    }

    /// Groups that are there, with their askers.
    fn asked_groups(&self) -> impl Iterator<Item = (GroupId, Range<usize>)> {
        let root = (GroupId::ROOT, 0..self.engine.cluster.layout().askers.0);
        core::iter::once(root).chain(self.groups_with_askers())
    }

    /// Who leads in a later term than when it was aimed.
    fn next_leader(&self, shot: &Shot) -> Option<(Term, NodeId)> {
        self.engine.groups.leader(shot.group).filter(|(term, _)| *term > shot.term)
    }

    /// Those who waited ask, and ask this member first.
    fn let_ask(&mut self, shot: &Shot, first: NodeId) {
        let first = self.engine.cluster.address_of(first);
        for index in shot.askers.clone().filter(|index| self.askers[*index].is_held()).collect::<Vec<_>>() {
            self.askers[index].hurry(true, false);
            self.askers[index].turn_to(first);
        }
    }

    fn part_leader(&mut self, leader: NodeId, aim: Aim, lasts: Duration) {
        let others: Vec<NodeId> = self.engine.cluster.layout().of(Part::Kv);
        let others: Vec<NodeId> = others.into_iter().filter(|other| *other != leader).collect();
        let (from, to) = match aim {
            Aim::Cut(Way::In) => (others, vec![leader]),
            Aim::Cut(_) | Aim::Rot => (vec![leader], others),
        };
        let one_way = matches!(aim, Aim::Cut(Way::In | Way::Out));
        self.strike(Fault::Partition { from, to, one_way, lasts });
    }

    /// Nothing is between the members any more but a slow network: what they do takes long enough to be asked meanwhile.
    fn rot_leader(&mut self, leader: NodeId) {
        let others: Vec<NodeId> = self.engine.cluster.layout().of(Part::Kv);
        let by = self.aims.random.microseconds(1_000, 60_000);
        self.strike(Fault::SlowLink { from: vec![leader], to: others, by, lasts: RETURN_MAX });
        let down = self.aims.random.microseconds(1_000, 200_000);
        let places = self.aims.random.between(1, 4) as u32;
        self.strike(Fault::TableRot { node: leader, places, down });
    }
}
