//! The asker's half of the conversation with the KV: numbers, what is outstanding, whom to send it to, when again.
//!
//! Whoever asks only the KV (the objects client; the volume driver asks others too, and has `volume::asks`) keeps one
//! [`KvClient`] and sends the requests that it makes. It sends nothing itself and knows no timer:
//! [`KvClient::next_due`] says when to call [`KvClient::resend_due`]. A request is sent again, under the same numbers,
//! until an answer comes that settles it; the KV applies a command once however often it comes, to whichever member.
//!
//! A KV forgets sessions that were idle for long, where there are too many. Commands go on in another then: one that went out once
//! and is answered [`KvError::Forgotten`] was not applied, as a session is remembered for longer than [`FIRST_WAIT`], and goes out
//! again under new numbers. What became of one that went out more than once can't be known, and its asker is told.
//!
//! What is sent again goes out in the order in which it was made. That is no promise about the order in which commands
//! are applied, as any of them may be lost on its way: who needs one before another waits for its answer.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use glossary::NodeId;
use step::Timestamp;

use crate::kv_route::KvRoute;
use crate::message::kv::{Consistency, KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvReply, KvRequest};

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
    /// A command of it was applied.
    is_begun: bool,
    last_request: u64,
    last_sequence: u64,
    route: KvRoute,
    outstanding: BTreeMap<u64, Outstanding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Outstanding {
    ask: Ask,
    /// To whom and when it last went out.
    to: NodeId,
    sent: Timestamp,
    /// It has not gone out under its numbers yet.
    is_new: bool,
    /// It has more than once.
    is_again: bool,
    /// It goes out in a second session, and in no third: a doubled answer from the first must not move it on.
    is_moved: bool,
    due: Timestamp,
    wait: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask {
    Command { session: u64, sequence: u64, command: KvCommand },
    Query(KvQuery),
    Read { consistency: Consistency, query: KvQuery },
}

impl Ask {
    /// Whether it is a command of this session.
    fn is_of(&self, of: u64) -> bool {
        matches!(self, Ask::Command { session, .. } if *session == of)
    }

    /// How long a member that has the request may say nothing, since it waits for what it is asked for.
    fn silence(&self) -> Duration {
        match self {
            Ask::Query(KvQuery::Watch { .. }) | Ask::Read { query: KvQuery::Watch { .. }, .. } => WATCH_WAIT,
            Ask::Read { consistency: Consistency::AtLeast(_), .. } => AT_LEAST_WAIT,
            Ask::Read { .. } | Ask::Query(_) | Ask::Command { .. } => Duration::ZERO,
        }
    }
}

impl KvClient {
    /// Begins a session with the group whose members are at these nodes, at least one: a number drawn at random at
    /// each start of the asker. The numbers of its requests begin at 1: an asker that may get answers meant for an
    /// earlier life of its own adds a random offset to them on the wire.
    pub fn new(session: u64, group: Vec<NodeId>) -> Self {
        let (route, outstanding) = (KvRoute::new(group), BTreeMap::new());
        KvClient { session, is_begun: false, last_request: 0, last_sequence: 0, route, outstanding }
    }

    /// These nodes have the members now, as [`crate::kv_members`] says ([`KvRoute::learn`]).
    pub fn learn(&mut self, members: &[NodeId]) {
        self.route.learn(members);
    }

    /// Whether there are others than the one that it began with.
    pub fn has_others(&self) -> bool {
        self.route.has_others()
    }

    /// Makes the request for a command, and says where to send it. Its number comes back from
    /// [`KvClient::on_reply`].
    pub fn command(&mut self, now: Timestamp, command: KvCommand) -> (NodeId, KvRequest) {
        self.last_sequence += 1;
        self.ask(now, Ask::Command { session: self.session, sequence: self.last_sequence, command })
    }

    /// Makes the request for a read, and says where to send it.
    pub fn query(&mut self, now: Timestamp, query: KvQuery) -> (NodeId, KvRequest) {
        self.ask(now, Ask::Query(query))
    }

    /// Makes the request for a read that may lag, and says where to send it.
    pub fn read(&mut self, now: Timestamp, consistency: Consistency, query: KvQuery) -> (NodeId, KvRequest) {
        self.ask(now, Ask::Read { consistency, query })
    }

    /// Takes a reply: the number of the request that it settles and the answer. `None` when the reply is late,
    /// doubled or a stranger's, or says "not now" (full, starting, stopped) or "ask another": then the request goes out
    /// again when it is due, which may be at once.
    pub fn on_reply(&mut self, now: Timestamp, from: NodeId, reply: KvReply) -> Option<(u64, KvAnswer)> {
        if !self.route.knows(from) {
            return None;
        }
        if let KvAnswer::Failed(KvError::NotLeader { .. } | KvError::Full | KvError::TooManySessions) =
            reply.body
            && let Some(refused) = self.outstanding.get_mut(&reply.request)
        {
            // Who says so has not logged it, and nobody else had it.
            refused.is_new |= refused.to == from && !refused.is_again;
        }
        match reply.body {
            KvAnswer::Failed(KvError::NotLeader { leader }) => {
                if let Some(at) = self.route.on_not_leader(from, leader, now) {
                    self.move_all(at);
                }
                None
            }
            KvAnswer::Failed(KvError::Full | KvError::TooManySessions) => {
                self.route.on_not_now(from, now);
                None
            }
            // Another may serve: if nothing else is heard of this one, the next is asked.
            KvAnswer::Failed(KvError::Unavailable) => None,
            KvAnswer::Failed(KvError::Forgotten) if self.goes_on(reply.request, now) => {
                self.route.on_answer(from, now);
                None
            }
            answer => {
                let ended = self.outstanding.remove(&reply.request)?;
                self.is_begun |= ended.ask.is_of(self.session) && answer.is_applied();
                self.route.on_answer(from, now);
                if from == self.route.target() {
                    self.move_all(now);
                }
                Some((reply.request, answer))
            }
        }
    }

    /// The KV has forgotten the session of a command. Whether that goes out again, in a new one.
    fn goes_on(&mut self, request: u64, now: Timestamp) -> bool {
        let Some(outstanding) = self.outstanding.get_mut(&request) else { return false };
        let Ask::Command { session, sequence, .. } = &mut outstanding.ask else { return false };
        if *session == self.session {
            // The golden ratio: as unlikely to be another's as the first was.
            self.session = self.session.wrapping_add(0x9e37_79b9_7f4a_7c15);
            (self.last_sequence, self.is_begun) = (0, false);
        }
        let goes_on = !outstanding.is_again && !outstanding.is_moved;
        if goes_on {
            self.last_sequence += 1;
            (*session, *sequence) = (self.session, self.last_sequence);
            (outstanding.due, outstanding.is_new, outstanding.is_moved) = (now, true, true);
        }
        goes_on
    }

    /// The connection to a member broke: what was sent through it is lost, and the next is asked soon.
    pub fn on_gone(&mut self, now: Timestamp, from: NodeId) {
        if let Some(at) = self.route.on_not_leader(from, None, now) {
            self.outstanding.values_mut().for_each(|outstanding| outstanding.due = outstanding.due.min(at));
        }
    }

    /// When the next request has waited long enough; `None` when nothing is outstanding.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.outstanding.values().map(|outstanding| outstanding.due).min()
    }

    /// The requests that have waited long enough, to be sent again, and where to, in the order they were first made.
    pub fn resend_due(&mut self, now: Timestamp) -> Vec<(NodeId, KvRequest)> {
        let is_due = |outstanding: &&mut Outstanding| outstanding.due <= now;
        for outstanding in self.outstanding.values_mut().filter(is_due) {
            self.route.on_silence(outstanding.to, outstanding.sent, now);
        }
        let (mut due, target) = (Vec::new(), self.route.target());
        for (request, outstanding) in self.outstanding.iter_mut().filter(|(_, ask)| ask.due <= now) {
            outstanding.go(target, now);
            due.push(*request);
        }
        due.into_iter().map(|request| (target, self.request(request))).collect()
    }

    /// How many requests have no answer yet.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    fn ask(&mut self, now: Timestamp, ask: Ask) -> (NodeId, KvRequest) {
        self.last_request += 1;
        let (to, due) = (self.route.target(), now.after(FIRST_WAIT + ask.silence()));
        let outstanding = Outstanding {
            ask,
            to,
            sent: now,
            is_new: false,
            is_again: false,
            is_moved: false,
            due,
            wait: FIRST_WAIT,
        };
        self.outstanding.insert(self.last_request, outstanding);
        (to, self.request(self.last_request))
    }

    /// What went to others than the target goes to it at this time.
    fn move_all(&mut self, at: Timestamp) {
        let target = self.route.target();
        // What the target has already been sent waits for its answer, and in a group of one that is everything.
        for outstanding in self.outstanding.values_mut().filter(|outstanding| outstanding.to != target) {
            outstanding.due = outstanding.due.min(at);
            outstanding.wait = FIRST_WAIT / 2;
        }
    }

    fn request(&self, request: u64) -> KvRequest {
        let body = match &self.outstanding[&request].ask {
            Ask::Command { session, sequence, command } => KvBody::Command {
                session: *session,
                sequence: *sequence,
                answered_below: self.answered_below(*session),
                command: command.clone(),
            },
            Ask::Query(query) => KvBody::Query(query.clone()),
            Ask::Read { consistency, query } => {
                KvBody::Read { consistency: *consistency, query: query.clone() }
            }
        };
        KvRequest { request, body }
    }

    /// The first command of a session without an answer. Of one that may not have begun none is told: the KV takes who has had
    /// answers for one that it must know.
    fn answered_below(&self, of: u64) -> u64 {
        if of == self.session && !self.is_begun {
            return 1;
        }
        let sequence = |outstanding: &Outstanding| match outstanding.ask {
            Ask::Command { session, sequence, .. } if session == of => Some(sequence),
            _ => None,
        };
        self.outstanding.values().filter_map(sequence).min().unwrap_or(self.last_sequence + 1)
    }
}

