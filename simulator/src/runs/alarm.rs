//! What an alarm of a run is for.

use glossary::NodeId;

/// What an alarm is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    Guest(usize),
    Asker(usize),
    Start(NodeId),
    /// The operator looks after a node whose disk had trouble.
    Mend(NodeId),
    /// The operator asks again.
    Ask,
    /// The operator changes the KV's group.
    Change,
    /// The operator makes and drops groups beside it.
    Group,
    /// Something is aimed at a leader of the KV.
    Aim,
    Deadline(u32),
}

impl Alarm {
    pub(super) fn number(self) -> u64 {
        let (tag, value) = match self {
            Alarm::Guest(index) => (0, index as u32),
            Alarm::Start(node) => (1, node.0),
            Alarm::Mend(node) => (2, node.0),
            Alarm::Ask => (3, 0),
            Alarm::Deadline(count) => (4, count),
            Alarm::Asker(index) => (5, index as u32),
            Alarm::Change => (6, 0),
            Alarm::Group => (7, 0),
            Alarm::Aim => (8, 0),
        };
        tag << 32 | u64::from(value)
    }

    pub(super) fn from_number(number: u64) -> Self {
        let value = number as u32;
        match number >> 32 {
            0 => Alarm::Guest(value as usize),
            1 => Alarm::Start(NodeId(value)),
            2 => Alarm::Mend(NodeId(value)),
            3 => Alarm::Ask,
            4 => Alarm::Deadline(value),
            5 => Alarm::Asker(value as usize),
            6 => Alarm::Change,
            7 => Alarm::Group,
            _ => Alarm::Aim,
        }
    }
}
