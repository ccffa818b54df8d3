//! Asking the KV's group from a thread of a server.

use std::time::{Duration, Instant};

use ::roles::Role;
use formats::Message;
use formats::kv_client::KvClient;
use formats::message::kv::{KvAnswer, KvCommand, KvRequest};
use glossary::{NodeId, ServerId};
use io::{Handle, Port};
use step::Timestamp;

/// How long one question may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the group, whoever leads it, from a node of this server.
pub(crate) struct Asker {
    port: Port,
    client: KvClient,
    began: Instant,
}

impl Asker {
    /// An asker at a place of this server that nobody else has.
    pub(crate) fn new(
        server: ServerId,
        place: u16,
        session: u64,
        group: Vec<NodeId>,
        handle: &Handle<Role>,
    ) -> Self {
        let port = handle.port_at(NodeId::at(server, place));
        Asker { port, client: KvClient::new(session, group), began: Instant::now() }
    }

    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// A change; `None` when no answer came in time: it may still happen.
    pub(crate) fn command(&mut self, command: KvCommand) -> Option<KvAnswer> {
        let asked = self.client.command(self.now(), command);
        self.settle(asked)
    }

    fn settle(&mut self, (to, request): (NodeId, KvRequest)) -> Option<KvAnswer> {
        let number = request.request;
        let until = self.now().after(PATIENCE);
        self.port.send(to, Message::Kv(request));
        while self.now() < until {
            let due = self.client.next_due().map_or(until, |due| due.min(until));
            if let Some((from, Message::KvReply(reply))) = self.port.receive(due.since(self.now()))
                && let Some((settled, answer)) = self.client.on_reply(self.now(), from, reply)
                && settled == number
            {
                return Some(answer);
            }
            for (to, request) in self.client.resend_due(self.now()) {
                self.port.send(to, Message::Kv(request));
            }
        }
        None
    }
}
