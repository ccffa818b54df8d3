//! One member with its disk and its state machine.

use std::collections::BTreeMap;

use consensus::{Config, Consensus, LogIndex, Member, RaftGroup, Recovered, Status};
use linearizability::CallId;

use super::bugs::Bug;
use super::disk::Disk;
use super::machine::Machine;
use super::registers::Asked;

/// One member.
pub(crate) struct Node {
    pub(crate) member: Member,
    pub(crate) disk: Disk,
    /// None while it is down.
    pub(crate) life: Option<Life>,
    /// Counts its lives, so that events of an earlier one are recognized.
    pub(crate) lives: u64,
    /// Milliseconds between ticks.
    pub(crate) tick_ms: u64,
    pub(crate) paused_until: u64,
    pub(crate) sync_ms: u64,
}

/// What a crash ends.
pub(crate) struct Life {
    pub(crate) group: RaftGroup,
    pub(crate) machine: Machine,
    /// The state before the last batch, for a bug.
    pub(crate) lagging: Machine,
    /// The sync under way: records, and the number to tell.
    pub(crate) syncing: Option<(usize, u64)>,
    /// The newest number that asked for a sync.
    pub(crate) wants_sync: Option<u64>,
    /// Reads, by context.
    pub(crate) reads: BTreeMap<u64, Read>,
    /// Reads that are confirmed, and wait until so much is applied.
    pub(crate) confirmed: Vec<(LogIndex, Read)>,
    /// Commands, by the place that was promised to them.
    pub(crate) asked: BTreeMap<LogIndex, Asked>,
}

/// A read under way.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    /// What was applied anywhere when it was asked.
    pub(crate) asked_at: LogIndex,
    pub(crate) key: u8,
    pub(crate) call: CallId,
}

impl Node {
    pub(crate) fn new(member: Member, first: Recovered, tick_ms: u64, sync_ms: u64) -> Node {
        Node { member, disk: Disk::new(first), life: None, lives: 0, tick_ms, paused_until: 0, sync_ms }
    }

    /// Starts from what the disk has. An error is what the crate says about it.
    pub(crate) fn start(&mut self, seed: u64, bug: Option<Bug>) -> Result<(), String> {
        let (recovered, machine) = self.disk.recover(bug);
        let mut group = RaftGroup::new(config(self.member, seed), recovered, None)
            .map_err(|error| format!("{} cannot start: {error}", self.member))?;
        if let Some(Bug::Inside(bug)) = bug {
            group.plant(Some(bug));
        }
        self.lives += 1;
        let lagging = machine.clone();
        self.life = Some(Life {
            group,
            machine,
            lagging,
            syncing: None,
            wants_sync: None,
            reads: BTreeMap::new(),
            confirmed: Vec::new(),
            asked: BTreeMap::new(),
        });
        Ok(())
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.life.as_ref().map(|life| life.group.status())
    }
}

/// Small bounds, so that they are met.
pub(crate) fn config(member: Member, seed: u64) -> Config {
    Config {
        inflight_messages_max: 4,
        message_bytes_max: 400,
        command_bytes_max: 200,
        uncommitted_bytes_max: 2000,
        apply_bytes_max: 500,
        snapshot_patience_ticks: 15,
        learner_lag_max: 5,
        ..Config::new(member, seed)
    }
}
