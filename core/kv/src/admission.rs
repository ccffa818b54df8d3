//! Which sessions may begin.
//!
//! When there are too many, the table forgets the session that was idle for longest (`sessions.rs`), on all members alike. So
//! that nobody is forgotten who may still ask again, the leader takes the first command of a new session only where no
//! session has to go that was used within [`IDLE`]. Clients leave places for servers: however many come, volume drivers go on.
//! Two things are beyond that: what was used before this member started has no age, and sessions with answers of 128 MiB between
//! them push out others by their bytes. Who is forgotten so hears it, and is never applied twice.
//!
//! A session whose asker has had an answer was begun. Where such a one is not known it was forgotten, however long ago, and what
//! it asks may have been applied: it is never applied again. Only who confirms that it leads can say so, since another
//! may have begun the session meanwhile.

use alloc::collections::VecDeque;
use core::time::Duration;
use formats::Effect;
use formats::kv_store::LoggedCommand;
use formats::message::kv::{KvAnswer, KvError};
use glossary::{NodeId, ServerId};
use step::{Effects, Function, Timestamp};

use crate::asked::{Asked, What};
use crate::counters::{Counter, Counters};
use crate::group::Group;
use crate::hosted::{Hosted, NOBODY, reply};
use crate::limits::{MAX_SESSIONS, RESERVED_SESSIONS};

/// Who was idle for so long may be forgotten. An asker without an answer asks again far more often.
pub(crate) const IDLE: Duration = Duration::from_secs(10);

/// How far the state was, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ages {
    /// The last command that is known to be older than [`IDLE`]; of those before the start of this member nobody knows. None
    /// before the first look.
    old: Option<u64>,
    /// Later ones, a few, each with when it was the last.
    marks: VecDeque<(Timestamp, u64)>,
}

impl Ages {
    /// The state is at this command now.
    pub(crate) fn mark(&mut self, now: Timestamp, index: u64) {
        self.old.get_or_insert(index);
        while let Some((_, old)) = self.marks.pop_front_if(|(at, _)| now.since(*at) >= IDLE) {
            self.old = Some(old);
        }
        if self.marks.back().is_none_or(|(at, _)| now.since(*at) >= IDLE / 4) {
            self.marks.push_back((now, index));
        }
    }

    /// The last command that is old.
    fn old(&self) -> u64 {
        self.old.unwrap_or_default()
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// How a command that was not applied goes on.
    ///
    /// # Errors
    /// [`KvError::TooManySessions`].
    pub(crate) fn admit(
        &mut self,
        from: NodeId,
        command: LoggedCommand,
        now: Timestamp,
        counters: &mut Counters,
    ) -> Result<What, KvError> {
        let session = command.session;
        if self.state.sessions.has(session) || self.queue.has_session(session) {
            return Ok(What::Command(command));
        }
        if command.answered_below > 1 {
            return Ok(What::OfUnknown(command));
        }
        self.ages.mark(now, self.state.index);
        // What members want themselves is little, and bounded by themselves.
        let is_server = from == NOBODY || from.server() <= ServerId::MAX;
        if self.has_place(if is_server { MAX_SESSIONS } else { MAX_SESSIONS - RESERVED_SESSIONS }) {
            return Ok(What::Command(command));
        }
        counters.add(Counter::SessionsRefused, 1);
        Err(KvError::TooManySessions)
    }

    /// Whether of so many sessions one need not be kept.
    fn has_place(&self, most: usize) -> bool {
        let sessions = &self.state.sessions;
        // The rest costs time, and is rarely needed.
        if sessions.len() as usize + self.queue.commands() < most {
            return true;
        }
        let beginning = self.queue.sessions().filter(|session| !sessions.has(*session));
        sessions.used_since(self.ages.old()) + beginning.count() < most
    }

    /// The turn has come of a command whose session was not known: everything is applied that was before it.
    pub(crate) fn settle_unknown(
        &mut self,
        (from, request): (NodeId, u64),
        command: LoggedCommand,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        let (session, sequence) = (command.session, command.sequence);
        let answer = match self.state.sessions.answer(session, sequence) {
            Some(answer) => answer,
            None if !self.has_applied_all() => KvAnswer::Failed(KvError::Unavailable),
            None if !self.state.sessions.has(session) => {
                counters.add(Counter::SessionsUnknown, 1);
                KvAnswer::Failed(KvError::Forgotten)
            }
            // It was begun by commands that this member had not applied.
            None if self.queue.holds(session, sequence) => return,
            None => match self.queue.push(Asked { from, request, what: What::Command(command) }) {
                Ok(()) => return,
                Err(_) => KvAnswer::Failed(KvError::Unavailable),
            },
        };
        reply(from, request, answer, effects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_bound_is_old() {
        let (mut ages, start) = (Ages::default(), Timestamp(5));
        assert_eq!(ages.old(), 0);
        ages.mark(start, 100);
        assert_eq!(ages.old(), 100, "nobody knows how old it is");
        for seconds in 1..=60 {
            ages.mark(start.after(Duration::from_secs(seconds)), 100 + seconds);
            let oldest = 100 + seconds.saturating_sub(IDLE.as_secs());
            assert!((oldest.saturating_sub(3).max(100)..=oldest).contains(&ages.old()), "{ages:?}");
            assert!(ages.marks.len() <= 5);
        }
        ages.mark(start.after(Duration::from_secs(3600)), 500);
        assert_eq!((ages.old(), ages.marks.len()), (160, 1), "what came after the last look is not known");
    }
}
