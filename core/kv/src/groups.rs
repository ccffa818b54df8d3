//! Which groups are hosted beside the root group: those that the root group's map names. They are made and dropped by
//! commands in the root group, so every member learns of them by applying. How they follow it is in `follow.rs`.
//!
//! A number is never given twice. So a group whose number was given, and that no name stands for, was dropped; one whose
//! number was not given yet, as far as is applied here, was made by a command that will be applied again.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use consensus::{Membership, Recovered, Role};
use formats::Effect;
use formats::kv_groups::{
    GROUP_PREFIX, GROUPS_MAX, GroupRecord, NEXT_KEY, check_name, decode_group, decode_next, encode_group,
    encode_next, group_key, name_of,
};
use formats::message::admin::{AdminAnswer, KvGroupStatus, KvGroupsVerb};
use formats::message::kv::{KvCommand, KvError, KvStep};
use formats::message::kv_range::KvRange;
use glossary::GroupId;
use step::{Effects, Function, OrderedMap};

use crate::config::Config;
use crate::counters::Counters;
use crate::device::{Device, Share};
use crate::found::Found;
use crate::group::Group;
use crate::hash;
use crate::hosted::{Hosted, NOBODY};
use crate::replica::Replica;
use crate::serving::Serving;
use crate::state::State;

/// The first number that a group gets.
const FIRST: GroupId = GroupId(1);

impl<F: Function, C: Group> Serving<F, C> {
    /// The names of groups, and what is said of each.
    pub(crate) fn named(&self) -> Vec<(String, GroupRecord)> {
        let range = KvRange::prefix(GROUP_PREFIX);
        let pairs = self.root().state.map.range(&range);
        pairs.filter_map(|(key, value)| Some((name_of(key)?, decode_group(value)?))).collect()
    }

    /// Why a group that is not hosted can't be asked: it was dropped, or this member may be behind.
    pub(crate) fn without(&self, group: GroupId) -> KvError {
        let is_named = || self.named().iter().any(|(_, record)| record.group == group);
        if group < self.root().next_group() && !is_named() {
            KvError::NoGroup(group)
        } else {
            KvError::Unavailable
        }
    }

    /// Hosts a group of which the log has something, unless it was dropped as far as is known.
    pub(crate) fn host_found(
        &mut self,
        group: GroupId,
        found: Found<F>,
        told: (&Config<F>, u64),
    ) -> Result<(), String> {
        let is_named = self.named().iter().any(|(_, record)| record.group == group);
        if is_named || group >= self.root().next_group() {
            let Found { state, recovered, rest } = found;
            let mark = recovered.mark.clone();
            self.host(group, (state, recovered), told)?;
            self.with(group, |hosted, _| hosted.rest_in(rest, mark));
        } else {
            self.device.dropped.push(group);
        }
        Ok(())
    }

    fn host(
        &mut self,
        group: GroupId,
        (mut state, recovered): (State<F>, Recovered),
        (config, seed): (&Config<F>, u64),
    ) -> Result<(), String> {
        let seed = hash::mix([seed, group.0.into()]);
        let replica = Replica::open(config, group, seed, recovered, None)?;
        state.plant(config.bug);
        self.groups.insert(group, Hosted::new(state, replica));
        Ok(())
    }

