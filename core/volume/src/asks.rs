//! Questions that are asked until they are answered.
//!
//! `formats::kv_client` is not this: it speaks to the KV alone, has no purpose beside a request, and never gives one up.
//! Here one table and one timer hold what the KV and the objects client are asked, and a take-over or deletion forgets
//! what its volume asked before. On top of it there would be the same table once more; what both share is to whom they
//! go ([`KvRoute`]), and that a KV session has its own sequence of commands, which is four lines.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use formats::kv_route::KvRoute;
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvReply, KvRequest};
use formats::message::object::{ObjectBody, ObjectRequest};
use formats::{Effect, Message};
use glossary::{NamespaceId, NodeId};
use step::{Effects, Timestamp};

/// Every question that waits for its answer, each with what the answer is for. Their number is bounded by
/// what the volumes have under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asks<P> {
    kv: KvRoute,
    objects: NodeId,
    wait: (Duration, Duration),
    session: u64,
    /// A command of it was applied: the KV must know it.
    is_begun: bool,
    next_request: u64,
    next_sequence: u64,
    open: BTreeMap<u64, Ask<P>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Ask<P> {
    purpose: P,
    to: NodeId,
    message: Message,
    /// Of a command: its session and number.
    sequence: Option<(u64, u64)>,
    sent: Timestamp,
    due: Timestamp,
    wait: Duration,
}

impl<P> Asks<P> {
    /// Nothing asked yet. `session` was drawn at random for this life; so is, by it, the first request's
    /// number: a late answer to an earlier life must find no question.
    pub(crate) fn new(kv: Vec<NodeId>, objects: NodeId, session: u64, wait: (Duration, Duration)) -> Self {
        Asks {
            kv: KvRoute::new(kv),
            objects,
            wait,
            session,
            is_begun: false,
            next_request: session >> 1,
            next_sequence: 1,
            open: BTreeMap::new(),
        }
    }

    pub(crate) fn command(
        &mut self,
        purpose: P,
        command: KvCommand,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let of_session = |(session, sequence): (u64, u64)| (session == self.session).then_some(sequence);
        let unanswered = self.open.values().filter_map(|ask| ask.sequence.and_then(of_session)).min();
        let answered_below = if self.is_begun { unanswered.unwrap_or(sequence) } else { 1 };
        let body = KvBody::Command { session: self.session, sequence, answered_below, command };
        let message = Message::Kv(KvRequest { request: self.next_request, body });
        self.send(purpose, self.kv.target(), message, Some((self.session, sequence)), now, effects);
    }

    pub(crate) fn query(
        &mut self,
        purpose: P,
        query: KvQuery,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let message = Message::Kv(KvRequest { request: self.next_request, body: KvBody::Query(query) });
        self.send(purpose, self.kv.target(), message, None, now, effects);
    }

    pub(crate) fn object(
        &mut self,
        purpose: P,
        namespace: NamespaceId,
        body: ObjectBody,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let message = Message::Object(ObjectRequest { request: self.next_request, namespace, body });
        self.send(purpose, self.objects, message, None, now, effects);
    }

    /// Takes the question that an answer belongs to; `None` for an answer that came before.
    pub(crate) fn answered(&mut self, request: u64) -> Option<P> {
        self.open.remove(&request).map(|ask| ask.purpose)
    }

    /// Forgets questions whose answers nobody waits for any more.
    pub(crate) fn forget(&mut self, of_no_use: impl Fn(&P) -> bool) {
        self.open.retain(|_, ask| !of_no_use(&ask.purpose));
    }

