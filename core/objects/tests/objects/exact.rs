//! A put and a get, effect by effect, on the smallest geometry that has everything: k = 2, m = 1, c = 3.

use core::time::Duration;

use bytes::Bytes;
use formats::fragment::{fragment_key, namespace_prefix};
use formats::manifest::{Manifest, Placed};
use formats::message::asd::{AsdAnswer, AsdBody, AsdReply, AsdRequest, AsdUpdate, Purpose};
use formats::message::kv::{FunctionId, KvAnswer, KvBody, KvCommand, KvQuery, KvReply, KvRequest};
use formats::message::object::{ObjectAnswer, ObjectReply, ObjectRequest};
use formats::namespace::{
    NamespaceAnswer, NamespaceAssert, NamespaceCommand, NamespaceDone, NamespaceQuery, NamespaceRecord,
    NamespaceUpdate,
};
use formats::work::{Done, Encode, Work};
use formats::{Effect, Event, Message, Payload, registry};
use glossary::{FragmentId, Generation, NamespaceId, NodeId, Policy};
use objects::{Objects, perform};
use step::{Effects, Machine, TimerId, Timestamp};

use crate::world::{DRIVER, KV, NAMESPACE, NAMESPACES, config, data, get, put, sco};

struct Bench {
    objects: Objects,
    now: Timestamp,
}

impl Bench {
    /// One event and the end of its turn.
    fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Effects::new();
        self.objects.step(self.now, event, &mut effects);
        self.objects.step(self.now, Event::TurnEnd, &mut effects);
        effects.drain().collect()
    }

    fn message(&mut self, from: NodeId, message: Message) -> Vec<Effect> {
        self.step(Event::Message { from, message })
    }

    fn asd_reply(&mut self, asd: &(NodeId, AsdRequest), body: AsdAnswer) -> Vec<Effect> {
        self.message(asd.0, Message::AsdReply(AsdReply { request: asd.1.request, body }))
    }

    fn kv_reply(&mut self, request: u64, body: KvAnswer) -> Vec<Effect> {
        self.message(KV, Message::KvReply(KvReply { request, body }))
    }
}

/// The requests to ASDs among effects that are nothing else but a timer at the end.
fn asd_requests(effects: &[Effect]) -> Vec<(NodeId, AsdRequest)> {
    let request = |effect: &Effect| match effect {
        Effect::Send { to, message: Message::Asd(request) } => Some((*to, request.clone())),
        Effect::SetTimer { .. } => None,
        other => panic!("not a request to an ASD: {other:?}"),
    };
    effects.iter().filter_map(request).collect()
}

/// The only effect, which is a request to the KV.
fn kv_request(effects: &[Effect]) -> KvRequest {
    match effects {
        [Effect::Send { to: KV, message: Message::KvOf(of) }]
        | [Effect::Send { to: KV, message: Message::KvOf(of) }, Effect::SetTimer { .. }] => {
            assert_eq!(of.group, NAMESPACES);
            of.request.clone()
        }
        other => panic!("not one request to the KV: {other:?}"),
    }
}

fn reply(effects: &[Effect]) -> ObjectReply {
    match effects {
        [Effect::Send { to: DRIVER, message: Message::ObjectReply(reply) }] => reply.clone(),
        other => panic!("not one reply: {other:?}"),
    }
}

fn function(query: &NamespaceQuery) -> KvBody {
    KvBody::Query(KvQuery::Function { function: FunctionId::NAMESPACES, query: registry::encode(query) })
}

#[test]
fn a_put_and_a_get() {
    let config = config(3);
    let osds = config.osds.clone();
    let mut bench = Bench { objects: Objects::new(config), now: Timestamp(5_000_000_000) };

    // It starts by asking the OSDs whether they are there.
    let effects = bench.step(Event::Start { seed: [7; 32] });
    let probes = asd_requests(&effects);
    let prefix = namespace_prefix(NamespaceId(0));
    for ((node, probe), osd) in probes.iter().zip(&osds) {
        let body = AsdBody::List { prefix: prefix.clone(), from: prefix.clone(), limit: 1 };
        assert_eq!((*node, probe.osd, &probe.body), (osd.node, osd.identity, &body));
    }
    let timer = Effect::SetTimer { timer: TimerId(0), after: Duration::from_millis(500) };
    assert_eq!((effects.len(), &effects[3]), (4, &timer), "they get half a second to answer");
    for probe in &probes {
        let nothing = AsdAnswer::Keys { keys: Vec::new(), more: false };
        assert_eq!(bench.asd_reply(probe, nothing), []);
    }

    let encode = put_until_encoded(&mut bench);
    let requests =
        put_until_stored(&mut bench, &encode, &osds.iter().map(|osd| osd.node).collect::<Vec<_>>());
    let manifest = put_until_published(&mut bench, &encode, &requests, &osds);

    get_one_cluster(&mut bench, &encode, &manifest, &osds);
}

