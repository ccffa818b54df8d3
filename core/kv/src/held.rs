//! What may wait a moment before it is said to other members.
//!
//! A leader that learns that entries are committed says so at once to everybody, in messages of their own. Where the next
//! entries follow within a moment, those say it as well: so an announcement waits for them, and goes by itself where none
//! come. To the group that looks like a network that is slow, or loses a message before a newer one.

use alloc::collections::BTreeMap;
use consensus::{Member, Message, MessageBody};
use core::time::Duration;

/// How long an announcement waits for entries to travel with.
pub(crate) const ANNOUNCE_AFTER: Duration = Duration::from_millis(1);

/// The last announcement to each member that was not said.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<Member, Message>);

impl Held {
    /// What of a message goes now: all of it, or nothing where it waits. Entries say what was held before them.
    pub(crate) fn pass(&mut self, to: Member, message: Message) -> Option<Message> {
        let MessageBody::Append { entries, .. } = &message.body else { return Some(message) };
        if entries.is_empty() {
            self.0.insert(to, message);
            return None;
        }
        self.0.remove(&to);
        Some(message)
    }

    /// Whether something waits.
    pub(crate) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// All that waits; it waited long enough.
    pub(crate) fn take(&mut self) -> BTreeMap<Member, Message> {
        core::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use consensus::{Entry, EntryBody, LogIndex, Position, Term};

    fn append(commit: u64, count: u64) -> Message {
        let entry = |index| Entry { term: Term(1), index: LogIndex(index), body: EntryBody::Nothing };
        let entries: Vec<Entry> = (1..=count).map(entry).collect();
        let body = MessageBody::Append { after: Position::default(), entries, commit: LogIndex(commit) };
        Message { term: Term(1), body }
    }

    #[test]
    fn entries_say_what_was_held_and_what_waits_is_the_last() {
        let (mut held, one, two) = (Held::default(), Member(1), Member(2));
        assert_eq!(held.pass(one, append(0, 1)), Some(append(0, 1)));
        assert!(!held.is_any());
        assert_eq!([held.pass(one, append(1, 0)), held.pass(two, append(1, 0))], [None, None]);
        assert_eq!(held.pass(two, append(2, 0)), None);
        assert_eq!(held.pass(one, append(2, 1)), Some(append(2, 1)));
        assert_eq!(held.take(), [(two, append(2, 0))].into());
        assert!(!held.is_any());
    }
}
