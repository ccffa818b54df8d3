//! Healing: a member whose state on the disk is damaged, while its log is whole, is given the state by another.
//!
//! To its group it is what it was: it has its entries and its votes, and what is committed is handed out to it. But it has
//! nothing to apply that to, so entries wait until a state is here, nothing is answered, and it stands for no election:
//! a leader would have to answer. Where nobody else is elected it may alone have the last entries, and the group would
//! wait for it, and it for the group. Then it stands, as a leader's entries are in its log: it brings them to the others,
//! answers nothing, and hands over to the first that has them all.
//!
//! A log that begins anew says all its entries again, as nothing stands for them; so other groups have their checkpoints
//! meanwhile.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use consensus::{Entry, EntryBody, Member, Role, SnapshotMark, Status};
use formats::Effect;
use formats::message::kv::{KvAnswer, KvError};
use step::{Bug, Effects, Function};

use crate::counters::{Counter, Counters};
use crate::group::{ELECTION_TICKS, Group};
use crate::hosted::Hosted;
use crate::state::State;
use crate::transfer::Transfer;
use crate::unwritten::Taken;

/// A member without its state stands for election after so many ticks without a leader, about 2 s: who else can win has
/// long done so then.
const STAND_AFTER: u32 = 6 * ELECTION_TICKS;

/// What a member without its state waits for.
#[derive(Debug)]
pub(crate) struct Healing {
    /// What the state must have at least: the entries behind it are in the log.
    mark: SnapshotMark,
    /// What was committed since.
    missed: VecDeque<Entry>,
    /// Who was asked last.
    asked: Option<Member>,
    /// Ticks for which nobody led.
    leaderless: u32,
    /// To whom it handed over last, where it led.
    heir: Option<Member>,
}

impl Healing {
    pub(crate) fn new(mark: SnapshotMark) -> Self {
        Healing { mark, missed: VecDeque::new(), asked: None, leaderless: 0, heir: None }
    }

    /// An entry is committed, and waits.
    pub(crate) fn miss(&mut self, entry: Entry) {
        self.missed.push_back(entry);
    }

    /// A log that begins anew says again what a member without its state could not apply: nothing stands for it.
    pub(crate) fn keep(&self, mut taken: Taken) -> Taken {
        for record in taken.records.iter_mut().filter(|record| record.upon.is_some()) {
            let Some(append) = &mut record.append else { continue };
            record.install = Some(self.mark.clone());
            append.after = self.mark.index;
            append.entries = self.missed.iter().cloned().chain(append.entries.drain(..)).collect();
        }
        taken
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// What to answer while there is no state; none where there is one.
    pub(crate) fn without_state(&self) -> Option<KvAnswer> {
        let leader = self.leadership().leader.filter(|leader| *leader != self.replica.me());
        self.healing
            .as_ref()
            .map(|_| KvAnswer::Failed(leader.map_or(KvError::Unavailable, |_| KvError::NotLeader { leader })))
    }

    /// A tick is over.
    pub(crate) fn tick_healing(&mut self, effects: &mut Effects<Effect>) {
        let status = self.replica.status();
        self.stand(&status);
        self.hand_on_entries(&status);
        self.ask_for_state(&status, effects);
    }

    /// Where nobody leads for long, it may be that nobody else can.
    fn stand(&mut self, status: &Status) {
        let Some(healing) = &mut self.healing else { return };
        let is_led = status.leadership.leader.is_some();
        healing.leaderless = if is_led { 0 } else { healing.leaderless.saturating_add(1) };
        self.replica.is_mute = healing.leaderless < STAND_AFTER;
    }

    /// Who leads without a state hands over to one that has all entries: to another each time, as one that is healed itself
    /// does not take over.
    fn hand_on_entries(&mut self, status: &Status) {
        let is_free = status.leadership.role == Role::Leader && status.handing_over_to.is_none();
        let Some(healing) = self.healing.as_mut().filter(|_| is_free) else { return };
        let has_all = |member: &Member| {
            let has = status.progress.get(member).is_some_and(|progress| progress.matched == status.last);
            has && *member != status.me && !status.quorum.silent.contains(member)
        };
        let able: Vec<Member> = status.membership.voters.iter().copied().filter(has_all).collect();
        if let Some(heir) = next_of(&able, healing.heir) {
            healing.heir = Some(heir);
            // Where it is refused now it is tried again with the next tick.
            let _ = self.replica.group.transfer_leader(heir);
        }
    }

    /// Asks for a state, where none is on its way. The leader first; without one any other.
    fn ask_for_state(&mut self, status: &Status, effects: &mut Effects<Effect>) {
        let (Some(healing), None) = (&self.healing, &self.transfer) else { return };
        let voters = status.membership.voters.iter().copied();
        let others: Vec<Member> = voters.filter(|member| *member != self.replica.me()).collect();
        let next = next_of(&others, healing.asked);
        let leader = status.leadership.leader.filter(|leader| Some(*leader) != healing.asked);
        let Some(from) = leader.filter(|leader| *leader != self.replica.me()).or(next) else { return };
        let mark = healing.mark.clone();
        self.transfer = Some(Transfer::new(from, mark, self.fresh_state(), true));
        if let Some(healing) = &mut self.healing {
            healing.asked = Some(from);
        }
        self.ask_for_page(effects);
    }

    /// Takes the state that is here, once the log has reached it. Whether it did.
    pub(crate) fn heal(&mut self, counters: &mut Counters) -> Result<bool, String> {
        let applied = self.replica.applied();
        let is_it = |transfer: &&mut Transfer<F>| {
            transfer.heals && transfer.is_complete && transfer.mark.index <= applied
        };
        let Some(transfer) = self.transfer.as_mut().filter(is_it) else { return Ok(false) };
        let (mark, fresh) = (transfer.mark.clone(), State::new(self.state.functions.clone()));
        self.state = core::mem::replace(&mut transfer.state, fresh);
        self.transfer = None;
        let missed = self.healing.take().map_or_else(VecDeque::new, |healing| healing.missed);
        let forgets = self.replica.has(Bug::KvHealingForgets);
        for entry in missed.into_iter().filter(|entry| entry.index > mark.index && !forgets) {
            if let EntryBody::Command(command) = &entry.body {
                self.apply_entry(entry.index, command, counters)?;
            }
        }
        self.replica.is_mute = false;
        self.last_generation += 1;
        (self.generation, self.is_unwritten) = (self.last_generation, true);
        self.pass_to(applied);
        counters.add(Counter::Healed, 1);
        Ok(true)
    }
}

/// The member behind another, or the first.
fn next_of(members: &[Member], last: Option<Member>) -> Option<Member> {
    let behind = |last: Member| members.iter().copied().find(|member| *member > last);
    last.and_then(behind).or(members.first().copied())
}
