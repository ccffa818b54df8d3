//! Changes of the group that an operator asks for. Each is one entry of the log; who asks hears when it is committed, or
//! why it isn't. Who asks again for what is so already is told that it is done.
//!
//! A newcomer becomes a learner first. The leader gives it a vote once it has caught up; that wish is the leader's
//! memory alone, so whoever wants it asks until it is done, as after a change of leaders somebody must.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use consensus::{LogIndex, Member, Membership, MembershipChange, Position, Refused, Role, SnapshotMark};
use formats::Effect;
use formats::kv_groups::GROUP_PREFIX;
use formats::message::admin::{AdminAnswer, KvGroupVerb};
use formats::message::kv_range::KvRange;
use formats::message::member::server_of;
use formats::message::standing::DiskRoom;
use glossary::NodeId;
use step::{Effects, Function};

use crate::device::Device;
use crate::group::Group;
use crate::hosted::Hosted;
use crate::status;

/// Operators that wait at once: more are told to ask again.
const WAITERS_MAX: usize = 16;

/// What was asked for and is not settled yet.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    proposed: Vec<Waiter>,
    /// Who waits for a checkpoint.
    checkpoints: Vec<(NodeId, u64)>,
    /// Learners that get a vote once they have caught up.
    newcomers: BTreeSet<Member>,
    /// Up to here the log may make groups with members that were removed.
    made_up_to: LogIndex,
}

#[derive(Debug)]
struct Waiter {
    to: NodeId,
    request: u64,
    verb: KvGroupVerb,
    position: Position,
}

impl Changes {
    /// Whether no entry is under way that an operator asked for.
    pub(crate) fn is_none_proposed(&self) -> bool {
        self.proposed.is_empty()
    }

