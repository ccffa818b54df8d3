//! What happened in a run, counted.

use core::fmt;
use std::collections::BTreeMap;

/// A kind of trouble, or of change. A run over many seeds in which one never happened proves nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A process died and was started again.
    ProcessCrash,
    /// A machine lost its power.
    PowerLoss,
    /// Everything lost its power at once.
    Blackout,
    /// A crash after some but not all of the effects of one step.
    CrashWithinStep,
    /// A process stood still for a while.
    Pause,
    /// A message was lost.
    Drop,
    /// A message came twice.
    Duplicate,
    /// A message overtook an earlier one.
    Reorder,
    /// Two groups of nodes couldn't talk.
    Partition,
    /// One group couldn't talk to another, but the other way round it could.
    OneWayPartition,
    /// A link was slow.
    SlowLink,
    /// A crash left a write half done.
    TornWrite,
    /// A power loss took completed writes that were not synced.
    UnsyncedWriteLost,
    /// A read failed.
    ReadError,
    /// A write failed.
    WriteError,
    /// A sync failed; what it should have made durable is forgotten, though later ones succeed.
    SyncError,
    /// A disk was full for a while.
    FullDisk,
    /// A disk was slow for a while.
    SlowDisk,
    /// A bit flipped in durable data.
    BitRot,
    /// A write went to another place.
    MisdirectedWrite,
    /// A clock leapt ahead.
    ClockLeap,
    /// A write was confirmed and never done.
    LostWrite,
    /// A vDisk grew, and its guest saw it: no trouble, but what troubles may meet.
    Growth,
    /// A member of the KV's group began to lead.
    Lead,
    /// A member of the KV's group was given a snapshot.
    Installation,
    /// The KV's group was changed.
    Change,
    /// A group beside the root group was made.
    Group,
    /// One was dropped.
    DroppedGroup,
    /// A group that had nothing to do fell asleep at a member.
    Sleep,
    /// A member whose state was damaged was given it anew.
    Healing,
    /// The program of a server of the KV was replaced by a newer one.
    Upgrade,
    /// All members of the KV's group were replaced by others.
    Replacement,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 32] = [
        Kind::ProcessCrash,
        Kind::PowerLoss,
        Kind::Blackout,
        Kind::CrashWithinStep,
        Kind::Pause,
        Kind::Drop,
        Kind::Duplicate,
        Kind::Reorder,
        Kind::Partition,
        Kind::OneWayPartition,
        Kind::SlowLink,
        Kind::TornWrite,
        Kind::UnsyncedWriteLost,
        Kind::ReadError,
        Kind::WriteError,
        Kind::SyncError,
        Kind::FullDisk,
        Kind::SlowDisk,
        Kind::BitRot,
        Kind::MisdirectedWrite,
        Kind::ClockLeap,
        Kind::LostWrite,
        Kind::Growth,
        Kind::Lead,
        Kind::Installation,
        Kind::Change,
        Kind::Group,
        Kind::DroppedGroup,
        Kind::Sleep,
        Kind::Healing,
        Kind::Upgrade,
        Kind::Replacement,
    ];

    /// Whether it is a trouble other than a crash.
    pub fn is_fault(self) -> bool {
        !self.is_crash() && self <= Kind::LostWrite
    }

    /// Whether it ends a node's life.
    pub fn is_crash(self) -> bool {
        matches!(self, Kind::ProcessCrash | Kind::PowerLoss | Kind::Blackout)
    }
}

/// Counts by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Kind, u64>);

impl Tally {
    /// One more.
    pub fn add(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// How many.
    pub fn count(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// How many crashes of any kind.
    pub fn crashes(&self) -> u64 {
        Kind::ALL.iter().filter(|kind| kind.is_crash()).map(|&kind| self.count(kind)).sum()
    }

    /// How many kinds of faults happened that are not crashes.
    pub fn fault_kinds(&self) -> usize {
        self.0.keys().filter(|kind| kind.is_fault()).count()
    }

    /// Kinds that never happened.
    pub fn missing(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|&kind| self.count(kind) == 0).collect()
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Tally) {
        for (&kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            let gap = if index == 0 { "" } else { ", " };
            write!(f, "{gap}{kind:?} {}", self.count(kind))?;
        }
        Ok(())
    }
}
