//! An asker of the KV: gets, sets and asserted sequences on few keys, over a network that may do anything; one call at a
//! time, sometimes a life that ends before the answer.

use formats::Message;
use formats::kv_client::KvClient;
use formats::message::kv::{KvAnswer, KvCommand, KvError, KvQuery, KvReply, KvRequest, KvStep};
use glossary::{GroupId, NodeId};
use linearizability::CallId;
use step::Timestamp;

use super::model::{Answer, KEYS, KvHistory, Operation, Value};
use crate::{Moment, Random};

/// What keys begin with.
const PREFIX: &[u8] = b"asked/";

/// Bytes that values may have beyond their number, so that logs grow and snapshots come.
const FILLER_MAX: u64 = 3000;

/// Lives that end without an answer, at most: what came of such a call is open for ever, and the search for an order
/// pays for each.
const LOST_MAX: u32 = 4;

/// How often in 10,000 an asker of a group rests for long, and for how many milliseconds: groups fall asleep meanwhile.
const LONG_REST: u64 = 400;
const LONG_REST_MS: (u64, u64) = (1_100, 3_000);

/// Of which group an asker asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// One that is not made yet.
    Nobody,
    /// One that there is.
    Group(GroupId),
    /// One that is being dropped, or was: who asks for it may hear that it is gone.
    Dropped(GroupId),
}

/// An asker.
pub struct Asker {
    /// Its number among the nodes.
    pub id: NodeId,
    /// Which group it asks.
    pub whose: Whose,
    group: Vec<NodeId>,
    client: KvClient,
    /// It changes nothing.
    only_reads: bool,
    lives: u32,
    /// It asks again at once when it is answered.
    hurries: bool,
    /// It asks nothing new for now.
    is_held: bool,
    /// Lives that ended with a call under way: nobody answers for it any more.
    lost: u32,
    awaited: Option<(u64, CallId, Operation)>,
    /// Calls that it is still to make.
    left: u32,
    /// What it saw of each key last.
    seen: [Value; KEYS],
    random: Random,
    outbox: Vec<(NodeId, Message)>,
}

impl Asker {
    /// An asker that has nothing to do yet.
    pub fn new(id: NodeId, group: Vec<NodeId>, only_reads: bool, mut random: Random) -> Self {
        let client = KvClient::new(random.word(), group.clone());
        let (awaited, outbox) = (None, Vec::new());
        Asker {
            id,
            whose: Whose::Group(GroupId::ROOT),
            group,
            client,
            only_reads,
            hurries: false,
            is_held: false,
            lives: 0,
            lost: 0,
            awaited,
            left: 0,
            seen: [None; KEYS],
            random,
            outbox,
        }
    }

    /// Has so many calls to make from now on.
    pub fn task(&mut self, calls: u32) {
        self.left = calls;
    }

    /// Whether all its calls are answered.
    pub fn is_idle(&self) -> bool {
        self.left == 0 && self.awaited.is_none()
    }

    /// What is on its mind when it gets stuck.
    pub fn waits_for(&self) -> Option<Operation> {
        self.awaited.map(|(_, _, operation)| operation)
    }

