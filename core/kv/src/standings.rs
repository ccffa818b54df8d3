//! What members tell each other of how they stand. Members that applied the same entries must have the same; where a program
//! or a machine made one of them differ, nobody would notice until it leads. So a leader tells every member, and every
//! member its leader, what it has, and who hears compares.
//!
//! A difference is an alarm and no more: two members can't tell which of them is right, and where most of them are wrong,
//! as after a mistake of the program's, to stop would stop the cluster. An operator compares all.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use consensus::{LogIndex, Member, Role};
use formats::Effect;
use formats::message::admin::AdminAnswer;
use formats::message::member::MemberBody;
use formats::message::standing::{DiskRoom, Fingerprint, Standing};
use step::{Bug, Effects, Function};

use crate::counters::{Counter, Counters};
use crate::fingerprints::{Fingerprints, SCHEME};
use crate::group::Group;
use crate::hosted::Hosted;

/// Members tell so often, in ticks: every 2 s. So soon somebody hears of a difference, for one small message.
const TELL_TICKS: u32 = 40;

/// Where a planted mistake is made, at multiples of this.
const DIVERGES_AT: u64 = 16;

/// What was told and heard.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    /// Since it was told last.
    ticks: u32,
    /// What was told last of this member's disk.
    told: DiskRoom,
    rooms: BTreeMap<Member, DiskRoom>,
    fingerprints: Fingerprints,
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// The state is what it is after the last applied entry.
    pub(crate) fn pass(&mut self, counters: &mut Counters) {
        let differ = self.standings.fingerprints.pass(self.replica.applied(), self.state.hash());
        counters.add(Counter::Differed, differ);
    }

    /// All that was compared is gone: another member gave this one a whole state.
    pub(crate) fn pass_to(&mut self, index: LogIndex) {
        self.standings.fingerprints = Fingerprints::default();
        // Nothing waits, so nothing differs.
        self.standings.fingerprints.pass(index, self.state.hash());
    }

    /// A tick is over: tells, when it is time, or when the disk can take more or less than was told.
    pub(crate) fn tell_standing(&mut self, room: DiskRoom, effects: &mut Effects<Effect>) {
        self.standings.ticks += 1;
        if self.standings.ticks < TELL_TICKS && room == self.standings.told {
            return;
        }
        (self.standings.ticks, self.standings.told) = (0, room);
        let status = self.replica.status();
        self.standings.fingerprints.retain(|member| status.membership.contains(member));
        self.standings.rooms.retain(|member, _| status.membership.contains(*member));
        let to: Vec<Member> = match status.leadership.role {
            Role::Leader => status.progress.keys().copied().collect(),
            _ => status.leadership.leader.into_iter().collect(),
        };
        let standing = Standing { fingerprint: self.fingerprint(), room };
        for member in to.into_iter().filter(|member| *member != status.me) {
            self.replica.send(member, MemberBody::Standing(standing), effects);
        }
        self.prefer(&status);
    }

    /// Another member tells.
    pub(crate) fn on_standing(&mut self, from: Member, standing: Standing, counters: &mut Counters) {
        if !self.replica.status().membership.contains(from) {
            return;
        }
        // Said before it fell asleep, it would be all that is known later.
        if !self.is_asleep() {
            self.standings.rooms.insert(from, standing.room);
        }
        if self.healing.is_none() {
            let differs = self.standings.fingerprints.hear(from, standing.fingerprint);
            counters.add(Counter::Differed, u64::from(differs));
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint { scheme: SCHEME, index: self.replica.applied(), hash: self.state.hash() }
    }

    /// What another member's disk can take, as it told last; enough, where it told nothing.
    pub(crate) fn room_of(&self, member: Member) -> DiskRoom {
        self.heard_room_of(member).unwrap_or_default()
    }

    /// What another member told last of its disk.
    pub(crate) fn heard_room_of(&self, member: Member) -> Option<DiskRoom> {
        self.standings.rooms.get(&member).copied()
    }

    /// Whether the voters that answer and whose disks take anything are enough to keep an entry: this member's disk is as told,
    /// others' as they told last. While no disk is known to be full there is nothing to count.
    pub(crate) fn can_keep(&self, room: DiskRoom) -> bool {
        let is_full = |room: &DiskRoom| *room == DiskRoom::Nothing;
        if !is_full(&room) && !self.standings.rooms.values().any(is_full) {
            return true;
        }
        let status = self.replica.status();
        let takes = |member: &&Member| match **member == status.me {
            true => !is_full(&room),
            false => !status.quorum.silent.contains(member) && !is_full(&self.room_of(**member)),
        };
        status.membership.voters.iter().filter(takes).count() >= status.quorum.needed
    }

    /// Nobody tells anything while the group sleeps: what is known by then is nothing to go by later.
    pub(crate) fn forget_rooms(&mut self) {
        self.standings.rooms.clear();
        self.standings.told = DiskRoom::default();
    }

    /// Whoever compares members wants to know what this one has, or had.
    pub(crate) fn answer_fingerprint(&self, at: Option<LogIndex>) -> AdminAnswer {
        let now = self.fingerprint();
        let Some(index) = at else { return AdminAnswer::Fingerprint(now) };
        match self.standings.fingerprints.at(index) {
            Some(hash) => AdminAnswer::Fingerprint(Fingerprint { index, hash, ..now }),
            None if index > now.index => AdminAnswer::NotYet(format!(
                "this member has applied entries up to {}, and not yet {index}; ask again",
                now.index
            )),
            None => AdminAnswer::Failed(format!(
                "this member no longer knows what it had at entry {index}; ask all members for a newer one"
            )),
        }
    }

    /// Why this member, or another, is not to be trusted; none where nothing was found.
    pub(crate) fn difference(&self) -> Option<String> {
        let (member, index) = self.standings.fingerprints.differing().first_key_value()?;
        let whom = match self.replica.leadership.leader {
            Some(leader) if leader == *member => "its leader's".to_string(),
            _ => format!("those of member {member}"),
        };
        Some(format!(
            "its pairs or sessions at entry {index} were others than {whom}: a disk, a machine or the program made a \
             mistake; compare all members (ovs kv verify), and let the server of one that none is like join anew (ovs kv \
             rejoin)"
        ))
    }

    /// How many commands at the end of an entry are not applied: none but for a planted mistake, which those who follow
    /// make.
    pub(crate) fn passed_over(&self, index: LogIndex) -> usize {
        let is_follower = self.replica.leadership.role != Role::Leader;
        let is_wrong =
            self.replica.has(Bug::KvDiverges) && is_follower && index.0.is_multiple_of(DIVERGES_AT);
        usize::from(is_wrong)
    }
}