    /// Whether nothing is under way.
    pub(crate) fn are_settled(&self) -> bool {
        self.proposed.is_empty() && self.newcomers.is_empty()
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// An operator wants the group changed. None: the answer comes later.
    pub(crate) fn on_group_verb(
        &mut self,
        to: NodeId,
        request: u64,
        verb: KvGroupVerb,
        device: &mut Device,
    ) -> Option<AdminAnswer> {
        self.wake_up();
        if let KvGroupVerb::Fingerprint { at } = verb {
            let why = "the state here is damaged, and another member is giving it anew; ask again";
            return Some(match self.healing {
                Some(_) => AdminAnswer::NotYet(why.to_string()),
                None => self.answer_fingerprint(at),
            });
        }
        if self.changes.proposed.len() + self.changes.checkpoints.len() >= WAITERS_MAX {
            return Some(AdminAnswer::NotYet(
                "too many changes of the KV's group wait; ask again".to_string(),
            ));
        }
        if verb == KvGroupVerb::Snapshot {
            return self.ask_checkpoint(to, request, device);
        }
        let status = self.replica.status();
        if let KvGroupVerb::Transfer { to } = verb
            && status.leadership.leader == Some(to)
        {
            return Some(AdminAnswer::Done);
        }
        if status.leadership.role != Role::Leader {
            let why = status.refusal().unwrap_or_default();
            return Some(AdminAnswer::NotYet(format!("the KV's group is changed by its leader: {why}")));
        }
        if self.healing.is_some() && !matches!(verb, KvGroupVerb::Transfer { .. }) {
            let why = "the leader's state is damaged, and it hands over to another; ask again";
            return Some(AdminAnswer::NotYet(why.to_string()));
        }
        match self.change(verb, &status.membership) {
            Ok(change) => match self.replica.group.propose_membership(change) {
                Ok(position) => {
                    self.changes.proposed.push(Waiter { to, request, verb, position });
                    None
                }
                Err(refused) => Some(answer_to(refused)),
            },
            Err(answer) => Some(*answer),
        }
    }

    /// The change that a verb begins with, or what is to be said at once.
    fn change(
        &mut self,
        verb: KvGroupVerb,
        members: &Membership,
    ) -> Result<MembershipChange, Box<AdminAnswer>> {
        let answer = |answer| Err(Box::new(answer));
        let fail = |why: String| answer(AdminAnswer::Failed(why));
        match verb {
            KvGroupVerb::Add { member } if members.voters.contains(&member) => answer(AdminAnswer::Done),
            KvGroupVerb::AddLearner { member } if members.voters.contains(&member) => {
                fail(format!("{member} has a vote; remove it, and add it under a new number"))
            }
            KvGroupVerb::Add { member } if members.learners.contains(&member) => {
                self.changes.newcomers.insert(member);
                answer(self.catching_up(member))
            }
            KvGroupVerb::AddLearner { member } if members.learners.contains(&member) => {
                self.changes.newcomers.remove(&member);
                answer(AdminAnswer::Done)
            }
            KvGroupVerb::Add { member } | KvGroupVerb::AddLearner { member } => {
                let mut all = members.voters.iter().chain(&members.learners);
                match all.find(|other| server_of(**other) == server_of(member)) {
                    Some(other) => fail(format!(
                        "server {} is in the group as member {other}; remove that first",
                        server_of(member)
                    )),
                    None => match self.check_newcomer(member) {
                        Some(refusal) => answer(refusal),
                        None => Ok(MembershipChange::AddLearner(member)),
                    },
                }
            }
            KvGroupVerb::Remove { member } if members.is_led_by_none_but(member) => {
                fail(format!("{member} is the only voter: without it the KV's group would be lost"))
            }
            KvGroupVerb::Remove { member } => match self.lacking_without(member, members) {
                // Who is told that this member leaves must be one that goes on.
                None if member == self.replica.me() => answer(self.hand_over_to_leave()),
                Some(lacking) => answer(AdminAnswer::NotYet(format!(
                    "without {member} the KV's group would need {lacking}, which has nothing of its log yet: have that \
                     server run until it has, and ask again"
                ))),
                None => Ok(MembershipChange::Remove(member)),
            },
            KvGroupVerb::Transfer { to } => match self.replica.group.transfer_leader(to) {
                Ok(()) => answer(AdminAnswer::NotYet(format!("leadership is being handed to {to}"))),
                Err(refused) => answer(answer_to(refused)),
            },
            KvGroupVerb::Snapshot | KvGroupVerb::Fingerprint { .. } => answer(AdminAnswer::Done),
        }
    }

    /// A voter without which a group without `member` could not elect, and which as far as is known has nothing of the
    /// log. It gives no vote until it has ([`crate::replica::Replica::is_asked_too_early`]), and if this leader started
    /// again before, nobody could bring it anything: the group would stand still for good.
    pub(crate) fn lacking_without(&self, member: Member, members: &Membership) -> Option<Member> {
        let (status, genesis) = (self.replica.status(), SnapshotMark::genesis(Membership::default()).index);
        let lacks = |voter: &Member| {
            *voter != self.replica.me()
                && status.progress.get(voter).is_none_or(|progress| progress.matched <= genesis)
        };
        let (lacking, having): (Vec<Member>, Vec<Member>) =
            members.voters.iter().copied().filter(|voter| *voter != member).partition(lacks);
        let needed = (lacking.len() + having.len()) / 2 + 1;
        lacking.first().copied().filter(|_| having.len() < needed && members.voters.contains(&member))
    }

    fn ask_checkpoint(&mut self, to: NodeId, request: u64, device: &mut Device) -> Option<AdminAnswer> {
        if device.checkpoint.is_none() && !device.checkpoint_due && !device.may_checkpoint() {
            let why = "no checkpoint can begin now: another member gives a state, or the disk has no room; ask again";
            return Some(AdminAnswer::NotYet(why.to_string()));
        }
        device.checkpoint_due |= device.checkpoint.is_none();
        self.changes.checkpoints.push((to, request));
        None
    }

    /// A checkpoint ended.
    pub(crate) fn on_checkpoint_ended(&mut self, is_durable: bool, effects: &mut Effects<Effect>) {
        for (to, request) in core::mem::take(&mut self.changes.checkpoints) {
            let answer = match is_durable {
                true => AdminAnswer::Done,
                false => {
                    AdminAnswer::Failed("the disk had no room for the checkpoint; free some".to_string())
                }
            };
            effects.push(Effect::Send { to, message: status::reply(request, answer) });
        }
    }

    /// An entry was committed and applied: who waits for it, or for what it came in place of, is answered.
    pub(crate) fn settle_changes(&mut self, committed: Position, effects: &mut Effects<Effect>) {
        if self.changes.proposed.is_empty() {
            return;
        }
        let all = core::mem::take(&mut self.changes.proposed);
        let (settled, open) = all.into_iter().partition(|waiter| waiter.position.index <= committed.index);
        self.changes.proposed = open;
        for Waiter { to, request, verb, position } in settled {
            let answer = match verb {
                _ if position != committed => AdminAnswer::NotYet(
                    "another leader's entry came in the place of this change; ask again".to_string(),
                ),
                KvGroupVerb::Add { member } => {
                    self.changes.newcomers.insert(member);
                    self.catching_up(member)
                }
                KvGroupVerb::Remove { member } if self.may_have_groups() => AdminAnswer::NotYet(format!(
                    "the root group goes on without {member}, and the others follow; ask again"
                )),
                _ => AdminAnswer::Done,
            };
            effects.push(Effect::Send { to, message: status::reply(request, answer) });
        }
    }

    /// A member was removed.
    pub(crate) fn on_removed(&mut self) {
        let status = self.replica.status();
        if status.leadership.role == Role::Leader {
            self.changes.made_up_to = status.last;
        }
    }

    /// This member begins to lead.
    pub(crate) fn begin_changes(&mut self) {
        self.begin_levels();
        self.changes.made_up_to = self.replica.status().last;
    }

    /// Whether there are groups beside this one, or may be soon.
    fn may_have_groups(&self) -> bool {
        let named = self.state.map.range(&KvRange::prefix(GROUP_PREFIX)).next();
        named.is_some() || !self.has_applied_all()
    }

    /// Whether, as leader, all is applied here that leaders before proposed.
    pub(crate) fn has_applied_all(&self) -> bool {
        self.replica.applied() >= self.changes.made_up_to
    }

    /// This member leads no more.
    pub(crate) fn give_up_changes(&mut self, effects: &mut Effects<Effect>) {
        self.changes.newcomers.clear();
        for Waiter { to, request, .. } in core::mem::take(&mut self.changes.proposed) {
            let why = "the leader changed meanwhile: the change may have been made or not; ask again";
            let message = status::reply(request, AdminAnswer::NotYet(why.to_string()));
            effects.push(Effect::Send { to, message });
        }
    }

    /// Gives a vote to a learner that has caught up.
    pub(crate) fn promote(&mut self) {
        if self.changes.newcomers.is_empty() || !self.changes.proposed.is_empty() {
            return;
        }
        let members = self.replica.status().membership;
        self.changes.newcomers.retain(|member| members.learners.contains(member));
        for member in &self.changes.newcomers {
            // One that is behind is tried at the next tick.
            if self.replica.group.propose_membership(MembershipChange::Promote(*member)).is_ok() {
                break;
            }
        }
    }

    /// A leader's disk is full, or it leaves: another voter may go on, of those that answer the one whose disk can take most, and then
    /// the one that has most. One that said that its own is full does no better.
    pub(crate) fn hand_over(&mut self) {
        let status = self.replica.status();
        if status.leadership.role != Role::Leader {
            return;
        }
        let can_go_on = |member: &Member| {
            !status.quorum.silent.contains(member) && self.room_of(*member) > DiskRoom::Nothing
        };
        let others = status.progress.iter().filter(|(member, _)| status.membership.voters.contains(member));
        let best = others
            .filter(|(member, _)| can_go_on(member))
            .max_by_key(|(member, progress)| (self.room_of(**member), progress.matched));
        if let Some((member, _)) = best {
            // It is refused while it is being handed over already.
            let _ = self.replica.group.transfer_leader(*member);
        }
    }

    /// This member is to leave, and leads.
    fn hand_over_to_leave(&mut self) -> AdminAnswer {
        self.hand_over();
        let status = self.replica.status();
        AdminAnswer::NotYet(match status.handing_over_to {
            Some(next) => {
                format!("{} leads, and hands over to {next} before it leaves; ask again", status.me)
            }
            None => format!(
                "{} leads, and no other voter can take over now: see that one runs and has room on its disk; ask again",
                status.me
            ),
        })
    }

    fn catching_up(&self, member: Member) -> AdminAnswer {
        let status = self.replica.status();
        let matched = status.progress.get(&member).map_or(0, |progress| progress.matched.0);
        let behind = status.last.0.saturating_sub(matched);
        AdminAnswer::NotYet(format!(
            "{member} is a learner, {behind} entries behind; it gets a vote once it has caught up; ask again"
        ))
    }
}

/// What an operator is told of what the group didn't begin.
fn answer_to(refused: Refused) -> AdminAnswer {
    match refused.is_passing() {
        true => AdminAnswer::NotYet(refused.to_string()),
        false => AdminAnswer::Failed(refused.to_string()),
    }
}
