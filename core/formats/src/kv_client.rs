//! The asker's half of the conversation with the KV: numbers, what is outstanding, when to send it again.
//!
//! Whoever asks only the KV (the objects client; the volume driver asks others too, and has `volume::asks`) keeps one
//! [`KvClient`] and sends the requests that it makes. It sends nothing itself and knows no timer:
//! [`KvClient::next_due`] says when to call [`KvClient::resend_due`]. A request is sent again, under the same numbers,
//! until an answer comes that settles it; the KV applies a command once however often it comes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use step::Timestamp;

use crate::message::kv::{KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvReply, KvRequest};

/// How long the first answer is waited for before the request goes out again; each try waits twice as long.
pub const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait between two tries.
pub const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// How long a member waits at most until it has applied what a read must see.
pub const AT_LEAST_WAIT: Duration = Duration::from_secs(2);

/// How long a member waits at most for something to tell to who watches.
pub const WATCH_WAIT: Duration = Duration::from_secs(10);

/// One session with the KV. Keep fewer than 1,024 commands outstanding: of more the KV forgets answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvClient {
    session: u64,
    last_request: u64,
    last_sequence: u64,
    outstanding: BTreeMap<u64, Outstanding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Outstanding {
    ask: Ask,
    due: Timestamp,
    wait: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask {
    Command { sequence: u64, command: KvCommand },
    Query(KvQuery),
}

impl KvClient {
    /// Begins a session: a number drawn at random at each start of the asker.
    /// The numbers of its requests begin at 1: an asker that may get answers meant for an earlier life of its
    /// own adds a random offset to them on the wire.
    pub fn new(session: u64) -> Self {
        KvClient { session, last_request: 0, last_sequence: 0, outstanding: BTreeMap::new() }
    }

    /// Makes the request for a command. Its number comes back from [`KvClient::on_reply`].
    pub fn command(&mut self, now: Timestamp, command: KvCommand) -> KvRequest {
        self.last_sequence += 1;
        self.ask(now, Ask::Command { sequence: self.last_sequence, command })
    }

    /// Makes the request for a read.
    pub fn query(&mut self, now: Timestamp, query: KvQuery) -> KvRequest {
        self.ask(now, Ask::Query(query))
    }

    /// Takes a reply: the number of the request that it settles and the answer. `None` when the reply is late
    /// or doubled, or says "not now" (full, starting, stopped): then the request goes out again when it is due.
    pub fn on_reply(&mut self, reply: KvReply) -> Option<(u64, KvAnswer)> {
        if matches!(
            reply.body,
            KvAnswer::Failed(KvError::Full | KvError::Unavailable | KvError::NotLeader { .. })
        ) {
            return None;
        }
        self.outstanding.remove(&reply.request)?;
        Some((reply.request, reply.body))
    }

    /// When the next request has waited long enough; `None` when nothing is outstanding.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.outstanding.values().map(|outstanding| outstanding.due).min()
    }

    /// The requests that have waited long enough, to be sent again, in the order they were first made.
    pub fn resend_due(&mut self, now: Timestamp) -> Vec<KvRequest> {
        let mut due = Vec::new();
        for (request, outstanding) in self.outstanding.iter_mut().filter(|(_, ask)| ask.due <= now) {
            outstanding.wait = (outstanding.wait * 2).min(LONGEST_WAIT);
            outstanding.due = now.after(outstanding.wait);
            due.push(*request);
        }
        due.into_iter().map(|request| self.request(request)).collect()
    }

    /// How many requests have no answer yet.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    fn ask(&mut self, now: Timestamp, ask: Ask) -> KvRequest {
        self.last_request += 1;
        let outstanding = Outstanding { ask, due: now.after(FIRST_WAIT), wait: FIRST_WAIT };
        self.outstanding.insert(self.last_request, outstanding);
        self.request(self.last_request)
    }

    fn request(&self, request: u64) -> KvRequest {
        let body = match &self.outstanding[&request].ask {
            Ask::Command { sequence, command } => KvBody::Command {
                session: self.session,
                sequence: *sequence,
                answered_below: self.answered_below(),
                command: command.clone(),
            },
            Ask::Query(query) => KvBody::Query(query.clone()),
        };
        KvRequest { request, body }
    }

    /// The first command without an answer: requests are numbered in the order of their commands.
    fn answered_below(&self) -> u64 {
        let sequence = |outstanding: &Outstanding| match outstanding.ask {
            Ask::Command { sequence, .. } => Some(sequence),
            Ask::Query(_) => None,
        };
        self.outstanding.values().find_map(sequence).unwrap_or(self.last_sequence + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(7);

    fn sequence(request: &KvRequest) -> (u64, u64) {
        match request.body {
            KvBody::Command { sequence, answered_below, .. } => (sequence, answered_below),
            KvBody::Query(_) | KvBody::Read { .. } => panic!("a command was expected"),
        }
    }

    fn done(request: &KvRequest) -> KvReply {
        KvReply { request: request.request, body: KvAnswer::Done(Vec::new()) }
    }

    #[test]
    fn a_command_is_sent_again_under_its_numbers_until_it_is_settled() {
        let mut client = KvClient::new(1);
        let request = client.command(START, KvCommand::Sequence(Vec::new()));
        let due = START.after(FIRST_WAIT);
        assert_eq!(client.next_due(), Some(due));
        assert_eq!(client.resend_due(START), []);
        assert_eq!(client.resend_due(due), core::slice::from_ref(&request));
        assert_eq!(client.next_due(), Some(due.after(2 * FIRST_WAIT)));
        let full = KvReply { request: request.request, body: KvAnswer::Failed(KvError::Full) };
        assert_eq!(client.on_reply(full), None);
        assert_eq!(client.on_reply(done(&request)), Some((1, KvAnswer::Done(Vec::new()))));
        assert_eq!(client.on_reply(done(&request)), None, "doubled");
        assert_eq!(client.next_due(), None);
    }

    #[test]
    fn the_waits_are_bounded() {
        let mut client = KvClient::new(1);
        client.query(START, KvQuery::Get { key: Vec::new() });
        for _ in 0..80 {
            let due = client.next_due().expect("outstanding");
            assert_eq!(client.resend_due(due).len(), 1);
            assert!(client.next_due().expect("outstanding").since(due) <= LONGEST_WAIT);
        }
    }

    #[test]
    fn answered_below_stops_at_the_first_command_without_an_answer() {
        let mut client = KvClient::new(1);
        let query = client.query(START, KvQuery::Get { key: Vec::new() });
        let commands = [(); 3].map(|()| client.command(START, KvCommand::Sequence(Vec::new())));
        assert_eq!(commands.each_ref().map(sequence), [(1, 1), (2, 1), (3, 1)]);
        client.on_reply(done(&commands[1]));
        assert_eq!(sequence(&client.command(START, KvCommand::Sequence(Vec::new()))), (4, 1));
        client.on_reply(done(&commands[0]));
        assert_eq!(sequence(&client.command(START, KvCommand::Sequence(Vec::new()))), (5, 3));
        client.on_reply(done(&query));
        assert_eq!(client.outstanding(), 3);
    }
}
