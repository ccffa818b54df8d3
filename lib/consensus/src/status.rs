//! How a member and its group are.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{LogIndex, Member, Membership, Term};

/// What a member is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Follows, or would if there were a leader.
    #[default]
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads, as far as it knows.
    Leader,
    /// Follows without a vote, or is no member.
    Learner,
}

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// What this member is.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Who leads that term, if known.
    pub leader: Option<Member>,
}

/// How a member and its group are, as far as it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub me: Member,
    /// Who leads.
    pub leadership: Leadership,
    /// The last entry of its log.
    pub last: LogIndex,
    /// The last entry of which it knows that it survives a power cut here.
    pub durable: LogIndex,
    /// The last entry of which it knows that it is committed.
    pub commit: LogIndex,
    /// The last entry that was handed out to be applied.
    pub handed_out: LogIndex,
    /// The newest snapshot.
    pub snapshot: LogIndex,
    /// Who is a member.
    pub membership: Membership,
    /// Whether it would still know after a crash. See [`crate::MembershipChange::Remove`].
    pub is_membership_durable: bool,
    /// As leader: how far each other member is.
    pub progress: BTreeMap<Member, Progress>,
    /// Who is heard from.
    pub quorum: Quorum,
    /// As leader: to whom leadership is being handed.
    pub handing_over_to: Option<Member>,
}

/// How far a member is, as its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its log is the leader's up to here.
    pub matched: LogIndex,
    /// What will be sent next. Always more than `matched`.
    pub next: LogIndex,
    /// How entries reach it.
    pub kind: ProgressKind,
}

/// How entries reach a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressKind {
    /// One message at a time, to find out where it is.
    Probing,
    /// Pipelined.
    Replicating,
    /// Not at all until it has a snapshot.
    NeedsSnapshot,
}

/// Who is heard from. A voter is active that was heard from in the last `election_ticks`; this member always is. A
/// follower hears from nobody but its leader, so this tells something of leaders and of members without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quorum {
    /// Voters that must answer.
    pub needed: usize,
    /// Voters that do.
    pub active: usize,
    /// Voters that don't.
    pub silent: Vec<Member>,
}

impl Quorum {
    /// Whether a majority is heard from.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active >= self.needed
    }
}

impl Status {
    /// Why nothing can be changed through this member at the moment, in words for an operator; none where it leads a
    /// majority.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let is_leader = self.leadership.role == Role::Leader;
        if is_leader && self.quorum.is_active() {
            return None;
        }
        match self.leadership.leader {
            Some(leader) if !is_leader => Some(format!("member {leader} leads; ask it")),
            _ if !self.membership.contains(self.me) => {
                Some(format!("{} is not a member of the group, as far as it knows", self.me))
            }
            _ if self.quorum.is_active() => {
                Some("no leader is elected yet; a majority answers, so one will be soon".into())
            }
            _ => Some(self.minority()),
        }
    }

    fn minority(&self) -> String {
        let silent: Vec<String> = self.quorum.silent.iter().map(|member| format!("{member}")).collect();
        format!(
            "{} of {} voters answer and {} are needed; silent: {}",
            self.quorum.active,
            self.membership.voters.len(),
            self.quorum.needed,
            silent.join(", ")
        )
    }
}
