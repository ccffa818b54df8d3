//! The clients of a volume: how far the changes of each have come (E2, E4).

use alloc::collections::VecDeque;
use glossary::{ClientId, SessionId};

use super::Serving;

/// Stands for no session.
pub(crate) const NO_SESSION: SessionId = SessionId(0);

/// Clients that a volume knows at most: their table must fit a TLog's label.
const CLIENTS_MAX: usize = 128;

/// What is known of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// The session opened last since the take-over, whether it is still open or not.
    pub(crate) newest: SessionId,
    /// Every change up to this one was taken.
    pub(crate) accepted: u64,
    /// Every change up to this one is in the log, whole.
    pub(crate) logged: u64,
    /// Changes that are not stable yet, and the log numbers that end them.
    pub(crate) unstable: VecDeque<(u64, u64)>,
    /// Every change up to this one is stable.
    pub(crate) stable: u64,
}

impl Default for Client {
    fn default() -> Self {
        Client { newest: NO_SESSION, accepted: 0, logged: 0, unstable: VecDeque::new(), stable: 0 }
    }
}

impl Serving {
    /// Lets go of what a client still has in the queue. Its Edge sends that again, or is no more.
    pub(crate) fn drop_queued(&mut self, client: ClientId) {
        let Some(known) = self.clients.get_mut(&client) else { return };
        known.accepted = known.logged;
        if self.queue.front().is_some_and(|head| head.client == client) {
            self.merging = None;
        }
        self.queue.retain(|change| change.client != client);
    }

    /// Makes room for one more client: one without a session of which everything is stable goes. Whether there
    /// is room.
    pub(crate) fn make_room_for(&mut self, newcomer: ClientId) -> bool {
        if self.clients.len() < CLIENTS_MAX || self.clients.contains_key(&newcomer) {
            return true;
        }
        let idle = |client: &Client| {
            let settled = client.unstable.is_empty() && client.accepted == client.logged;
            settled && !self.sessions.contains_key(&client.newest)
        };
        let oldest = self.clients.iter().find(|(_, client)| idle(client)).map(|(id, _)| *id);
        oldest.is_some_and(|id| self.clients.remove(&id).is_some())
    }
}
