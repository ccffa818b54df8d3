//! A question to the volume driver that changes nothing.

use formats::message::edge::EdgeBody;

use crate::context::Asker;
use crate::patience::Patience;

/// A read, flush or question about extents that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) what: What,
    /// Since when the session's answer is awaited; `None` when it was not yet sent in this session.
    pub(crate) awaited: Option<Patience>,
}

/// What is asked, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Read {
        asker: Asker,
        offset: u64,
        length: u64,
        /// Answers that did not match their checksums.
        damaged: u32,
    },
    Extents {
        asker: Asker,
        offset: u64,
        length: u64,
    },
    /// A flush, of the Edge's own where nobody asked for it. When it is done, every change up to `covers` is
    /// stable.
    Flush {
        asker: Option<Asker>,
        covers: u64,
    },
}

impl What {
    /// The guest that waits.
    pub(crate) fn asker(&self) -> Option<Asker> {
        match self {
            What::Read { asker, .. } | What::Extents { asker, .. } => Some(*asker),
            What::Flush { asker, .. } => *asker,
        }
    }

    /// What the volume driver is asked.
    pub(crate) fn to_message(&self) -> EdgeBody {
        match self {
            What::Read { offset, length, .. } => EdgeBody::Read { offset: *offset, length: *length },
            What::Extents { offset, length, .. } => EdgeBody::Extents { offset: *offset, length: *length },
            What::Flush { .. } => EdgeBody::Flush,
        }
    }
}
