//! Servers whose programs have different levels.

use consensus::LogIndex;
use formats::Message;
use formats::kv_level::{self, LEVEL_KEY};
use formats::message::member::MemberBody;
use glossary::{GroupId, NodeId};

use super::{Members, Violation, server};

/// A key and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

impl Members {
    /// All servers are held at these levels from the beginning.
    pub(crate) fn at_levels(seed: u64, levels: &[u32], voters: usize) -> Self {
        let mut members = Members::with_spares(seed, levels.len(), voters, None);
        members.levels = levels.to_vec();
        // They have done nothing yet.
        (0..levels.len()).for_each(|index| members.start(index));
        members
    }

    /// The same with a planted mistake.
    pub(crate) fn at_levels_with(seed: u64, levels: &[u32], bug: step::Bug) -> Self {
        let mut members = Members::at_levels(seed, levels, levels.len());
        members.bug = Some(bug);
        (0..levels.len()).for_each(|index| members.restart(index));
        members
    }

    /// A server gets a program that goes up to this level.
    pub(crate) fn replace_program(&mut self, index: usize, level: u32) {
        self.levels[index] = level;
        self.restart(index);
    }

    /// What a server's member has applied of a group, and how far it is; none while it doesn't serve.
    pub(crate) fn pairs_at(
        &self,
        index: usize,
        group: GroupId,
    ) -> Option<(LogIndex, impl Iterator<Item = Pair<'_>>)> {
        self.servers[index].kv.as_ref()?.pairs_of(group)
    }

    /// The group's level as a server's member has applied it; none while it doesn't serve.
    pub(crate) fn level_at(&self, index: usize) -> Option<u32> {
        let (_, mut pairs) = self.pairs_at(index, GroupId::ROOT)?;
        Some(
            pairs
                .find(|(key, _)| *key == LEVEL_KEY)
                .map_or(0, |(_, value)| kv_level::decode(value).expect("one")),
        )
    }
}

fn body(message: &mut Message) -> Option<&mut MemberBody> {
    match message {
        Message::Member(message) => Some(&mut message.body),
        Message::MemberOf(of) => Some(&mut of.message.body),
        _ => None,
    }
}

/// Nobody is told what it can't know. Who is to become a member is asked for that.
pub(super) fn check(levels: &[u32], to: NodeId, message: &Message) -> Result<(), Violation> {
    let (Some(index), Some(body)) = (server(to), body(&mut message.clone()).cloned()) else { return Ok(()) };
    let is_known = kv_level::of_message(&body) <= levels[index] || body == MemberBody::AskLevel;
    is_known
        .then_some(())
        .ok_or_else(|| format!("server {} is told {body:?}, which it can't know", index + 1))
}

/// Rows of a state become what no program of today reads.
pub(super) fn spoil(message: &mut Message) {
    if let Some(MemberBody::Page { rows, .. }) = body(message) {
        rows.iter_mut().for_each(|(key, _)| key.insert(0, 9));
    }
}
