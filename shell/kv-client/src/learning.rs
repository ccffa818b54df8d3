//! Who has members now: a client that goes on asks for it now and then, and goes on with whom it can reach of those. So it
//! lives longer than the servers that it began with.

use std::time::{Duration, Instant};

use formats::kv_members::{self, MEMBERS_KEY};
use formats::message::kv::{Consistency, KvAnswer, KvFound, KvQuery, KvRequest};
use glossary::NodeId;

use crate::client::Client;

/// How often the question goes out while the client is used, where nothing else is said. One that rests asks nothing.
const LEARN_EVERY: Duration = Duration::from_secs(10);

/// What a client has asked and heard of members.
#[derive(Debug)]
pub(crate) struct Learning {
    every: Duration,
    /// The request that waits for an answer.
    asked: Option<u64>,
    /// When the last one went out, or the client began.
    last: Instant,
    /// Those that it can reach, as it heard last.
    members: Vec<NodeId>,
}

impl Learning {
    pub(crate) fn new() -> Self {
        Learning { every: LEARN_EVERY, asked: None, last: Instant::now(), members: Vec::new() }
    }

    /// Whether the question is under way.
    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether a request is the question: it goes to the root group, whichever group the client asks.
    pub(crate) fn is(&self, request: u64) -> bool {
        self.asked == Some(request)
    }
}

impl Client {
    /// How often it is asked who has members now, while the client is used.
    pub fn learn_every(&mut self, every: Duration) {
        self.learning.every = every;
    }

    /// Asks who has members, when it is time and others can be reached. Any member may answer: who leads does not matter.
    pub(crate) fn learn_when_due(&mut self) {
        let is_due = self.learning.asked.is_none() && self.learning.last.elapsed() >= self.learning.every;
        if is_due && self.dial.servers().len() > 1 {
            let (to, request) = self.ask_members();
            self.send(to, request);
        }
    }

    fn ask_members(&mut self) -> (NodeId, KvRequest) {
        let query = KvQuery::Get { key: MEMBERS_KEY.to_vec() };
        let (to, request) = self.asks.read(self.now(), Consistency::Stale, query);
        self.learning.asked = Some(request.request);
        self.learning.last = Instant::now();
        (to, request)
    }

    /// The question was answered. An older server refuses it, which is no trouble: nothing is learned. Nor is of servers that
    /// have no address here.
    pub(crate) fn on_members(&mut self, answer: &KvAnswer) {
        self.learning.asked = None;
        let KvAnswer::Read { found: KvFound::Value(value), .. } = answer else { return };
        let reached = self.dial.servers();
        let mut members = kv_members::named(value.as_deref());
        members.retain(|node| reached.contains(&node.server()));
        self.learning.members = members;
        self.asks.learn(&self.learning.members);
    }

    /// The session begins anew, and knows what was learned.
    pub(crate) fn keep_learned(&mut self) {
        self.learning.asked = None;
        self.asks.learn(&self.learning.members);
    }
}
