//! Questions that are asked until they are answered.
//!
//! `formats::kv_client` is not this: it speaks to the KV alone, has no purpose beside a request, and never gives one up.
//! Here one table and one timer hold what the KV and the objects client are asked, and a take-over or deletion forgets
//! what its volume asked before. On top of it there would be the same table once more; what both share is to whom they
//! go ([`formats::kv_route`]), and that a KV session has its own sequence of commands ([`KvSession`]).
//!
//! What is for the namespace manager goes to the group that hosts it, all else to the root group, which has the registry: a
//! session with each.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::iter;
use core::time::Duration;
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvError, KvOf, KvQuery, KvReply, KvRequest};
use formats::message::object::{ObjectBody, ObjectRequest};
use formats::{Effect, Message};
use glossary::{GroupId, NamespaceId, NodeId};
use step::{Effects, Timestamp};

use crate::kv_session::{KvSession, Numbers};

/// Every question that waits for its answer, each with what the answer is for. Their number is bounded by
/// what the volumes have under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asks<P> {
    root: KvSession,
    /// Where another group hosts them.
    namespaces: Option<KvSession>,
    objects: NodeId,
    wait: (Duration, Duration),
    next_request: u64,
    open: BTreeMap<u64, Ask<P>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Ask<P> {
    purpose: P,
    to: NodeId,
    message: Message,
    /// Of a command.
    numbers: Option<Numbers>,
    sent: Timestamp,
    due: Timestamp,
    wait: Duration,
}

