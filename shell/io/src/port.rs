//! A node for ordinary threads: the HTTP interface, the command line, tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use formats::Message;
use glossary::NodeId;

use crate::hub::{Hub, Place};
use crate::mailbox::Input;
use crate::shard::through_bytes;

/// Asks nodes and waits for their answers. It has an id of its own, which ends with it.
///
/// What comes in and isn't waited for is kept until the next question. That is bounded by the answers to
/// questions that were given up: nobody else knows the port's id.
pub struct Port {
    id: NodeId,
    hub: Arc<Hub>,
    incoming: Receiver<(NodeId, Message)>,
    next_request: u64,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The node does not run.
    #[error("node {0} does not run")]
    NotRunning(NodeId),
    /// No answer came in time. The question may have been acted upon.
    #[error("node {0} did not answer in time")]
    TimedOut(NodeId),
}

impl Port {
    pub(crate) fn open(hub: Arc<Hub>) -> Self {
        let id = hub.port_id();
        Self::open_at(id, hub)
    }

    pub(crate) fn open_at(id: NodeId, hub: Arc<Hub>) -> Self {
        let (sender, incoming) = crossbeam_channel::unbounded();
        hub.announce(id, Some(Place::Port(sender)));
        Port { id, hub, incoming, next_request: 1 }
    }

    /// The port's id: who its messages come from.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Sends what `question` makes of a request number, and waits for the message from `to` that carries the
    /// same number.
    ///
    /// # Errors
    /// When the node doesn't run, or no answer came within `patience`.
    pub fn ask(
        &mut self,
        to: NodeId,
        patience: Duration,
        question: impl FnOnce(u64) -> Message,
    ) -> Result<Message, AskError> {
        if !self.reaches(to) {
            return Err(AskError::NotRunning(to));
        }
        let request = self.next_request;
        self.next_request += 1;
        self.send(to, question(request));
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (from, message) = self.receive(left).ok_or(AskError::TimedOut(to))?;
            if from == to && message.request() == request {
                return Ok(message);
            }
        }
    }

    /// Whether messages to a node may reach it, as far as can be known in this process.
    pub fn reaches(&self, node: NodeId) -> bool {
        self.hub.is_reachable(node)
    }

    /// Sends a message. It may never arrive.
    pub fn send(&self, to: NodeId, message: Message) {
        let Some(shard) = self.hub.shard_towards(to) else { return };
        let message = if self.hub.frames { through_bytes(self.id, to, &message) } else { message };
        self.hub.addresses[shard].post(Input::Message { from: self.id, to, message });
    }

    /// The next message that comes within `patience`, and who sent it.
    pub fn receive(&self, patience: Duration) -> Option<(NodeId, Message)> {
        self.incoming.recv_timeout(patience).ok()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.hub.announce(self.id, None);
    }
}
