//! An operator changes the KV's group in the middle of everything: members join, leave, hand over and lose their disks.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest, KvGroupVerb};
use glossary::NodeId;

use super::alarm::Alarm;
use super::operator::OPERATOR;
use super::run::Run;
use crate::cluster::{Cluster, Layout, Part};
use crate::disk::Crash;
use crate::{Kind, Random};

/// One after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Add(NodeId),
    Remove(NodeId),
    Transfer(NodeId),
    Snapshot(NodeId),
    /// The disk of a member that was removed is replaced by an empty one.
    Replace(NodeId),
    /// The program of a server is replaced by a newer one, and started.
    Upgrade(NodeId),
    /// A server that was removed ends for good.
    End(NodeId),
}

/// What the operator still wants.
#[derive(Debug, Default)]
pub(super) struct Changes {
    wishes: VecDeque<Wish>,
    /// The number of the last request.
    asked: u64,
    tries: u32,
    /// Servers that are no members, as they were removed.
    left: BTreeSet<NodeId>,
}

/// Tries after which a handing over or a snapshot is let be: the first may be to who is already gone.
const TRIES_MAX: u32 = 20;

/// Tries of anything after which another server gets its newer program first.
const UPGRADE_TRIES: u32 = 8;

impl Changes {
    /// Draws what will be wanted of a group that begins with so many members; others are spare.
    pub(super) fn draw(layout: &Layout, voters: usize, mut random: Random) -> Self {
        let mut spare = layout.of(Part::Kv);
        let members = spare.drain(..voters.min(spare.len())).collect::<Vec<_>>();
        if layout.is_replaced {
            spare.clear();
        }
        let mut wishes = VecDeque::new();
        if members.len() + spare.len() < 2 {
            return Changes::default();
        }
        let others = [&members[..], &spare[..]].concat();
        for added in spare {
            wishes.push_back(Wish::Add(added));
            if random.coin() {
                wishes.push_back(Wish::Transfer(*random.pick(&others)));
            }
        }
        if !wishes.is_empty() || random.chance(3_000) {
            wishes.push_back(Wish::Snapshot(*random.pick(&others)));
        }
        // Three are left, if there were so many.
        if others.len() > 3 && random.chance(8_000) {
            let leaving = *random.pick(&members);
            wishes.push_back(Wish::Remove(leaving));
            if random.coin() {
                wishes.extend([Wish::Replace(leaving), Wish::Add(leaving)]);
            }
        }
        // Programs are replaced at any time between.
        let mut older = layout.older.clone();
        random.shuffle(&mut older);
        for node in older {
            wishes.insert(random.below(wishes.len() as u64 + 1) as usize, Wish::Upgrade(node));
        }
        Changes { wishes, ..Changes::default() }
    }

    /// Each of the first servers makes way for one of the others, and ends.
    pub(super) fn replace(&mut self, first: &[NodeId], others: &[NodeId]) {
        self.left.extend(others);
        for (old, new) in first.iter().zip(others) {
            self.wishes.extend([Wish::Add(*new), Wish::Remove(*old), Wish::End(*old)]);
        }
    }

    fn put_upgrade_first(&mut self) {
        let is_upgrade = |wish: &Wish| matches!(wish, Wish::Upgrade(_));
        if let Some(place) = self.wishes.iter().position(is_upgrade) {
            let wish = self.wishes.remove(place).expect("it is there");
            self.wishes.push_front(wish);
            self.tries = 0;
        }
    }

    /// Whether nothing is left to be wanted.
    pub(super) fn is_done(&self) -> bool {
        self.wishes.is_empty()
    }

    /// Whether a server was removed from the group, and has not joined again.
    pub(super) fn has_left(&self, node: NodeId) -> bool {
        self.left.contains(&node)
    }

    /// What it waits for, for whoever asks why.
    pub(super) fn waits_for(&self) -> Option<String> {
        self.wishes.front().map(|wish| format!("the operator waits for {wish:?}"))
    }
}