    /// Calls that it is still to make.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        self.only_reads
    }

    /// Whether it waits for an answer.
    pub fn is_waiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// Whether it asks nothing new for now.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Something is under way that it would notice if it asks at once, or if it doesn't ask yet.
    pub fn hurry(&mut self, hurries: bool, is_held: bool) {
        (self.hurries, self.is_held) = (hurries, is_held);
    }

    /// Where it waits for nothing: forgets all, and asks this member first.
    pub fn turn_to(&mut self, first: NodeId) {
        if self.awaited.is_none() {
            self.begin_life();
            let mut group = self.group.clone();
            group.sort_by_key(|member| *member != first);
            self.client = KvClient::new(self.random.word(), group);
        }
    }

    /// How long until it looks again.
    pub fn rests(&mut self) -> core::time::Duration {
        if self.hurries {
            return self.random.microseconds(200, 5_000);
        }
        if self.whose != Whose::Group(GroupId::ROOT) && self.random.chance(LONG_REST) {
            return self.random.microseconds(LONG_REST_MS.0 * 1000, LONG_REST_MS.1 * 1000);
        }
        self.random.microseconds(500, 40_000)
    }

    /// What it has to send.
    pub fn take_outbox(&mut self) -> Vec<(NodeId, Message)> {
        core::mem::take(&mut self.outbox)
    }

    /// Asks again what is due, or something new. `next` numbers values.
    pub fn on_alarm(&mut self, now: Moment, history: &mut KvHistory, next: &mut u32) {
        if self.awaited.is_some() && self.lost < LOST_MAX && self.random.chance(400) {
            self.lost += 1;
            self.awaited = None;
            self.begin_life();
        }
        self.resend(now);
        let can_ask = self.awaited.is_none() && self.left > 0 && self.whose != Whose::Nobody && !self.is_held;
        if can_ask && (self.hurries || self.random.coin()) {
            // Of a group that was dropped it asks until it hears so.
            self.left -= u32::from(!matches!(self.whose, Whose::Dropped(_)));
            if !self.only_reads && self.random.chance(2_500) {
                self.begin_life();
            }
            self.ask(now, history, next);
        }
    }

    /// Takes a reply; says what is wrong with it.
    pub fn on_reply(
        &mut self,
        now: Moment,
        from: NodeId,
        reply: KvReply,
        history: &mut KvHistory,
    ) -> Option<String> {
        let request = reply.request.checked_sub(self.offset())?;
        let settled = self.client.on_reply(Timestamp(now.0), from, KvReply { request, body: reply.body });
        self.resend(now);
        let (request, answer) = settled?;
        let (awaited, call, operation) = self.awaited.take()?;
        assert_eq!(awaited, request, "one call at a time");
        if let (Whose::Dropped(group), KvAnswer::Failed(KvError::NoGroup(gone))) = (self.whose, &answer)
            && group == *gone
        {
            self.left = 0;
            return None;
        }
        let Some(answer) = read(operation, &answer) else {
            return Some(format!("{operation:?} was answered {answer:?}"));
        };
        self.see(operation, answer);
        history.end(call, answer);
        None
    }

    /// A new life has forgotten all, and begins with any member: so a leader that took over is found as soon as it
    /// leads, while others still ask the one before it.
    fn begin_life(&mut self) {
        self.lives += 1;
        let mut group = self.group.clone();
        self.random.shuffle(&mut group);
        self.client = KvClient::new(self.random.word(), group);
    }

    /// Added to the numbers of requests: an answer to an earlier life fits none of this one.
    fn offset(&self) -> u64 {
        u64::from(self.lives) << 32
    }

    fn ask(&mut self, now: Moment, history: &mut KvHistory, next: &mut u32) {
        let operation = self.draw(next);
        let now = Timestamp(now.0);
        let (to, request) = match operation {
            Operation::Get(key) => self.client.query(now, KvQuery::Get { key: name(key) }),
            Operation::All => {
                let query =
                    KvQuery::Range { prefix: PREFIX.to_vec(), from: PREFIX.to_vec(), limit: KEYS as u32 };
                self.client.query(now, query)
            }
            Operation::Set(key, value) => {
                self.client.command(now, KvCommand::Sequence(vec![set(key, value)]))
            }
            Operation::SetIf { key, is, target, value } => {
                let assert = KvStep::Assert { key: name(key), value: is.map(encode) };
                self.client.command(now, KvCommand::Sequence(vec![assert, set(target, value)]))
            }
        };
        let client = u64::from(self.id.0) << 32 | u64::from(self.lives);
        self.awaited = Some((request.request, history.begin(client, operation), operation));
        self.send(to, request);
    }

    fn draw(&mut self, next: &mut u32) -> Operation {
        let (key, target) =
            (self.random.below(KEYS as u64) as usize, self.random.below(KEYS as u64) as usize);
        *next += 1;
        let value = (!self.random.chance(1_000)).then_some(*next);
        let weights = if self.only_reads { [6, 2, 0, 0, 0] } else { [6, 2, 4, 4, 2] };
        match self.random.weighted(&weights) {
            0 => Operation::Get(key),
            1 => Operation::All,
            2 => Operation::Set(key, value),
            3 => Operation::SetIf { key, is: self.seen[key], target: key, value },
            _ => Operation::SetIf { key, is: self.seen[key], target, value },
        }
    }

    fn see(&mut self, operation: Operation, answer: Answer) {
        match (operation, answer) {
            (Operation::Get(key), Answer::Value(value)) => self.seen[key] = value,
            (Operation::Set(key, value), _) => self.seen[key] = value,
            (Operation::SetIf { target, value, .. }, Answer::Done) => self.seen[target] = value,
            (_, Answer::All(values)) => self.seen = values,
            _ => {}
        }
    }

    fn resend(&mut self, now: Moment) {
        for (to, request) in self.client.resend_due(Timestamp(now.0)) {
            self.send(to, request);
        }
    }

    fn send(&mut self, to: NodeId, mut request: KvRequest) {
        request.request += self.offset();
        let group = match self.whose {
            Whose::Nobody => GroupId::ROOT,
            Whose::Group(group) | Whose::Dropped(group) => group,
        };
        self.outbox.push((to, Message::to_kv(group, request)));
    }
}

