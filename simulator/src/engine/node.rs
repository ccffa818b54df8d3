//! A node between its lives and within one.

use std::collections::{BTreeMap, VecDeque};

use formats::Event;
use step::{TimerId, Timestamp};

use super::Clock;
use crate::disk::{Crash, Folder};
use crate::{Moment, Random};

/// A machine, its disk and what waits for it.
pub(crate) struct Node<M> {
    /// None while it is dead.
    pub(crate) machine: Option<M>,
    /// Counts its lives: what belongs to an earlier one is dropped when it comes.
    pub(crate) life: u64,
    pub(crate) clock: Clock,
    pub(crate) folder: Folder,
    /// What was not delivered yet.
    pub(crate) inbox: VecDeque<Event>,
    /// Whether a turn is coming.
    pub(crate) turn_comes: bool,
    pub(crate) paused_until: Moment,
    /// For each timer that is set, the setting that counts, and what the clock shows when it rings.
    pub(crate) timers: BTreeMap<TimerId, (u64, Timestamp)>,
    pub(crate) settings: u64,
    pub(crate) doom: Option<Doom>,
    pub(crate) turns: u64,
}

/// A death that has been decided on.
#[derive(Clone, Debug)]
pub(crate) struct Doom {
    /// After so many more effects.
    pub(crate) effects: u32,
    pub(crate) how: Crash,
    /// Who dies with it.
    pub(crate) with: Vec<glossary::NodeId>,
}

impl<M> Node<M> {
    pub(crate) fn new(folder: Folder, random: &mut Random) -> Self {
        Node {
            machine: None,
            life: 0,
            clock: Clock::drawn(random),
            folder,
            inbox: VecDeque::new(),
            turn_comes: false,
            paused_until: Moment::BEGIN,
            timers: BTreeMap::new(),
            settings: 0,
            doom: None,
            turns: 0,
        }
    }

    /// Ends a life. Says how, in truth: a machine that was lied to by a failed sync is only trusted again after
    /// a restart of the machine.
    pub(crate) fn die(&mut self, how: Crash) -> Crash {
        self.machine = None;
        self.life += 1;
        self.inbox.clear();
        self.timers.clear();
        (self.turn_comes, self.doom, self.paused_until) = (false, None, Moment::BEGIN);
        let how = if self.folder.faults.lies { Crash::Power } else { how };
        self.folder.crash(how);
        how
    }
}
