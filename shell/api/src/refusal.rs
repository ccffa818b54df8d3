//! Why something that was asked isn't done.

use glossary::{OsdId, VdiskName};
use serde::{Deserialize, Serialize};

/// Why something isn't done, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// For programs.
    pub kind: Kind,
    /// What is wrong: one line.
    pub error: String,
    /// What to do, where that helps: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The question makes no sense, whatever the cluster's state.
    Invalid,
    /// What it is about isn't there.
    NotFound,
    /// The cluster's state forbids it: a name that is taken, a vDisk that would shrink.
    Conflict,
    /// No answer in time. It may still happen.
    TimedOut,
    /// Not now: try again.
    Unavailable,
    /// It was tried and failed.
    Failed,
}

impl Refusal {
    /// A refusal of that kind, without a hint.
    pub fn new(kind: Kind, error: impl Into<String>) -> Self {
        Refusal { kind, error: error.into(), hint: None }
    }

    /// The same, with what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Refusal { hint: Some(hint.into()), ..self }
    }

    /// There is no vDisk of that name.
    pub fn no_vdisk(name: &VdiskName) -> Self {
        let refusal = Refusal::new(Kind::NotFound, format!("there is no vDisk named {name}"));
        refusal.hint("`ovs vdisk list` names those that there are")
    }

    /// There is no disk of that number.
    pub fn no_osd(osd: OsdId) -> Self {
        let refusal = Refusal::new(Kind::NotFound, format!("there is no disk asd-{osd}"));
        refusal.hint("`ovs osd list` names those that there are")
    }
}
