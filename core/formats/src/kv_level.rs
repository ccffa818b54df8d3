//! Levels: what programs of different versions can do together.
//!
//! A level is a number for all that members of the KV's groups say to each other and log. Each program knows one level,
//! [`LEVEL`], and all below. A member writes its level into the root group's map, beside the versions of its functions
//! ([`crate::kv_store::encode_knows`]); who wrote none has level 0. The group's level is what all its members know: the leader of the
//! root group writes it under [`LEVEL_KEY`] when it rises. It never falls: a program of an older level can't go on from there,
//! and is not taken in.
//!
//! What a level brings is said, logged and written to disk in ways that older programs can't read only once the group has
//! that level. So a group whose members were upgraded one by one does not notice, and as long as it has the older level, they
//! can go back.
//!
//! | level | brings |
//! |---|---|
//! | 0 | all that programs without levels say and log, and states as rows of table version 1 |
//! | 1 | the level itself; [`MemberBody::WantsLead`]; a newcomer is asked for its level before it joins ([`MemberBody::AskLevel`]) |
//!
//! A program that brings something new raises [`LEVEL`] by one, once for all that is new between two releases, and adds its row
//! here. A new message has its level in [`of_message`]. A step of a command needs [`FunctionId::LEVEL`] in that version, where the
//! KV looks which versions of functions it needs. Rows of states that are given to other members, and the table on the
//! own disk, stay in the form of the group's level.
//!
//! [`FunctionId::LEVEL`]: crate::message::kv::FunctionId::LEVEL

use alloc::vec::Vec;

use crate::message::member::MemberBody;

/// The level of this program.
pub const LEVEL: u32 = 1;

/// The key of the group's level.
pub const LEVEL_KEY: &[u8] = b"kv/level";

/// The version byte of what it says.
const VERSION: u8 = 1;

/// Encodes the group's level.
pub fn encode(level: u32) -> Vec<u8> {
    [&[VERSION], &level.to_le_bytes()[..]].concat()
}

/// Decodes it; `None` when it is none.
pub fn decode(value: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(value.strip_prefix(&[VERSION])?.try_into().ok()?))
}

/// The lowest level that knows a message.
pub fn of_message(body: &MemberBody) -> u32 {
    match body {
        MemberBody::Consensus(_)
        | MemberBody::Fetch { .. }
        | MemberBody::Piece { .. }
        | MemberBody::NoSnapshot { .. }
        | MemberBody::Addressed { .. }
        | MemberBody::Standing(_)
        | MemberBody::Sleep { .. }
        | MemberBody::Alive
        | MemberBody::FetchPage { .. }
        | MemberBody::Page { .. } => 0,
        MemberBody::WantsLead { .. } | MemberBody::AskLevel | MemberBody::Level { .. } => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, samples};

    #[test]
    fn golden_bytes_of_version_1() {
        assert_eq!(encode(0x0102_0304), [1, 4, 3, 2, 1]);
        assert_eq!(decode(&[1, 4, 3, 2, 1]), Some(0x0102_0304));
        assert_eq!([&[][..], &[1, 4, 3, 2], &[2, 4, 3, 2, 1], &[1, 4, 3, 2, 1, 0]].map(decode), [None; 4]);
    }

    /// A message of a level that this program lacks could never be sent.
    #[test]
    fn the_highest_level_of_a_message_is_this_program_s_at_most() {
        let bodies = samples::messages().into_iter().filter_map(|message| match message {
            Message::Member(message) => Some(message.body),
            _ => None,
        });
        let levels: Vec<u32> = bodies.map(|body| of_message(&body)).collect();
        assert!(levels.contains(&0) && levels.contains(&LEVEL) && levels.iter().all(|level| *level <= LEVEL));
    }
}