impl Outstanding {
    /// It goes out again, and waits twice as long as before.
    fn go(&mut self, to: NodeId, now: Timestamp) {
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        (self.is_again, self.is_new) = (!self.is_new, false);
        (self.to, self.sent, self.due) = (to, now, now.after(self.wait + self.ask.silence()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use consensus::Member;
    use glossary::ServerId;

    const START: Timestamp = Timestamp(7);

    fn kv(server: u16) -> NodeId {
        NodeId::kv_of(ServerId(server))
    }

    fn client(servers: u16) -> KvClient {
        KvClient::new(1, (1..=servers).map(kv).collect())
    }

    fn empty() -> KvCommand {
        KvCommand::Sequence(Vec::new())
    }

    fn not_leader(request: &KvRequest, leader: Option<u64>) -> KvReply {
        let body = KvAnswer::Failed(KvError::NotLeader { leader: leader.map(Member) });
        KvReply { request: request.request, body }
    }

    fn sequence(request: &KvRequest) -> (u64, u64) {
        match request.body {
            KvBody::Command { sequence, answered_below, .. } => (sequence, answered_below),
            KvBody::Query(_) | KvBody::Read { .. } => panic!("a command was expected"),
        }
    }

    fn done(request: &KvRequest) -> KvReply {
        KvReply { request: request.request, body: KvAnswer::Done(Vec::new()) }
    }

    /// A member that waits for what it is asked for is not silent.
    #[test]
    fn who_watches_has_patience() {
        let mut client = client(2);
        let watch = KvQuery::Watch { prefix: Vec::new(), after: 3 };
        let (to, request) = client.read(START, Consistency::Stale, watch);
        assert!(matches!(request.body, KvBody::Read { consistency: Consistency::Stale, .. }));
        let due = START.after(FIRST_WAIT + WATCH_WAIT);
        assert_eq!(client.next_due(), Some(due));
        assert_eq!(client.resend_due(due), [(kv(2), request)]);
        assert_eq!(to, kv(1));
    }

    #[test]
    fn a_command_is_sent_again_under_its_numbers_until_it_is_settled() {
        let mut client = client(1);
        let (to, request) = client.command(START, empty());
        let due = START.after(FIRST_WAIT);
        assert_eq!((to, client.next_due()), (kv(1), Some(due)));
        assert_eq!(client.resend_due(START), []);
        assert_eq!(client.resend_due(due), [(kv(1), request.clone())]);
        assert_eq!(client.next_due(), Some(due.after(2 * FIRST_WAIT)));
        let full = KvReply { request: request.request, body: KvAnswer::Failed(KvError::Full) };
        assert_eq!(client.on_reply(due, kv(1), full), None);
        assert_eq!(client.on_reply(due, kv(2), done(&request)), None, "a stranger");
        assert_eq!(client.on_reply(due, kv(1), done(&request)), Some((1, KvAnswer::Done(Vec::new()))));
        assert_eq!(client.on_reply(due, kv(1), done(&request)), None, "doubled");
        assert_eq!(client.next_due(), None);
    }

    #[test]
    fn the_waits_are_bounded() {
        let mut client = client(1);
        client.query(START, KvQuery::Get { key: Vec::new() });
        for _ in 0..80 {
            let due = client.next_due().expect("outstanding");
            assert_eq!(client.resend_due(due).len(), 1);
            assert!(client.next_due().expect("outstanding").since(due) <= LONGEST_WAIT);
        }
    }

    #[test]
    fn answered_below_stops_at_the_first_command_without_an_answer() {
        let mut client = client(1);
        let (_, query) = client.query(START, KvQuery::Get { key: Vec::new() });
        let commands = [(); 3].map(|()| client.command(START, empty()).1);
        assert_eq!(commands.each_ref().map(sequence), [(1, 1), (2, 1), (3, 1)]);
        client.on_reply(START, kv(1), done(&commands[1]));
        assert_eq!(sequence(&client.command(START, empty()).1), (4, 1));
        client.on_reply(START, kv(1), done(&commands[0]));
        assert_eq!(sequence(&client.command(START, empty()).1), (5, 3));
        client.on_reply(START, kv(1), done(&query));
        assert_eq!(client.outstanding(), 3);
    }

    #[test]
    fn everything_follows_to_the_leader_at_once_and_in_its_order() {
        let mut client = client(3);
        let asked = [(); 3].map(|()| client.command(START, empty()).1);
        assert_eq!(client.on_reply(START, kv(1), not_leader(&asked[1], Some(3))), None);
        assert_eq!(client.next_due(), Some(START));
        let expected = asked.clone().map(|request| (kv(3), request));
        assert_eq!(client.resend_due(START), expected);
        // What the member that was left says of the others is known.
        assert_eq!(client.on_reply(START, kv(1), not_leader(&asked[0], Some(2))), None);
        assert_eq!(client.resend_due(START), []);
        assert_eq!(client.command(START, empty()).0, kv(3));
    }

    #[test]
    fn who_loses_the_connection_need_not_wait_for_silence() {
        let mut client = client(2);
        let (_, request) = client.command(START, empty());
        client.on_gone(START, kv(2));
        assert_eq!(client.next_due(), Some(START.after(FIRST_WAIT)), "it was not the one that is asked");
        client.on_gone(START, kv(1));
        let soon = client.next_due().expect("outstanding");
        assert!(START < soon && soon < START.after(FIRST_WAIT), "soon, and no storm");
        assert_eq!(client.resend_due(soon), [(kv(2), request)]);
        // Where all are gone, the attempts get rarer.
        let mut waits = vec![];
        let mut now = soon;
        for _ in 0..20 {
            let target = client.route.target();
            client.on_gone(now, target);
            let due = client.next_due().expect("outstanding");
            waits.push(due.since(now));
            now = due;
            client.resend_due(now);
        }
        assert!(waits.is_sorted() && waits[19] >= FIRST_WAIT, "{waits:?}");
    }

    #[test]
    fn a_silent_member_is_left_for_the_next_and_what_waits_for_it_follows_the_first_answer() {
        let mut client = client(3);
        let (_, first) = client.command(START, empty());
        let later = START.after(FIRST_WAIT / 2);
        let (_, second) = client.command(later, empty());
        let due = START.after(FIRST_WAIT);
        assert_eq!(client.resend_due(due), [(kv(2), first.clone())]);
        assert_eq!(client.on_reply(due, kv(2), done(&first)), Some((1, KvAnswer::Done(vec![]))));
        let [(to, again)] = &client.resend_due(due)[..] else { panic!("the second is due") };
        assert_eq!((*to, sequence(again)), (kv(2), (2, 2)));
        // The member that was silent may have heard it after all.
        assert_eq!(client.on_reply(due, kv(1), done(&second)), Some((2, KvAnswer::Done(vec![]))));
    }

    /// For a minute nobody leads: members know none, or name each other. However many are asked, and however fast they
    /// answer, each request goes out a bounded number of times.
    #[test]
    fn there_is_no_storm_when_nobody_leads() {
        for leader in [|_| None, |from: NodeId| Some(u64::from(from.server().0 % 3 + 1))] {
            let (mut client, mut sends) = (client(3), 0);
            let mut sent: Vec<_> = (0..100).map(|_| client.command(START, empty())).collect();
            let mut now = START;
            while now < START.after(Duration::from_secs(60)) {
                sends += sent.len();
                for (to, request) in core::mem::take(&mut sent) {
                    assert_eq!(client.on_reply(now, to, not_leader(&request, leader(to))), None);
                }
                now = client.next_due().expect("outstanding");
                sent = client.resend_due(now);
            }
            assert!((50..150).contains(&(sends / 100)), "{sends}: more than about two a second");
        }
    }

    fn forgotten(request: &KvRequest) -> KvReply {
        KvReply { request: request.request, body: KvAnswer::Failed(KvError::Forgotten) }
    }

    fn session(request: &KvRequest) -> u64 {
        match request.body {
            KvBody::Command { session, .. } => session,
            KvBody::Query(_) | KvBody::Read { .. } => panic!("a command was expected"),
        }
    }

    #[test]
    fn a_forgotten_session_is_followed_by_another_and_what_went_out_once_goes_on_in_it() {
        let mut client = client(1);
        let (_, first) = client.command(START, empty());
        client.on_reply(START, kv(1), done(&first));
        let (_, old) = client.command(START, empty());
        let due = START.after(FIRST_WAIT);
        let (_, new) = client.command(due, empty());
        assert_eq!(client.resend_due(due), [(kv(1), old.clone())]);
        // The one that went out once.
        assert_eq!(client.on_reply(due, kv(1), forgotten(&new)), None);
        let [(_, again)] = &client.resend_due(due)[..] else { panic!("it goes out at once") };
        assert_eq!((again.request, sequence(again)), (new.request, (1, 1)));
        assert_ne!(session(again), session(&old));
        // The other is told of, and changes nothing for the new session.
        let told = Some((old.request, KvAnswer::Failed(KvError::Forgotten)));
        assert_eq!(client.on_reply(due, kv(1), forgotten(&old)), told);
        assert_eq!(client.on_reply(due, kv(1), done(again)), Some((new.request, KvAnswer::Done(vec![]))));
        let (_, next) = client.command(due, empty());
        assert_eq!((session(&next), sequence(&next)), (session(again), (2, 2)));
    }

    /// An answer from the old session that comes twice is none from the new one.
    #[test]
    fn a_command_goes_on_once() {
        let mut client = client(1);
        let (_, first) = client.command(START, empty());
        assert_eq!(client.on_reply(START, kv(1), forgotten(&first)), None);
        let [(_, again)] = &client.resend_due(START)[..] else { panic!("it goes out at once") };
        assert_ne!(session(again), session(&first));
        assert!(client.on_reply(START, kv(1), forgotten(&first)).is_some(), "it may have been applied");
        assert_eq!(client.outstanding(), 0);
    }

    /// Who doesn't lead has not logged it.
    #[test]
    fn what_was_refused_before_it_was_logged_goes_on_too() {
        let mut client = client(2);
        let (_, request) = client.command(START, empty());
        client.on_reply(START, kv(1), not_leader(&request, Some(2)));
        let [(to, again)] = &client.resend_due(START)[..] else { panic!("the leader is asked at once") };
        assert_eq!((*to, again), (kv(2), &request));
        assert_eq!(client.on_reply(START, kv(2), forgotten(again)), None);
        let [(_, again)] = &client.resend_due(START)[..] else { panic!("it goes out at once") };
        assert_ne!(session(again), session(&request));
    }

    #[test]
    fn who_is_told_of_too_many_sessions_asks_again() {
        let mut client = client(1);
        let (_, request) = client.command(START, empty());
        let body = KvAnswer::Failed(KvError::TooManySessions);
        assert_eq!(client.on_reply(START, kv(1), KvReply { request: 1, body }), None);
        assert_eq!(client.resend_due(START.after(FIRST_WAIT)), [(kv(1), request)]);
    }
}