    /// A member of the KV's group replied: what was asked and the answer, where that settles it. "Not now" settles
    /// nothing: the question is asked again when it is due. Nor does "ask another": it is.
    pub(crate) fn kv_replied(
        &mut self,
        now: Timestamp,
        from: NodeId,
        reply: KvReply,
        effects: &mut Effects<Effect>,
    ) -> Option<(P, KvAnswer)> {
        if !self.kv.knows(from) {
            return None;
        }
        let settled = match reply.body {
            KvAnswer::Failed(KvError::NotLeader { leader }) => {
                if let Some(at) = self.kv.on_not_leader(from, leader, now) {
                    self.move_all(at);
                }
                None
            }
            KvAnswer::Failed(KvError::Full | KvError::TooManySessions) => {
                self.kv.on_not_now(from, now);
                None
            }
            // Another may serve: if nothing else is heard of this one, the next is asked.
            KvAnswer::Failed(KvError::Unavailable) => None,
            answer => {
                let asked = self.open.get(&reply.request)?.sequence;
                let is_of_session = asked.is_some_and(|(session, _)| session == self.session);
                let purpose = self.answered(reply.request)?;
                self.is_begun |= is_of_session && answer.is_applied();
                self.kv.on_answer(from, now);
                if is_of_session && answer == KvAnswer::Failed(KvError::Forgotten) {
                    self.renew_session();
                }
                if from == self.kv.target() {
                    self.move_all(now);
                }
                Some((purpose, answer))
            }
        };
        self.ask_again(now, effects);
        settled
    }

    /// The KV has forgotten the session, as too many others were used since: new commands go on in another. Those that are open
    /// come to their end in the old one.
    fn renew_session(&mut self) {
        // The golden ratio: as unlikely to be another's as the first was.
        self.session = self.session.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.is_begun = false;
    }

    /// What the KV was asked through others than the member to ask goes to that at this time.
    fn move_all(&mut self, at: Timestamp) {
        let (target, wait) = (self.kv.target(), self.wait.0 / 2);
        let elsewhere = |ask: &&mut Ask<P>| ask.is_for_kv() && ask.to != target;
        for ask in self.open.values_mut().filter(elsewhere) {
            (ask.due, ask.wait) = (ask.due.min(at), wait);
        }
    }

    /// Whether the KV may have other members than the one that was configured.
    pub(crate) fn has_others(&self) -> bool {
        self.kv.has_others()
    }

    /// Whether a node is one that may answer for the KV.
    #[cfg(test)]
    pub(crate) fn knows(&self, node: NodeId) -> bool {
        self.kv.knows(node)
    }

    /// The KV says where its members are.
    pub(crate) fn learn(&mut self, members: &[NodeId]) {
        self.kv.learn(members);
    }

    /// Asks again what is due, in the order in which it was first asked.
    pub(crate) fn ask_again(&mut self, now: Timestamp, effects: &mut Effects<Effect>) {
        for ask in self.open.values().filter(|ask| ask.due <= now && ask.is_for_kv()) {
            self.kv.on_silence(ask.to, ask.sent, now);
        }
        let (longest, target) = (self.wait.1, self.kv.target());
        for ask in self.open.values_mut().filter(|ask| ask.due <= now) {
            if ask.is_for_kv() {
                ask.to = target;
            }
            ask.wait = (ask.wait * 2).min(longest);
            (ask.sent, ask.due) = (now, now.after(ask.wait));
            effects.push(Effect::Send { to: ask.to, message: ask.message.clone() });
        }
    }

