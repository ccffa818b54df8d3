//! Asking the KV's group from an ordinary thread.

use std::time::{Duration, Instant};

use formats::Message;
use formats::kv_client::KvClient;
use formats::kv_members::{self, MEMBERS_KEY};
use formats::kv_route::LEARN_EVERY;
use formats::message::kv::{Consistency, KvAnswer, KvCommand, KvQuery, KvReply, KvRequest};
use glossary::NodeId;
use io::Port;
use step::{Entropy, Timestamp};

use super::members::KvMembers;
use crate::failure::{ExitCode, Failure};

/// How often it is looked whether a KV of this process has stopped.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks the group, whoever leads it, through a port of its own.
pub(crate) struct Asker {
    port: Port,
    client: KvClient,
    group: KvMembers,
    /// When it was last asked who has members.
    learned: Timestamp,
    /// How long one question may take before it is given up.
    patience: Duration,
    /// What is added to the numbers of requests: answers to an earlier life of the process may come through other
    /// connections than those that it had.
    offset: u64,
    entropy: Entropy,
    began: Instant,
}

impl Asker {
    /// An asker of the members at these nodes, at least one. Sessions that nobody had come of `entropy`.
    pub(crate) fn new(port: Port, group: KvMembers, patience: Duration, mut entropy: Entropy) -> Self {
        let client = KvClient::new(entropy.next_u64(), group.nodes());
        let (offset, learned) = (entropy.next_u64() >> 1, Timestamp(0));
        Asker { port, client, group, learned, patience, offset, entropy, began: Instant::now() }
    }

    /// A change, applied once.
    ///
    /// # Errors
    /// When no answer came in time: it may still happen.
    pub(crate) fn command(&mut self, command: KvCommand) -> Result<KvAnswer, Failure> {
        let asked = self.client.command(self.now(), command);
        self.settle(asked)
    }

    /// A linearizable read.
    ///
    /// # Errors
    /// When no answer came in time.
    pub(crate) fn query(&mut self, query: KvQuery) -> Result<KvAnswer, Failure> {
        let asked = self.client.query(self.now(), query);
        self.settle(asked)
    }

    /// What any member has applied.
    ///
    /// # Errors
    /// When no answer came in time.
    pub(crate) fn stale(&mut self, query: KvQuery) -> Result<KvAnswer, Failure> {
        let asked = self.client.read(self.now(), Consistency::Stale, query);
        self.settle(asked)
    }

    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn send(&self, to: NodeId, mut request: KvRequest) {
        request.request = request.request.wrapping_add(self.offset);
        self.port.send(to, Message::Kv(request));
    }

    /// The answer. After it, once in a while, it is asked who has members: all that are known may be replaced while this goes on.
    fn settle(&mut self, asked: (NodeId, KvRequest)) -> Result<KvAnswer, Failure> {
        let answer = self.answer(asked)?;
        if self.client.has_others() && self.now().since(self.learned) >= LEARN_EVERY {
            self.learned = self.now();
            let asked = self.client.query(self.now(), KvQuery::Get { key: MEMBERS_KEY.to_vec() });
            if let Ok(KvAnswer::Value(value)) = self.answer(asked) {
                let members = kv_members::named(value.as_deref());
                self.client.learn(&members);
                self.group.learn(&members);
            }
        }
        Ok(answer)
    }

    fn answer(&mut self, (to, request): (NodeId, KvRequest)) -> Result<KvAnswer, Failure> {
        let number = request.request;
        let until = self.now().after(self.patience);
        self.send(to, request);
        while self.now() < until {
            // In another process it may run again.
            if !self.group.nodes().iter().any(|node| self.port.reaches(*node)) {
                self.forget();
                return Err(Failure::new(ExitCode::Failed, "the KV stopped; its log above says why"));
            }
            let look = self.now().after(LOOK_EVERY).min(until);
            let due = self.client.next_due().map_or(look, |due| due.min(look));
            if let Some((from, Message::KvReply(reply))) = self.port.receive(due.since(self.now())) {
                let reply = KvReply { request: reply.request.wrapping_sub(self.offset), ..reply };
                match self.client.on_reply(self.now(), from, reply) {
                    Some((settled, answer)) if settled == number => return Ok(answer),
                    _ => {}
                }
            }
            for (to, request) in self.client.resend_due(self.now()) {
                self.send(to, request);
            }
        }
        self.forget();
        let why = "the KV does not answer: does a majority of its group run, and is there room on its disks?";
        Err(Failure::new(ExitCode::TimedOut, why))
    }

    /// What was asked is not asked again, and its answers, where they come, are nobody's.
    fn forget(&mut self) {
        self.client = KvClient::new(self.entropy.next_u64(), self.group.nodes());
        self.offset = self.entropy.next_u64() >> 1;
    }
}
