//! The group that agrees on the log: what it needs to be, and its settings.

use core::fmt::Debug;

use consensus::{BadRecovery, Consensus, Member, Recovered};
use step::Bug;

use crate::limits::{MAX_BATCH_REQUESTS, MAX_COMMAND_BYTES, MAX_PROPOSAL_BYTES};

/// A member of a group, as the KV opens it.
pub trait Group: Consensus + Debug + Sized {
    /// Goes on from what was recovered.
    ///
    /// # Errors
    /// Says what is wrong with the settings or with what was recovered.
    fn open(config: consensus::Config, recovered: Recovered) -> Result<Self, BadRecovery>;

    /// Makes a mistake from now on, where it is one inside the library.
    fn plant(&mut self, _bug: Option<Bug>) {}
}

#[cfg(not(target_os = "none"))]
impl Group for consensus::RaftGroup {
    fn open(config: consensus::Config, recovered: Recovered) -> Result<Self, BadRecovery> {
        consensus::RaftGroup::new(config, recovered, None)
    }

    fn plant(&mut self, bug: Option<Bug>) {
        let is_inside = bug == Some(Bug::KvOvertakenMismatch);
        consensus::RaftGroup::plant(
            self,
            is_inside.then_some(consensus::PlantedBug::OvertakenMismatchCounts),
        );
    }
}

/// A leader that nobody hears for so many ticks of 50 ms, up to twice as many, is replaced: a fail-over takes about half
/// a second. Members that only canvass (pre-vote) disturb nobody where a leader is merely slow to be heard.
pub(crate) const ELECTION_TICKS: u32 = 6;

/// A leader offers a state again after so many ticks, 1 s: who was away when it was offered has not heard of it, and who is
/// fetching it goes on whatever is offered.
const OFFER_TICKS: u32 = 20;

/// The settings of a member. An entry holds what [`crate::limits`] lets into a proposal.
pub(crate) fn settings(me: Member, seed: u64) -> consensus::Config {
    /// What a command takes in an entry beside what it counts for, at most.
    const COMMAND_BYTES: usize = 64;
    let bytes = (MAX_PROPOSAL_BYTES + MAX_COMMAND_BYTES + COMMAND_BYTES * MAX_BATCH_REQUESTS) as u32;
    consensus::Config {
        election_ticks: ELECTION_TICKS,
        snapshot_patience_ticks: OFFER_TICKS,
        command_bytes_max: bytes,
        message_bytes_max: bytes,
        ..consensus::Config::new(me, seed)
    }
}