/// The policies are asked for, and the chunk is sent to be encoded.
fn put_until_encoded(bench: &mut Bench) -> Encode {
    let message =
        Message::Object(ObjectRequest { request: 40, namespace: NAMESPACE, body: put(sco(1), &data(2, 0)) });
    let asked = kv_request(&bench.message(DRIVER, message.clone()));
    assert_eq!(asked.body, function(&NamespaceQuery::Record { namespace: NAMESPACE }));
    assert_eq!(bench.message(DRIVER, message), [], "the same again changes nothing");
    let policies = vec![Policy { k: 2, m: 1, c: 3, x: 1 }];
    let (generation, head) = (Generation(1), None);
    let record = NamespaceRecord { generation, policies, head, gc_epoch: 1, dropped: false };
    let answer = KvAnswer::Done(registry::encode(&NamespaceAnswer::Record(Some(record))));
    let effects = bench.kv_reply(asked.request, answer);
    let [Effect::Work { work: Work::Encode(encode), .. }] = &effects[..] else {
        panic!("not encoded: {effects:?}")
    };
    let expected = Encode {
        k: 2,
        m: 1,
        object: encode.object,
        chunk: 0,
        attempts: encode.attempts.clone(),
        block_clusters: 2,
        fragment_clusters: 1,
        data: Payload::entering(data(2, 0)),
    };
    assert_eq!(*encode, expected);
    assert_eq!(encode.attempts.len(), 3);
    encode.clone()
}

/// Every fragment goes to another OSD, under its own key.
fn put_until_stored(bench: &mut Bench, encode: &Encode, nodes: &[NodeId]) -> Vec<(NodeId, AsdRequest)> {
    let result = perform(Work::Encode(encode.clone()));
    let Done::Encoded(containers) = result.clone() else { panic!("not encoded") };
    let effects = bench.step(Event::Worked { job: step::JobId(1), result });
    let requests = asd_requests(&effects);
    let mut used: Vec<NodeId> = requests.iter().map(|(node, _)| *node).collect();
    for (index, ((_, request), container)) in (0..).zip(requests.iter().zip(containers)) {
        let attempt = encode.attempts[usize::from(index)];
        let id = FragmentId { object: encode.object, chunk: 0, index, attempt };
        let container: Bytes = container.contiguous();
        let AsdBody::Apply { purpose: Purpose::Guest, asserts, updates, payload } = &request.body else {
            panic!("not stored: {request:?}")
        };
        assert!(asserts.is_empty() && payload.verify());
        let put = AsdUpdate::Put { key: fragment_key(NAMESPACE, &id), length: container.len() as u32 };
        assert_eq!((updates, payload.contiguous()), (&vec![put], container));
    }
    used.sort();
    assert_eq!(used, nodes);
    requests
}

/// At the last confirmation, and not before, one sequence makes the object visible.
fn put_until_published(
    bench: &mut Bench,
    encode: &Encode,
    requests: &[(NodeId, AsdRequest)],
    osds: &[objects::OsdConfig],
) -> Manifest {
    let stranger = (KV, requests[1].1.clone());
    assert_eq!(bench.asd_reply(&stranger, AsdAnswer::Applied), [], "only the ASD itself says so");
    assert_eq!(bench.asd_reply(&requests[2], AsdAnswer::Applied), []);
    assert_eq!(bench.asd_reply(&requests[2], AsdAnswer::Applied), [], "doubled");
    assert_eq!(bench.asd_reply(&requests[0], AsdAnswer::Applied), []);
    let effects = bench.asd_reply(&requests[1], AsdAnswer::Applied);
    // The slack's timer is set, though nothing is left to be waited for.
    let asked = kv_request(&effects);
    let osd_of = |node: NodeId| osds.iter().find(|osd| osd.node == node).expect("one of them").osd;
    let placed = requests.iter().zip(&encode.attempts);
    let placed = placed.map(|((node, _), attempt)| Some(Placed { osd: osd_of(*node), attempt: *attempt }));
    let manifest = Manifest {
        object: encode.object,
        revision: 1,
        policy: Policy { k: 2, m: 1, c: 3, x: 1 },
        size: 8192,
        checksum: checksum::crc32c(&data(2, 0)),
        block_clusters: 2,
        fragment_clusters: 1,
        gc_epoch: 1,
        chunks: vec![placed.collect()],
    };
    let sequence = NamespaceCommand::Sequence {
        namespace: NAMESPACE,
        generation: Some(Generation(1)),
        asserts: vec![NamespaceAssert::Absent(sco(1)), NamespaceAssert::Epoch(1)],
        updates: vec![NamespaceUpdate::Put { name: sco(1), manifest: manifest.clone() }],
    };
    let KvBody::Command { sequence: 1, answered_below: 1, command, .. } = asked.body else {
        panic!("not the first command: {asked:?}")
    };
    let function = FunctionId::NAMESPACES;
    assert_eq!(command, KvCommand::Function { function, command: registry::encode(&sequence) });

    let done = KvAnswer::Done(registry::encode(&NamespaceDone::Done { deleted: Vec::new() }));
    let effects = bench.kv_reply(asked.request, done.clone());
    let body = ObjectAnswer::Stored { object: encode.object, spare: 1 };
    assert_eq!(reply(&effects), ObjectReply { request: 40, body });
    assert_eq!(bench.kv_reply(asked.request, done), [], "doubled");
    manifest
}

