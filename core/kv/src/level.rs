//! The group's level: what all its members know, in messages and in the log ([`formats::kv_level`]).
//!
//! Every member writes its own level beside the versions of its functions (`knows.rs`), in the root group's map. When all have
//! written a higher one than the group's, the leader of the root group writes that. A member that lacks the group's level stops,
//! as an older program would at the first entry that it can't read, and says what to do.
//!
//! No older one is taken in: before a newcomer becomes a learner, the leader asks it. That is a message of level 1, and so is
//! its answer; an older program gives none. Who leads must know of no change that is under way, so that of a newcomer
//! and a new level the one sees the other.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use consensus::{Member, Role};
use formats::Effect;
use formats::kv_level::{self, LEVEL_KEY};
use formats::kv_store::{KNOWS_PREFIX, decode_knows, member_of_knows};
use formats::message::admin::{AdminAnswer, KvLevels};
use formats::message::kv::FunctionId;
use formats::message::kv_range::KvRange;
use formats::message::member::{MemberBody, server_of};
use glossary::{GroupId, NodeId};
use step::{Bug, Effects, Function, OrderedMap};

use crate::counters::Counters;
use crate::device::Device;
use crate::group::Group;
use crate::hosted::Hosted;
use crate::records::Saying;
use crate::serving::Serving;

/// Newcomers that are asked at once, and whose answers are kept: operators add one after another.
const NEWCOMERS_MAX: usize = 16;

/// What a leader knows and wants to know of newcomers, and when it tried last to raise the level.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    /// They are asked when the turn ends.
    asked: BTreeSet<Member>,
    /// What they answered. It counts once: their program may be another the next time.
    heard: BTreeMap<Member, u32>,
    /// The highest level that was proposed since this member leads.
    raised: u32,
    saying: Saying,
}

/// The level that a list of known versions tells.
fn level_in(known: &[(FunctionId, u32)]) -> u32 {
    known.iter().find(|(id, _)| *id == FunctionId::LEVEL).map_or(0, |(_, level)| *level)
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// The level of this group, of the root group: as far as it is applied here.
    pub(crate) fn level(&self) -> u32 {
        self.state.map.get(LEVEL_KEY).and_then(kv_level::decode).unwrap_or_default()
    }

    /// The level of every server's member, of those that ever wrote one into this group's map.
    pub(crate) fn levels(&self) -> BTreeMap<Member, u32> {
        let range = KvRange::prefix(KNOWS_PREFIX);
        let written = self.state.map.range(&range);
        let level =
            |(key, value): (&[u8], &[u8])| Some((member_of_knows(key)?, level_in(&decode_knows(value)?)));
        written.filter_map(level).collect()
    }

    /// What an operator is told.
    pub(crate) fn told_levels(&self) -> KvLevels {
        let (levels, membership) = (self.levels(), &self.replica.membership);
        let all = membership.voters.iter().chain(&membership.learners);
        let members = all.map(|member| (*member, levels.get(member).copied().unwrap_or_default()));
        KvLevels { own: self.replica.level, group: self.level(), members: members.collect() }
    }

    /// Whether this member's program, or what it is held at, can go on in this group.
    pub(crate) fn check_level(&self) -> Result<(), String> {
        if self.replica.of() != GroupId::ROOT {
            return Ok(());
        }
        let (group, own) = (self.level(), self.replica.level);
        if group <= own {
            return Ok(());
        }
        Err(match own < kv_level::LEVEL {
            true => format!(
                "the KV's group has level {group}, and this server is held at level {own} ([kv] level, OVS_KV_LEVEL): all its \
                 members knew the higher one, so there is no way back; let this one have level {group} too"
            ),
            false => format!(
                "the KV's group has level {group}, and this program knows up to {own}: it is older than what all members ran \
                 when the level rose; start that program again"
            ),
        })
    }

    /// A tick is over: a leader that finds all members above the group's level raises it.
    pub(crate) fn raise_level(
        &mut self,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        let now = self.level();
        if !self.keeps_records() || now >= self.replica.level {
            return;
        }
        let levels = self.levels();
        let known = |member: &Member| levels.get(member).copied().unwrap_or_default();
        let membership = &self.replica.membership;
        let all = membership.voters.iter().chain(&membership.learners);
        let next = match self.replica.has(Bug::KvRaisesEarly) {
            true => self.replica.level,
            false => all.map(known).min().unwrap_or_default().min(self.replica.level),
        };
        if next <= now {
            self.levels.saying.settle();
            return;
        }
        if self.levels.saying.is_due() {
            self.levels.raised = next;
            self.keep_record(LEVEL_KEY, kv_level::encode(next), device, counters, effects);
        }
    }

    /// What is to be said of a newcomer before it is proposed; none where it knows what the group has.
    pub(crate) fn check_newcomer(&mut self, member: Member) -> Option<AdminAnswer> {
        let wait = |why: String| Some(AdminAnswer::NotYet(why));
        if self.replica.of() != GroupId::ROOT {
            return None;
        }
        if !self.sees_all() {
            return wait(
                "who leads has only begun to, and doesn't know yet what is under way; ask again".to_string(),
            );
        }
        // A higher one may be under way.
        let group = self.level().max(self.levels.raised);
        if group == 0 {
            return None;
        }
        let server = server_of(member);
        match self.levels.heard.remove(&member) {
            Some(level) if level >= group => None,
            Some(level) => Some(AdminAnswer::Failed(format!(
                "server {server} knows level {level}, and the KV's group has level {group}: upgrade that server (or raise its \
                 [kv] level), and add it then"
            ))),
            None => {
                if self.levels.asked.len() < NEWCOMERS_MAX {
                    self.levels.asked.insert(member);
                }
                wait(format!(
                    "server {server} was asked for the level of its program, as the KV's group has level {group}: ask again; if \
                     it never answers, it doesn't run, can't be reached, or its program is too old: upgrade it"
                ))
            }
        }
    }

    /// A turn is over: asks newcomers.
    pub(crate) fn ask_levels(&mut self, effects: &mut Effects<Effect>) {
        for member in core::mem::take(&mut self.levels.asked) {
            self.replica.send(member, MemberBody::AskLevel, effects);
        }
    }

    /// A server says which level it knows.
    pub(crate) fn on_level(&mut self, from: NodeId, member: Member, level: u32) {
        if self.leadership().role != Role::Leader || self.replica.node_of(member) != from {
            return;
        }
        self.levels.heard.insert(member, level);
        if self.levels.heard.len() > NEWCOMERS_MAX {
            self.levels.heard.pop_first();
        }
    }

    /// This member begins to lead: what it heard when it led before is old.
    pub(crate) fn begin_levels(&mut self) {
        self.levels = Levels::default();
    }

    /// Whether, as leader, no change of the group is under way that is not applied here.
    pub(crate) fn sees_all(&self) -> bool {
        self.has_applied_all() && self.changes.is_none_proposed()
    }
}

impl<F: Function, C: Group> Serving<F, C> {
    /// Another server says something of levels; whether that is all that it says. It need not be a member.
    pub(crate) fn on_levels(
        &mut self,
        from: NodeId,
        body: &MemberBody,
        effects: &mut Effects<Effect>,
    ) -> bool {
        let root = &mut self.root_mut().replica;
        match body {
            MemberBody::AskLevel => {
                let level = MemberBody::Level { member: root.me(), level: root.level };
                root.send_to_node(from, level, effects);
            }
            MemberBody::Level { member, level } => self.root_mut().on_level(from, *member, *level),
            _ => return false,
        }
        true
    }
}