impl<C: Cluster> Run<C> {
    /// Asks for the next change, or again for the one that is not done. What takes long may wait for a newer program: a server
    /// that joins must have it, and of members that left the others say so only when they have.
    pub(super) fn change(&mut self) {
        if self.changes.tries % UPGRADE_TRIES == UPGRADE_TRIES - 1 {
            self.changes.put_upgrade_first();
        }
        let Some(wish) = self.changes.wishes.front().copied() else { return };
        let after = match wish {
            Wish::End(_) => REST,
            _ => self.random.microseconds(50_000, 600_000),
        };
        self.alarm(after, Alarm::Change);
        let member = |run: &Self, node| run.engine.cluster.member_of(node);
        let members = self.engine.cluster.layout().of(Part::Kv);
        let mut to = *self.random.pick(&members);
        let verb = match wish {
            Wish::Replace(node) => return self.replace_disk(node),
            Wish::Upgrade(node) => return self.upgrade(node),
            Wish::End(node) => return self.end(node),
            Wish::Add(node) => KvGroupVerb::Add { member: member(self, node) },
            Wish::Remove(node) => KvGroupVerb::Remove { member: member(self, node) },
            Wish::Transfer(node) => KvGroupVerb::Transfer { to: member(self, node) },
            Wish::Snapshot(node) => {
                to = node;
                KvGroupVerb::Snapshot
            }
        };
        self.changes.tries += 1;
        if self.changes.tries > TRIES_MAX && matches!(wish, Wish::Transfer(_) | Wish::Snapshot(_)) {
            return self.next_change();
        }
        self.changes.asked = self.next_request();
        let message =
            Message::Admin(AdminRequest { request: self.changes.asked, body: AdminBody::KvGroup(verb) });
        self.engine.say(|name| format!("=== the operator asks {}: {verb:?}", name(to)));
        self.engine.send(OPERATOR, to, message);
    }

    /// Somebody answered the operator.
    pub(super) fn on_change(&mut self, reply: &AdminReply) {
        if self.changes.wishes.is_empty() || reply.request != self.changes.asked {
            return;
        }
        self.engine.say(|_| format!("=== the operator hears: {:?}", reply.body));
        if reply.body == AdminAnswer::Done {
            self.next_change();
        }
    }

    fn next_change(&mut self) {
        match self.changes.wishes.pop_front() {
            Some(Wish::Remove(node)) => drop(self.changes.left.insert(node)),
            Some(Wish::Add(node)) => drop(self.changes.left.remove(&node)),
            _ => {}
        }
        // An answer that comes twice is none to what is wanted next.
        (self.changes.tries, self.changes.asked) = (0, 0);
        self.engine.count(Kind::Change);
    }

    /// A server gets a newer program. Where it runs, it is stopped for that.
    fn upgrade(&mut self, node: NodeId) {
        self.engine.cluster.upgrade(node);
        self.engine.say(|name| format!("=== {} gets a newer program", name(node)));
        if self.engine.is_alive(node) {
            self.engine.kill(node, Crash::Process);
        }
        self.engine.count(Kind::Upgrade);
        self.next_change();
    }

    /// A server ends, which is no member any more; whatever starts from now on is told of those that are.
    fn end(&mut self, node: NodeId) {
        self.retired.insert(node);
        self.engine.kill(node, Crash::Process);
        let mut members = self.engine.cluster.layout().of(Part::Kv);
        members.retain(|member| !self.changes.has_left(*member));
        self.engine.cluster.configure(&members);
        self.next_change();
    }

    /// A server gets an empty disk and another number: what it was is gone for good.
    fn replace_disk(&mut self, node: NodeId) {
        if self.engine.is_alive(node) {
            self.engine.kill(node, Crash::Power);
        }
        self.engine.replace_disk(node);
        self.next_change();
    }
}

/// How long the operator waits before the next server is replaced: roles ask every 3 s whom they may ask.
const REST: Duration = Duration::from_secs(10);

/// How long the operator waits before the first change.
pub(super) const FIRST: Duration = Duration::from_millis(700);