impl<P> Asks<P> {
    /// Nothing asked yet. `kv`: where the members of the KV's groups are, and the group that hosts the namespaces. `session` was
    /// drawn at random for this life; so is, by it, the first request's number: a late answer to an earlier life must find no
    /// question.
    pub(crate) fn new(
        (kv, namespaces): (Vec<NodeId>, GroupId),
        objects: NodeId,
        session: u64,
        wait: (Duration, Duration),
    ) -> Self {
        let is_apart = namespaces != GroupId::ROOT;
        Asks {
            namespaces: is_apart.then(|| KvSession::new(namespaces, kv.clone(), session)),
            root: KvSession::new(GroupId::ROOT, kv, session),
            objects,
            wait,
            next_request: session >> 1,
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
        let is_function = matches!(command, KvCommand::Function { .. });
        let session = session_for(is_function, &mut self.root, &mut self.namespaces);
        let group = session.group;
        let open = self.open.values().filter(|ask| ask.group() == Some(group)).filter_map(|ask| ask.numbers);
        let (numbers, body) = session.command(command, open);
        self.ask_kv(purpose, body, Some(numbers), now, effects);
    }

    pub(crate) fn query(
        &mut self,
        purpose: P,
        query: KvQuery,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        self.ask_kv(purpose, KvBody::Query(query), None, now, effects);
    }

    fn ask_kv(
        &mut self,
        purpose: P,
        body: KvBody,
        numbers: Option<Numbers>,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let session = session_for(body.function().is_some(), &mut self.root, &mut self.namespaces);
        let (group, to) = (session.group, session.route.target());
        let message = Message::to_kv(group, KvRequest { request: self.next_request, body });
        self.send(purpose, to, message, numbers, now, effects);
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

    /// A member of the KV's groups replied: what was asked and the answer, where that settles it. "Not now" settles
    /// nothing: the question is asked again when it is due. Nor does "ask another": it is.
    pub(crate) fn kv_replied(
        &mut self,
        now: Timestamp,
        from: NodeId,
        reply: KvReply,
        effects: &mut Effects<Effect>,
    ) -> Option<(P, KvAnswer)> {
        let group = self.open.get(&reply.request)?.group()?;
        let session = self.session(group)?;
        if !session.route.knows(from) {
            return None;
        }
        let settled = match reply.body {
            KvAnswer::Failed(KvError::NotLeader { leader }) => {
                if let Some(at) = session.route.on_not_leader(from, leader, now) {
                    self.move_all(group, at);
                }
                None
            }
            KvAnswer::Failed(KvError::Full | KvError::TooManySessions) => {
                session.route.on_not_now(from, now);
                None
            }
            // Another may serve: if nothing else is heard of this one, the next is asked.
            KvAnswer::Failed(KvError::Unavailable) => None,
            answer => {
                let purpose = self.settled(group, now, from, reply.request, &answer)?;
                Some((purpose, answer))
            }
        };
        self.ask_again(now, effects);
        settled
    }

    /// A question to a group has its answer. Gives its purpose.
    fn settled(
        &mut self,
        group: GroupId,
        now: Timestamp,
        from: NodeId,
        request: u64,
        answer: &KvAnswer,
    ) -> Option<P> {
        let ask = self.open.remove(&request)?;
        let session = self.session(group)?;
        if session.has(ask.numbers) {
            if answer.is_applied() {
                session.begun();
            }
            if *answer == KvAnswer::Failed(KvError::Forgotten) {
                session.renew();
            }
        }
        session.route.on_answer(from, now);
        if from == session.route.target() {
            self.move_all(group, now);
        }
        Some(ask.purpose)
    }

    /// The session with a group.
    fn session(&mut self, group: GroupId) -> Option<&mut KvSession> {
        let all = iter::once(&mut self.root).chain(&mut self.namespaces);
        all.into_iter().find(|session| session.group == group)
    }

    /// What a group was asked through others than the member to ask goes to that at this time.
    fn move_all(&mut self, group: GroupId, at: Timestamp) {
        let wait = self.wait.0 / 2;
        let Some(target) = self.session(group).map(|session| session.route.target()) else { return };
        let elsewhere = |ask: &&mut Ask<P>| ask.group() == Some(group) && ask.to != target;
        for ask in self.open.values_mut().filter(elsewhere) {
            (ask.due, ask.wait) = (ask.due.min(at), wait);
        }
    }

    /// Whether the KV may have other members than the one that was configured.
    pub(crate) fn has_others(&self) -> bool {
        self.root.route.has_others()
    }

    /// Whether a node is one that may answer for the KV.
    #[cfg(test)]
    pub(crate) fn knows(&self, node: NodeId) -> bool {
        iter::once(&self.root).chain(&self.namespaces).all(|session| session.route.knows(node))
    }

    /// The KV says where its members are: all groups have them.
    pub(crate) fn learn(&mut self, members: &[NodeId]) {
        iter::once(&mut self.root)
            .chain(&mut self.namespaces)
            .for_each(|session| session.route.learn(members));
    }

    /// Asks again what is due, in the order in which it was first asked.
    pub(crate) fn ask_again(&mut self, now: Timestamp, effects: &mut Effects<Effect>) {
        for session in iter::once(&mut self.root).chain(&mut self.namespaces) {
            let group = session.group;
            let is_due = |ask: &&mut Ask<P>| ask.due <= now && ask.group() == Some(group);
            self.open
                .values_mut()
                .filter(is_due)
                .for_each(|ask| session.route.on_silence(ask.to, ask.sent, now));
            let target = session.route.target();
            self.open.values_mut().filter(is_due).for_each(|ask| ask.to = target);
        }
        let longest = self.wait.1;
        for ask in self.open.values_mut().filter(|ask| ask.due <= now) {
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
        numbers: Option<Numbers>,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let wait = self.wait.0;
        let (sent, due) = (now, now.after(wait));
        let ask = Ask { purpose, to, message: message.clone(), numbers, sent, due, wait };
        self.open.insert(self.next_request, ask);
        self.next_request += 1;
        effects.push(Effect::Send { to, message });
    }
}

impl<P> Ask<P> {
    /// The group of the KV that is asked; `None` for a question to the objects client.
    fn group(&self) -> Option<GroupId> {
        match &self.message {
            Message::Kv(_) => Some(GroupId::ROOT),
            Message::KvOf(KvOf { group, .. }) => Some(*group),
            _ => None,
        }
    }
}

/// The session for what is, or isn't, for the namespace manager.
fn session_for<'a>(
    is_for_namespaces: bool,
    root: &'a mut KvSession,
    namespaces: &'a mut Option<KvSession>,
) -> &'a mut KvSession {
    match namespaces {
        Some(namespaces) if is_for_namespaces => namespaces,
        _ => root,
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
        Asks::new(((1..=3).map(kv).collect(), GroupId::ROOT), OBJECTS, 4, WAIT)
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
    fn what_is_for_namespaces_goes_to_their_group_and_each_group_has_its_own_leader_and_numbers() {
        use formats::message::kv::FunctionId;
        let mut asks = Asks::new(((1..=3).map(kv).collect(), GroupId(7)), OBJECTS, 4, WAIT);
        let mut effects = Effects::new();
        let function = FunctionId::NAMESPACES;
        asks.command(1, KvCommand::Sequence(vec![]), NOW, &mut effects);
        asks.command(2, KvCommand::Function { function, command: vec![] }, NOW, &mut effects);
        asks.query(3, KvQuery::Function { function, query: vec![] }, NOW, &mut effects);
        let told = |effect: Effect| match effect {
            Effect::Send { to, message } => {
                let (group, request) = match message {
                    Message::Kv(request) => (GroupId::ROOT, request),
                    Message::KvOf(KvOf { group, request }) => (group, request),
                    other => panic!("{other:?}"),
                };
                let sequence = match request.body {
                    KvBody::Command { sequence, .. } => sequence,
                    _ => 0,
                };
                (to, group, request.request, sequence)
            }
            other => panic!("{other:?}"),
        };
        let of = GroupId(7);
        let asked: Vec<_> = effects.drain().map(told).collect();
        assert_eq!(asked, [(kv(1), GroupId::ROOT, 2, 1), (kv(1), of, 3, 1), (kv(1), of, 4, 0)]);
        // Another leads the group of the namespaces: what the root group is asked stays where it is.
        let body = KvAnswer::Failed(KvError::NotLeader { leader: Some(member_of(ServerId(3), 0)) });
        assert_eq!(asks.kv_replied(NOW, kv(1), KvReply { request: 3, body }, &mut effects), None);
        let asked: Vec<_> = effects.drain().map(told).collect();
        assert_eq!(asked, [(kv(3), of, 3, 1), (kv(3), of, 4, 0)]);
        let reply = |request| KvReply { request, body: KvAnswer::Done(vec![]) };
        assert_eq!(asks.kv_replied(NOW, kv(3), reply(3), &mut effects).map(|(purpose, _)| purpose), Some(2));
        asks.command(4, KvCommand::Function { function, command: vec![] }, NOW, &mut effects);
        asks.command(5, KvCommand::Sequence(vec![]), NOW, &mut effects);
        let asked: Vec<_> = effects.drain().map(told).collect();
        assert_eq!(asked, [(kv(3), of, 5, 2), (kv(1), GroupId::ROOT, 6, 2)]);
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
