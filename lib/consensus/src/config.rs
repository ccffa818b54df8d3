//! The settings of one member.

use crate::{BadConfig, Member};

/// The settings of one member. All members of a group should have the same, but for `me` and `seed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This member.
    pub me: Member,
    /// Spreads elections: how long this member waits is drawn from it. The same seed gives the same waits.
    pub seed: u64,
    /// A follower that hears nothing for this many ticks (up to twice as many, as drawn) stands for election, and a
    /// leader that a majority did not answer in them steps down.
    pub election_ticks: u32,
    /// A leader speaks at least this often, in ticks.
    pub heartbeat_ticks: u32,
    /// Messages with entries that may be under way to one follower.
    pub inflight_messages_max: u32,
    /// Bytes of entries in one message; a single entry may exceed it by what it weighs besides its command. At most
    /// `inflight_messages_max` times this is under way to one follower.
    pub message_bytes_max: u32,
    /// Bytes of commands that are proposed and not yet committed; more are refused as `Busy`.
    pub uncommitted_bytes_max: u64,
    /// Bytes of one command.
    pub command_bytes_max: u32,
    /// Bytes of entries that one `Ready` hands out to be applied.
    pub apply_bytes_max: u64,
    /// Reads that wait for their confirmation; more are refused as `Busy`.
    pub reads_max: u32,
    /// Ticks after which a leader that heard nothing about a snapshot offers it again.
    pub snapshot_patience_ticks: u32,
    /// Entries that a learner may lack when it is promoted.
    pub learner_lag_max: u64,
}

impl Config {
    /// Sensible settings: with a tick of 50 ms, heartbeats every 100 ms and elections after 500 ms to 1 s.
    #[must_use]
    pub fn new(me: Member, seed: u64) -> Config {
        Config {
            me,
            seed,
            election_ticks: 10,
            heartbeat_ticks: 2,
            inflight_messages_max: 64,
            message_bytes_max: 1 << 20,
            uncommitted_bytes_max: 64 << 20,
            command_bytes_max: 1 << 20,
            apply_bytes_max: 16 << 20,
            reads_max: 10_000,
            snapshot_patience_ticks: 200,
            learner_lag_max: 1000,
        }
    }

    /// Whether a group can run with it.
    ///
    /// # Errors
    /// Says which setting is wrong.
    pub fn check(&self) -> Result<(), BadConfig> {
        if self.me.0 == 0 {
            return Err(BadConfig::NoNumber);
        }
        if self.heartbeat_ticks == 0 || self.election_ticks <= self.heartbeat_ticks {
            return Err(BadConfig::Ticks);
        }
        let bounds = [
            ("inflight_messages_max", u64::from(self.inflight_messages_max)),
            ("message_bytes_max", u64::from(self.message_bytes_max)),
            ("command_bytes_max", u64::from(self.command_bytes_max)),
            ("apply_bytes_max", self.apply_bytes_max),
            ("reads_max", u64::from(self.reads_max)),
            ("snapshot_patience_ticks", u64::from(self.snapshot_patience_ticks)),
        ];
        if let Some((name, _)) = bounds.iter().find(|(_, bound)| *bound == 0) {
            return Err(BadConfig::Zero(name));
        }
        let message = u64::from(self.message_bytes_max);
        if message > self.uncommitted_bytes_max || self.command_bytes_max > self.message_bytes_max {
            return Err(BadConfig::Sizes);
        }
        Ok(())
    }
}
