//! A frame that proves itself, with a message of a newer program.

use glossary::NodeId;

use super::Header;
use crate::Message;
use crate::message::admin::{AdminAnswer, AdminReply};
use crate::message::kv::{KvAnswer, KvError, KvReply};

/// What is known of such a message: all but what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Who sends it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// The asker's number for the request that it is; 0 for what is none.
    pub request: u64,
    asks: Asks,
}

/// Whom it asks, as far as its first byte tells: the number of its variant in [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Kv,
    Management,
    Nobody,
}

impl Unknown {
    pub(super) fn of(header: &Header, body: &[u8]) -> Self {
        let asks = match body.first() {
            Some(8 | 13) => Asks::Kv,
            Some(10) => Asks::Management,
            _ => Asks::Nobody,
        };
        Unknown { from: header.from, to: header.to, request: header.request, asks }
    }

    /// What to tell who asks, in place of what is asked: an older program's answer. None for what is no question.
    pub fn answer(&self) -> Option<Message> {
        let request = self.request;
        match self.asks {
            Asks::Kv => Some(Message::KvReply(KvReply { request, body: KvAnswer::Failed(KvError::Unknown) })),
            Asks::Management => {
                let why = "the program of this server is older than the one that asks, and doesn't know what is asked; \
                           nothing was done: upgrade this server, or ask with its program";
                Some(Message::AdminReply(AdminReply { request, body: AdminAnswer::Failed(why.into()) }))
            }
            Asks::Nobody => None,
        }
    }
}

/// A frame as a newer program may send it: whole, with any bytes for a message.
#[cfg(any(test, feature = "samples"))]
pub fn of_newer(from: NodeId, to: NodeId, request: u64, body: &[u8]) -> alloc::vec::Vec<u8> {
    let (length, body_check) = (body.len() as u32, checksum::crc32c(body));
    let header = Header { from, to, request, body: length, crcs: 0, payload: 0, body_check };
    [&header.encode()[..], body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frame, samples};

    /// The numbers of variants are on the wire: what is a question by its first byte is one.
    #[test]
    fn questions_are_told_by_their_first_byte() {
        let node = NodeId(1);
        let header = Header { from: node, to: node, request: 7, body: 0, crcs: 0, payload: 0, body_check: 0 };
        for message in samples::messages() {
            let bytes = frame::encode(&message, node, node).concat();
            let answer = Unknown::of(&header, &bytes[frame::HEADER_BYTES..]).answer();
            let is_answered = match message {
                Message::Kv(_) | Message::KvOf(_) => matches!(answer, Some(Message::KvReply(_))),
                Message::Admin(_) => matches!(answer, Some(Message::AdminReply(_))),
                _ => answer.is_none(),
            };
            assert!(is_answered, "{message:?}");
            assert!(answer.is_none_or(|answer| answer.request() == 7));
        }
    }
}
