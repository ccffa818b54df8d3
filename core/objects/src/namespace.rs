//! The conversation with the namespace manager: its bytes, and what its answers mean.

use alloc::sync::Arc;
use alloc::vec::Vec;
use formats::manifest::Manifest;
use formats::message::kv::{KvAnswer, KvError};
use formats::message::object::ObjectError;
use formats::namespace::{NamespaceAnswer, NamespaceCommand, NamespaceDone, NamespaceError, NamespaceQuery};
use formats::registry;

use crate::manifests::Found;

/// The bytes of a command.
pub(crate) fn encode_command(command: &NamespaceCommand) -> Vec<u8> {
    registry::encode(command)
}

/// The bytes of a question.
pub(crate) fn encode_query(query: &NamespaceQuery) -> Vec<u8> {
    registry::encode(query)
}

/// What the namespace manager settled: done, with what was deleted, or refused.
pub(crate) type Settled = Result<Vec<Manifest>, NamespaceError>;

/// What became of a command; `None` when that can't be known from the answer.
pub(crate) fn settled(answer: KvAnswer) -> Option<Settled> {
    match answer {
        KvAnswer::Done(bytes) => {
            let NamespaceDone::Done { deleted } = registry::decode(&bytes)?;
            Some(Ok(deleted))
        }
        KvAnswer::Failed(KvError::Refused(bytes)) => {
            Some(Err(registry::decode(&bytes).unwrap_or(NamespaceError::Malformed)))
        }
        // The KV could not even begin with it, whenever it comes.
        KvAnswer::Failed(KvError::NoFunction(_) | KvError::TooLarge(_)) => {
            Some(Err(NamespaceError::Malformed))
        }
        KvAnswer::Failed(
            KvError::Assert { .. }
            | KvError::Forgotten
            | KvError::Full
            | KvError::Unavailable
            | KvError::NotLeader { .. }
            | KvError::Step { .. }
            | KvError::NotYet { .. }
            | KvError::TooNew { .. }
            | KvError::NotAllowed
            | KvError::NoGroup(_)
            | KvError::Unknown
            | KvError::TooManySessions,
        )
        | KvAnswer::Value(_)
        | KvAnswer::Range { .. }
        | KvAnswer::Applied { .. }
        | KvAnswer::Read { .. } => None,
    }
}

/// What the namespace manager answered to a question.
pub(crate) fn answered(answer: KvAnswer) -> Option<NamespaceAnswer> {
    match answer {
        KvAnswer::Done(bytes) => registry::decode(&bytes),
        KvAnswer::Value(_)
        | KvAnswer::Range { .. }
        | KvAnswer::Failed(_)
        | KvAnswer::Applied { .. }
        | KvAnswer::Read { .. } => None,
    }
}

pub(crate) fn manifest(answer: KvAnswer) -> Found {
    match answered(answer) {
        Some(NamespaceAnswer::Manifest(found)) => Ok(found.map(Arc::new)),
        _ => Err(ObjectError::Unavailable),
    }
}