fn name(key: usize) -> Vec<u8> {
    [PREFIX, &[b'0' + key as u8]].concat()
}

fn set(key: usize, value: Value) -> KvStep {
    match value {
        Some(value) => KvStep::Set { key: name(key), value: encode(value) },
        None => KvStep::Delete { key: name(key) },
    }
}

/// The number, and as many bytes as it says.
fn encode(value: u32) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.resize(4 + (u64::from(value) * 7919 % FILLER_MAX) as usize, value as u8);
    bytes
}

fn decode(bytes: &[u8]) -> Option<u32> {
    let value = u32::from_le_bytes(*bytes.first_chunk()?);
    (encode(value) == bytes).then_some(value)
}

/// What an answer says; none where it is none to what was asked.
fn read(operation: Operation, answer: &KvAnswer) -> Option<Answer> {
    match (operation, answer) {
        (Operation::Get(_), KvAnswer::Value(None)) => Some(Answer::Value(None)),
        (Operation::Get(_), KvAnswer::Value(Some(bytes))) => {
            decode(bytes).map(|value| Answer::Value(Some(value)))
        }
        (Operation::All, KvAnswer::Range { pairs, more: false }) => read_all(pairs).map(Answer::All),
        (Operation::Set(..) | Operation::SetIf { .. }, KvAnswer::Done(said)) if said.is_empty() => {
            Some(Answer::Done)
        }
        (Operation::SetIf { key, .. }, KvAnswer::Failed(KvError::Assert { step: 0, key: refused })) => {
            (*refused == name(key)).then_some(Answer::Refused)
        }
        _ => None,
    }
}

fn read_all(pairs: &[(Vec<u8>, Vec<u8>)]) -> Option<[Value; KEYS]> {
    let mut values = [None; KEYS];
    for (key, bytes) in pairs {
        let place = (0..KEYS).find(|place| name(*place) == *key)?;
        values[place] = Some(decode(bytes)?);
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_others_are_told() {
        for value in [0, 1, 77, 4_000_000] {
            assert_eq!(decode(&encode(value)), Some(value));
        }
        assert_eq!(decode(&[1, 0, 0]), None);
        assert_eq!(decode(&[1, 0, 0, 0]), None, "its filler is missing");
        let odd = KvAnswer::Range { pairs: vec![(b"asked/9".to_vec(), encode(1))], more: false };
        assert_eq!(read(Operation::All, &odd), None);
    }
}
