//! Stepping roles through what was recorded of a live process: the same events must make them want the same
//! (row 247).

use core::fmt;
use std::collections::BTreeMap;

use formats::recording::{Recorded, RecordingError, RoleCard, digest_of, read_header};
use formats::{Effect, Event};
use glossary::NodeId;
use roles::Role;
use step::{Bug, Effects, Machine, Timestamp};

use crate::trace;

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Lives that began.
    pub lives: u64,
    /// Steps that were taken, the one that differs included.
    pub steps: u64,
    /// Whether the recording ends within an entry, as it does when its process was killed.
    pub torn: bool,
    /// The first step that wanted something else than when it was recorded. Nothing after it was replayed.
    pub difference: Option<Difference>,
}

/// A step that wanted something else than when it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which step of the recording, from 1.
    pub step: u64,
    /// The node.
    pub node: NodeId,
    /// Its role.
    pub role: &'static str,
    /// What happened to it, in few words.
    pub event: String,
    /// What it wants now, a line for each effect.
    pub effects: Vec<String>,
}

/// Why a recording can't be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It isn't a recording of this version.
    #[error(transparent)]
    Header(RecordingError),
    /// It is damaged.
    #[error("after {whole} whole entries: {error}")]
    Entry {
        /// Entries before the damage.
        whole: u64,
        /// What is wrong.
        error: RecordingError,
    },
    /// A node takes a step without having begun a life.
    #[error("step {step}: node {} never began a life", node.0)]
    Unborn {
        /// Which step, from 1.
        step: u64,
        /// Whose.
        node: NodeId,
    },
}

/// Steps the roles of a recording through it. `bug` has them make a mistake, so that tests can show that it is
/// seen.
///
/// # Errors
/// When the bytes are no recording of this version, or damaged. An end within an entry is no error: everything
/// before it is replayed.
pub fn replay(mut bytes: &[u8], bug: Option<Bug>) -> Result<Replayed, ReplayError> {
    read_header(&mut bytes).map_err(ReplayError::Header)?;
    let mut replay = Replay { bug, roles: BTreeMap::new(), replayed: Replayed::default() };
    for whole in 0.. {
        match Recorded::next(&mut bytes) {
            Ok(None) => break,
            Ok(Some(recorded)) => replay.take(recorded)?,
            Err(RecordingError::Torn) => {
                replay.replayed.torn = true;
                break;
            }
            Err(error) => return Err(ReplayError::Entry { whole, error }),
        }
        if replay.replayed.difference.is_some() {
            break;
        }
    }
    Ok(replay.replayed)
}

struct Replay {
    bug: Option<Bug>,
    roles: BTreeMap<NodeId, (&'static str, Role)>,
    replayed: Replayed,
}

impl Replay {
    fn take(&mut self, recorded: Recorded) -> Result<(), ReplayError> {
        match recorded {
            Recorded::Begins { node, card } => {
                self.replayed.lives += 1;
                self.roles.insert(node, (name_of(&card), roles::cast(&card, self.bug)));
                Ok(())
            }
            Recorded::Stepped { node, now, event, effects } => self.step(node, now, event, effects),
        }
    }

    fn step(&mut self, node: NodeId, now: Timestamp, event: Event, recorded: u32) -> Result<(), ReplayError> {
        self.replayed.steps += 1;
        let step = self.replayed.steps;
        let Some((role_name, role)) = self.roles.get_mut(&node) else {
            return Err(ReplayError::Unborn { step, node });
        };
        let shown = trace::event(&event);
        let mut effects: Effects<Effect> = Effects::new();
        role.step(now, event, &mut effects);
        if digest_of(effects.as_slice()) != recorded {
            let name = |node: NodeId| format!("node {}", node.0);
            let effects = effects.as_slice().iter().map(|effect| trace::effect(effect, name)).collect();
            self.replayed.difference =
                Some(Difference { step, node, role: role_name, event: shown, effects });
        }
        Ok(())
    }
}

fn name_of(card: &RoleCard) -> &'static str {
    match card {
        RoleCard::Kv { .. } | RoleCard::KvMember { .. } => "KV",
        RoleCard::Asd { .. } => "ASD",
        RoleCard::Objects { .. } | RoleCard::ObjectsOfGroup { .. } | RoleCard::ObjectsOfGroups { .. } => {
            "objects client"
        }
        RoleCard::VolumeDriver { .. }
        | RoleCard::VolumeDriverOfGroup { .. }
        | RoleCard::VolumeDriverOfGroups { .. } => "volume driver",
        RoleCard::Edge { .. } => "Edge",
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps of {} lives", self.steps, self.lives)?;
        if self.torn {
            f.write_str(", up to an end within an entry, as a kill leaves it")?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { step, node, role, event, effects } = self;
        write!(
            f,
            "step {step}: the {role} (node {}) wants something else upon `{event}`; now it wants",
            node.0
        )?;
        if effects.is_empty() {
            return f.write_str(" nothing");
        }
        effects.iter().try_for_each(|effect| write!(f, "\n  {effect}"))
    }
}