/// The manifest is known: one request for one block, and the answer is a part of what came.
fn get_one_cluster(bench: &mut Bench, encode: &Encode, manifest: &Manifest, osds: &[objects::OsdConfig]) {
    let body = get(sco(1), 1, 1);
    let message = Message::Object(ObjectRequest { request: 41, namespace: NAMESPACE, body });
    let requests = asd_requests(&bench.message(DRIVER, message));
    let placed = manifest.chunks[0][1].expect("it is stored");
    let id = FragmentId { object: encode.object, chunk: 0, index: 1, attempt: placed.attempt };
    let body = AsdBody::ReadBlocks { key: fragment_key(NAMESPACE, &id), first: 0, count: 1 };
    let [(node, request)] = &requests[..] else { panic!("not one request: {requests:?}") };
    let osd = osds.iter().find(|osd| osd.osd == placed.osd).expect("one of them");
    assert_eq!((*node, request.osd, &request.body), (osd.node, osd.identity, &body));

    let Done::Encoded(containers) = perform(Work::Encode(encode.clone())) else { panic!("not encoded") };
    let container: Bytes = containers[1].contiguous();
    let stored = container.slice(96..);
    let blocks =
        AsdAnswer::Blocks { table: container[80..96].to_vec(), payload: Payload::entering(stored.clone()) };
    let effects = bench.asd_reply(&requests[0], blocks);
    let ObjectReply { request: 41, body: ObjectAnswer::Data(payload) } = reply(&effects) else {
        panic!("not data: {effects:?}")
    };
    assert_eq!(payload, Payload::entering(data(2, 0).slice(4096..)));
    assert_eq!(payload.pieces()[0].as_ptr(), stored.as_ptr(), "nothing was copied");
}

#[test]
fn before_its_start_it_does_nothing() {
    let mut bench = Bench { objects: Objects::new(config(3)), now: Timestamp(0) };
    let body = get(sco(1), 0, 1);
    let message = Message::Object(ObjectRequest { request: 1, namespace: NAMESPACE, body });
    assert_eq!(bench.message(DRIVER, message), []);
}

#[test]
fn answers_to_an_earlier_life_are_not_taken() {
    let mut bench = Bench { objects: Objects::new(config(3)), now: Timestamp(0) };
    let ask = |request, number| {
        let body = put(sco(number), &data(1, number));
        Message::Object(ObjectRequest { request, namespace: NAMESPACE, body })
    };
    bench.step(Event::Start { seed: [1; 32] });
    let before = kv_request(&bench.message(DRIVER, ask(1, 1)));
    let effects = bench.step(Event::Start { seed: [2; 32] });
    let probe = asd_requests(&effects).remove(0);
    let after = kv_request(&bench.message(DRIVER, ask(2, 2)));
    assert_eq!(before.body, after.body);
    let none = KvAnswer::Done(registry::encode(&NamespaceAnswer::Record(None)));
    assert_eq!(bench.kv_reply(before.request, none.clone()), []);
    let keys = AsdAnswer::Keys { keys: Vec::new(), more: false };
    bench.asd_reply(&probe, keys);
    let body = ObjectAnswer::Failed(formats::message::object::ObjectError::NotFound);
    assert_eq!(reply(&bench.kv_reply(after.request, none)), ObjectReply { request: 2, body });
}