    /// Hosts the groups that are named, and no others.
    pub(crate) fn settle_groups(
        &mut self,
        told: (&Config<F>, u64),
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        if !core::mem::take(&mut self.root_mut().state.names_groups) {
            return Ok(());
        }
        self.look_for_missing();
        let named: BTreeMap<_, _> =
            self.named().into_iter().map(|(_, record)| (record.group, record.first)).collect();
        let next = self.root().next_group();
        let is_gone =
            |group: &GroupId| *group != GroupId::ROOT && *group < next && !named.contains_key(group);
        while let Some(group) = self.groups.keys().copied().find(is_gone) {
            self.drop_group(group, effects);
        }
        for (group, first) in named {
            if self.groups.contains_key(&group) || self.groups.len() > GROUPS_MAX {
                continue;
            }
            // Whoever was not there from the beginning is brought up to date by those who were.
            let is_first = first.contains(told.0.me);
            let recovered = if is_first { Recovered::genesis(first) } else { Recovered::joining() };
            let mark = recovered.mark.clone();
            let state = State::new(told.0.functions.clone());
            self.host(group, (state, recovered), told)?;
            self.with(group, |hosted, _| {
                if is_first {
                    hosted.replica.begin_group(&mark);
                }
                hosted.pump(counters, effects)
            })
            .unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    /// A group goes, and who waits for it hears so. What the log has of it goes with the files.
    fn drop_group(&mut self, group: GroupId, effects: &mut Effects<Effect>) {
        self.touched.remove(&group);
        if let Some(mut hosted) = self.groups.remove(&group) {
            if let Some(checkpoint) = &mut self.device.checkpoint {
                checkpoint.on_drop(group, &mut hosted);
            }
            hosted.end(effects);
            self.device.note(hosted.share, Share::default());
            self.device.dropped.push(group);
        }
    }

    /// An operator wants groups made, dropped or listed.
    pub(crate) fn on_groups_verb(
        &mut self,
        verb: KvGroupsVerb,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> AdminAnswer {
        if self.root().healing.is_some() {
            return self.nameless();
        }
        let name = match verb {
            KvGroupsVerb::List => return AdminAnswer::KvGroups(self.list()),
            KvGroupsVerb::Make { ref name } | KvGroupsVerb::Drop { ref name } => name,
        };
        if let Err(why) = check_name(name) {
            return AdminAnswer::Failed(why.to_string());
        }
        let status = self.root().replica.status();
        if status.leadership.role != Role::Leader {
            let why = status.refusal().unwrap_or_default();
            return AdminAnswer::NotYet(format!("the KV's groups are made and dropped by its leader: {why}"));
        }
        if !self.root().sees_all() || self.missing.waits_before(name) {
            return AdminAnswer::NotYet(
                "the leader is not through with what was asked before; ask again".to_string(),
            );
        }
        let key = group_key(name);
        let is_there = self.root().state.map.get(&key).is_some();
        let (steps, what) = match verb {
            KvGroupsVerb::Drop { .. } if is_there && self.root().is_wanted(name) => {
                return AdminAnswer::Failed(format!(
                    "the cluster counts on the group '{name}': what it stores would be lost with it"
                ));
            }
            KvGroupsVerb::Drop { .. } if is_there => (vec![KvStep::Delete { key }], "dropped"),
            KvGroupsVerb::Make { .. } if !is_there => {
                if self.named().len() >= GROUPS_MAX {
                    return AdminAnswer::Failed(format!("a KV has at most {GROUPS_MAX} groups: drop one"));
                }
                (self.root().make_steps(key, status.membership), "made")
            }
            _ => return AdminAnswer::Done,
        };
        let refused =
            self.with(GroupId::ROOT, |root, device| root.say(steps, device, counters, effects)).flatten();
        AdminAnswer::NotYet(match refused {
            None => format!("the group is being {what}; ask again"),
            Some(why) => format!("the group can't be {what} now: {why}; ask again"),
        })
    }

    fn list(&self) -> Vec<KvGroupStatus> {
        let status = |(name, record): (String, GroupRecord)| {
            let hosted = self.groups.get(&record.group);
            let state = hosted.map(|hosted| &hosted.state);
            KvGroupStatus {
                name,
                group: record.group,
                keys: state.map_or(0, |state| state.map.len()),
                index: state.map_or(0, |state| state.index),
                leader: hosted.and_then(|hosted| hosted.leadership().leader),
                members: hosted.map_or(record.first, |hosted| hosted.replica.status().membership),
                is_asleep: hosted.is_some_and(Hosted::is_asleep),
            }
        };
        self.named().into_iter().map(status).collect()
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// The number that the next group gets, as far as the root group has applied.
    fn next_group(&self) -> GroupId {
        self.state.map.get(NEXT_KEY).and_then(decode_next).unwrap_or(FIRST)
    }

    /// What makes a group: the number that nobody had, and the name that nobody has.
    pub(crate) fn make_steps(&self, key: Vec<u8>, first: Membership) -> Vec<KvStep> {
        let group = self.next_group();
        let before = self.state.map.get(NEXT_KEY).map(<[u8]>::to_vec);
        let next = encode_next(GroupId(group.0.saturating_add(1)));
        vec![
            KvStep::Assert { key: NEXT_KEY.to_vec(), value: before },
            KvStep::Assert { key: key.clone(), value: None },
            KvStep::Set { key: NEXT_KEY.to_vec(), value: next },
            KvStep::Set { key, value: encode_group(&GroupRecord { group, first }) },
        ]
    }

    /// Proposes a command of this member's own; why not, where it can't. Its answer is for nobody.
    pub(crate) fn say(
        &mut self,
        steps: Vec<KvStep>,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Option<String> {
        let request = self.own_command(KvCommand::Steps(steps));
        let answer = self.on_request(NOBODY, request, device, counters, effects);
        answer.map(|answer| format!("{answer:?}"))
    }

    /// The group was dropped.
    fn end(&mut self, effects: &mut Effects<Effect>) {
        let error = KvError::NoGroup(self.replica.of());
        let open = self.proposals.take_all();
        let waiting = self.queue.take_all();
        self.turn_away(open.into_iter().chain(waiting), &error, effects);
        self.end_all_waits(&error, effects);
    }
}