    /// Whether a question waits whose purpose is such.
    pub(crate) fn any(&self, such: impl Fn(&P) -> bool) -> bool {
        self.open.values().any(|ask| such(&ask.purpose))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn send(
        &mut self,
        purpose: P,
        to: NodeId,
        message: Message,
        sequence: Option<(u64, u64)>,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let wait = self.wait.0;
        let (sent, due) = (now, now.after(wait));
        let ask = Ask { purpose, to, message: message.clone(), sequence, sent, due, wait };
        self.open.insert(self.next_request, ask);
        self.next_request += 1;
        effects.push(Effect::Send { to, message });
    }
}

impl<P> Ask<P> {
    fn is_for_kv(&self) -> bool {
        matches!(self.message, Message::Kv(_))
    }
}

/// Keys and values for a compare-and-set of one value.
pub(crate) fn compare_and_set(key: Vec<u8>, old: Option<Vec<u8>>, new: Vec<u8>) -> KvCommand {
    use formats::message::kv::KvStep;
    KvCommand::Sequence(alloc::vec![
        KvStep::Assert { key: key.clone(), value: old },
        KvStep::Set { key, value: new },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use formats::message::member::member_of;
    use glossary::ServerId;

    const NOW: Timestamp = Timestamp(5);
    const OBJECTS: NodeId = NodeId(77);
    const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

    fn kv(server: u16) -> NodeId {
        NodeId::kv_of(ServerId(server))
    }

    fn asks() -> Asks<u8> {
        Asks::new((1..=3).map(kv).collect(), OBJECTS, 4, WAIT)
    }

    fn sent(effects: &mut Effects<Effect>) -> Vec<(NodeId, u64)> {
        let sent = |effect| match effect {
            Effect::Send { to, message: Message::Kv(request) } => (to, request.request),
            Effect::Send { to, message: Message::Object(request) } => (to, request.request),
            other => panic!("{other:?}"),
        };
        effects.drain().map(sent).collect()
    }

    fn ask_three(asks: &mut Asks<u8>, effects: &mut Effects<Effect>) {
        asks.command(1, KvCommand::Sequence(vec![]), NOW, effects);
        asks.object(2, NamespaceId(1), ObjectBody::Sweep, NOW, effects);
        asks.query(3, KvQuery::Get { key: vec![] }, NOW, effects);
        assert_eq!(sent(effects), [(kv(1), 2), (OBJECTS, 3), (kv(1), 4)]);
    }

    #[test]
    fn a_named_leader_is_asked_at_once_and_the_objects_client_is_not_asked_again() {
        let (mut asks, mut effects) = (asks(), Effects::new());
        ask_three(&mut asks, &mut effects);
        let body = KvAnswer::Failed(KvError::NotLeader { leader: Some(member_of(ServerId(3), 0)) });
        let reply = KvReply { request: 4, body };
        assert_eq!(asks.kv_replied(NOW, kv(9), reply.clone(), &mut effects), None);
        assert_eq!(sent(&mut effects), [], "a stranger has no say");
        assert_eq!(asks.kv_replied(NOW, kv(1), reply, &mut effects), None);
        assert_eq!(sent(&mut effects), [(kv(3), 2), (kv(3), 4)]);
        let reply = KvReply { request: 4, body: KvAnswer::Value(None) };
        let settled = asks.kv_replied(NOW, kv(3), reply, &mut effects);
        assert_eq!(settled, Some((3, KvAnswer::Value(None))));
        assert_eq!(sent(&mut effects), []);
    }

    #[test]
    fn a_session_that_was_forgotten_is_followed_by_another() {
        let (mut asks, mut effects) = (asks(), Effects::new());
        let session = |effects: &mut Effects<Effect>| {
            let sent = effects.drain().next().expect("something is sent");
            match sent {
                Effect::Send { message: Message::Kv(request), .. } => match request.body {
                    KvBody::Command { session, .. } => session,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        };
        let mut sessions = Vec::new();
        for purpose in 1..=3 {
            asks.command(purpose, KvCommand::Sequence(vec![]), NOW, &mut effects);
            sessions.push(session(&mut effects));
        }
        // The first to be told of it is enough, and the others change nothing.
        let mut next = Vec::new();
        for request in 2..=4 {
            let reply = KvReply { request, body: KvAnswer::Failed(KvError::Forgotten) };
            assert!(asks.kv_replied(NOW, kv(1), reply, &mut effects).is_some());
            asks.command(4, KvCommand::Sequence(vec![]), NOW, &mut effects);
            next.push(session(&mut effects));
        }
        assert!(next[0] != sessions[0] && next.iter().all(|session| *session == next[0]), "{next:?}");
    }

    #[test]
    fn the_next_member_is_asked_when_one_is_silent() {
        let (mut asks, mut effects) = (asks(), Effects::new());
        ask_three(&mut asks, &mut effects);
        asks.ask_again(NOW.after(WAIT.0), &mut effects);
        assert_eq!(sent(&mut effects), [(kv(2), 2), (OBJECTS, 3), (kv(2), 4)]);
    }
}
