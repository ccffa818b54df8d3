//! What a member must never forget.

use serde::{Deserialize, Serialize};

use crate::{LogIndex, Member, Term};

/// What a member must never forget, or it votes twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The newest term it has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<Member>,
    /// What it knows to be committed. May be behind after a crash, never ahead. It must not be written later than
    /// entries that came with it: a member that knows an entry must know the commits which that entry built on.
    pub commit: LogIndex,
}
