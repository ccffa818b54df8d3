//! The namespace manager: every verb and refusal, races, golden values, and properties against a plain model.

use formats::manifest::{Manifest, Placed};
use formats::namespace::{
    ChainHead, NamespaceAnswer, NamespaceAssert, NamespaceCommand, NamespaceDone, NamespaceError,
    NamespaceQuery, NamespaceRecord, NamespaceUpdate, ObjectName,
};
use formats::registry::{decode, encode};
use glossary::{AttemptId, Generation, NamespaceId, ObjectId, OsdId, Policy, ScoId, TlogId};
use namespaces::Namespaces;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use step::{Function, OrderedMap};

const SPACE: NamespaceId = NamespaceId(5);
const OTHER: NamespaceId = NamespaceId(6);
const OWNER: Generation = Generation(3);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Map(BTreeMap<Vec<u8>, Vec<u8>>);

impl OrderedMap for Map {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    fn first(&self, from: Bound<&[u8]>) -> Option<(&[u8], &[u8])> {
        let mut range = self.0.range::<[u8], _>((from, Bound::Unbounded));
        range.next().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    fn set(&mut self, key: &[u8], value: Vec<u8>) {
        self.0.insert(key.to_vec(), value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}

type Settled = Result<Vec<Manifest>, NamespaceError>;

impl Map {
    /// A namespace with an owner, and another one.
    fn new() -> Self {
        let mut map = Map::default();
        for namespace in [SPACE, OTHER] {
            let command = NamespaceCommand::Create { namespace, policies: vec![policy()] };
            assert_eq!(map.run(&command), Ok(vec![]));
            assert_eq!(map.run(&NamespaceCommand::Raise { namespace, generation: OWNER }), Ok(vec![]));
        }
        map
    }

    /// Runs a command. A refused one must not have changed anything, even for a moment.
    fn run(&mut self, command: &NamespaceCommand) -> Settled {
        let before = self.clone();
        match Namespaces.apply(self, &encode(command)) {
            Ok(bytes) => {
                let NamespaceDone::Done { deleted } = decode(&bytes).expect("an answer");
                Ok(deleted)
            }
            Err(bytes) => {
                assert_eq!(*self, before, "{command:?}");
                Err(decode(&bytes).expect("an error"))
            }
        }
    }

    fn sequence(&mut self, asserts: Vec<NamespaceAssert>, updates: Vec<NamespaceUpdate>) -> Settled {
        self.run(&sequence(Some(OWNER), asserts, updates))
    }

    fn put(&mut self, name: ObjectName, manifest: &Manifest) -> Settled {
        self.sequence(vec![], vec![NamespaceUpdate::Put { name, manifest: manifest.clone() }])
    }

    fn ask(&self, query: &NamespaceQuery) -> NamespaceAnswer {
        decode(&Namespaces.query(self, &encode(query))).expect("an answer")
    }

    fn record(&self) -> Option<NamespaceRecord> {
        match self.ask(&NamespaceQuery::Record { namespace: SPACE }) {
            NamespaceAnswer::Record(record) => record,
            other => panic!("{other:?}"),
        }
    }

    fn manifest(&self, name: ObjectName) -> Option<Manifest> {
        match self.ask(&NamespaceQuery::Manifest { namespace: SPACE, name }) {
            NamespaceAnswer::Manifest(manifest) => manifest,
            other => panic!("{other:?}"),
        }
    }

    fn list(&self, after: Option<ObjectName>, limit: u32) -> (Vec<ObjectName>, bool) {
        match self.ask(&NamespaceQuery::List { namespace: SPACE, after, limit }) {
            NamespaceAnswer::List { objects, more } => {
                (objects.iter().map(|(name, ..)| *name).collect(), more)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn policy() -> Policy {
    Policy { k: 1, m: 1, c: 1, x: 1 }
}

fn sco(number: u64) -> ObjectName {
    ObjectName::Sco(ScoId(number))
}

fn tlog(sequence: u32) -> ObjectName {
    ObjectName::Tlog(TlogId { generation: OWNER, sequence })
}

fn head(sequence: u32) -> ChainHead {
    ChainHead { tlog: TlogId { generation: OWNER, sequence }, checksum: sequence * 7 }
}

fn manifest(object: u8, revision: u64) -> Manifest {
    let placed = Placed { osd: OsdId(1), attempt: AttemptId(9) };
    Manifest {
        object: ObjectId([object; 32]),
        revision,
        policy: policy(),
        size: 4096,
        checksum: 77,
        block_clusters: 4,
        fragment_clusters: 1,
        gc_epoch: 1,
        chunks: vec![vec![Some(placed), None]],
    }
}

fn put(name: ObjectName, manifest: Manifest) -> NamespaceUpdate {
    NamespaceUpdate::Put { name, manifest }
}

fn sequence(
    generation: Option<Generation>,
    asserts: Vec<NamespaceAssert>,
    updates: Vec<NamespaceUpdate>,
) -> NamespaceCommand {
    NamespaceCommand::Sequence { namespace: SPACE, generation, asserts, updates }
}

fn revision(name: ObjectName, object: u8, revision: u64) -> NamespaceAssert {
    NamespaceAssert::Revision { name, object: ObjectId([object; 32]), revision }
}

#[test]
fn golden_values_of_version_1() {
    let mut map = Map::new();
    assert_eq!(map.0[&b"n/\0\0\0\0\0\0\0\x05"[..]], b"\x01\x03\x01\x01\x01\x01\x01\x00\x01\x00");
    map.put(sco(5), &manifest(0xab, 1)).expect("put");
    let mut expected = vec![1];
    expected.extend([0xab; 32]);
    expected.extend(b"\x01\x01\x01\x01\x01\x80\x20\x4d\x04\x01\x01\x01\x02\x01\x01\x09\x00");
    assert_eq!(map.0[&b"o/\0\0\0\0\0\0\0\x05/s\0\0\0\0\0\0\0\x05"[..]], expected);
    let command =
        sequence(Some(OWNER), vec![NamespaceAssert::Head(None)], vec![NamespaceUpdate::Delete(tlog(2))]);
    assert_eq!(encode(&command), b"\x01\x02\x05\x01\x03\x01\x03\x00\x01\x01\x01\x03\x02");
    assert_eq!(encode(&NamespaceError::Fenced { generation: OWNER }), b"\x01\x02\x03");
    let query = NamespaceQuery::List { namespace: SPACE, after: Some(sco(300)), limit: 7 };
    assert_eq!(encode(&query), b"\x01\x02\x05\x01\x00\xac\x02\x07");
}

#[test]
fn a_namespace_is_created_once_and_never_again_after_it_was_dropped() {
    let mut map = Map::new();
    let create = |policies| NamespaceCommand::Create { namespace: SPACE, policies };
    let before = map.clone();
    assert_eq!(map.run(&create(vec![policy()])), Ok(vec![]));
    assert_eq!(map, before);
    assert_eq!(map.run(&create(vec![policy(), policy()])), Err(NamespaceError::Exists));
    assert_eq!(map.run(&create(vec![])), Err(NamespaceError::Malformed));
    let impossible = Policy { k: 0, m: 1, c: 1, x: 1 };
    assert_eq!(map.run(&create(vec![impossible])), Err(NamespaceError::Malformed));
    assert_eq!(map.run(&create(vec![policy(); 33])), Err(NamespaceError::Malformed));
    let drop = NamespaceCommand::Drop { namespace: SPACE, generation: OWNER };
    assert_eq!(map.run(&drop), Ok(vec![]));
    assert_eq!(map.run(&create(vec![policy()])), Err(NamespaceError::NoNamespace));
}

#[test]
fn a_raise_fences_whoever_had_a_lower_generation() {
    let mut map = Map::new();
    let raise = |generation| NamespaceCommand::Raise { namespace: SPACE, generation: Generation(generation) };
    let fenced = Err(NamespaceError::Fenced { generation: OWNER });
    assert_eq!(map.run(&raise(2)), fenced);
    assert_eq!(map.run(&raise(3)), Ok(vec![]), "its answer may have been lost");
    let update = vec![put(sco(1), manifest(1, 1))];
    assert_eq!(map.run(&sequence(Some(Generation(2)), vec![], update.clone())), fenced);
    assert_eq!(map.run(&sequence(Some(Generation(4)), vec![], update.clone())), fenced, "not raised yet");
    assert_eq!(map.run(&raise(4)), Ok(vec![]));
    let fenced = Err(NamespaceError::Fenced { generation: Generation(4) });
    assert_eq!(map.run(&sequence(Some(OWNER), vec![], update.clone())), fenced);
    assert_eq!(map.run(&NamespaceCommand::Drop { namespace: SPACE, generation: OWNER }), fenced);
    assert_eq!(map.run(&sequence(Some(Generation(4)), vec![], update)), Ok(vec![]));
}

#[test]
fn every_kind_of_assert_refuses_and_changes_nothing() {
    let mut map = Map::new();
    map.put(sco(1), &manifest(1, 1)).expect("put");
    for wrong in [
        NamespaceAssert::Present(sco(2)),
        NamespaceAssert::Absent(sco(1)),
        revision(sco(1), 2, 1),
        revision(sco(1), 1, 2),
        revision(sco(2), 1, 1),
        NamespaceAssert::Head(Some(head(1))),
        NamespaceAssert::Epoch(2),
    ] {
        let asserts = vec![NamespaceAssert::Epoch(1), NamespaceAssert::Head(None), wrong];
        let updates = vec![NamespaceUpdate::Delete(sco(1)), put(sco(2), manifest(2, 1))];
        assert_eq!(map.sequence(asserts, updates), Err(NamespaceError::Assert { index: 2 }), "{wrong:?}");
    }
    let right = vec![
        NamespaceAssert::Present(sco(1)),
        NamespaceAssert::Absent(sco(2)),
        revision(sco(1), 1, 1),
        NamespaceAssert::Head(None),
        NamespaceAssert::Epoch(1),
    ];
    assert_eq!(map.sequence(right, vec![NamespaceUpdate::Delete(sco(1))]), Ok(vec![manifest(1, 1)]));
}

#[test]
fn an_epoch_that_ended_publishes_nothing_more() {
    let mut map = Map::new();
    let end = |epoch| NamespaceCommand::EndEpoch { namespace: SPACE, epoch };
    let publish = |map: &mut Map, number, epoch| {
        let asserts = vec![NamespaceAssert::Absent(sco(number)), NamespaceAssert::Epoch(epoch)];
        map.sequence(asserts, vec![put(sco(number), manifest(number as u8, 1))])
    };
    assert_eq!(publish(&mut map, 1, 1), Ok(vec![]));
    assert_eq!(map.run(&end(1)), Ok(vec![]));
    assert_eq!(map.run(&end(1)), Ok(vec![]), "asked again it changes nothing");
    assert_eq!(publish(&mut map, 2, 1), Err(NamespaceError::Assert { index: 1 }));
    assert_eq!(publish(&mut map, 2, 2), Ok(vec![]));
    assert_eq!(map.run(&end(3)), Err(NamespaceError::Malformed), "it has not begun");
    assert_eq!(map.run(&end(u64::MAX)), Err(NamespaceError::Malformed));
    assert_eq!(map.run(&NamespaceCommand::Drop { namespace: SPACE, generation: OWNER }), Ok(vec![]));
    assert_eq!(map.run(&end(2)), Err(NamespaceError::NoNamespace));
}

#[test]
fn of_two_who_want_the_same_one_wins() {
    let mut map = Map::new();
    let upload = |object| {
        sequence(Some(OWNER), vec![NamespaceAssert::Absent(sco(1))], vec![put(sco(1), manifest(object, 1))])
    };
    assert_eq!(map.run(&upload(1)), Ok(vec![]));
    assert_eq!(map.run(&upload(2)), Err(NamespaceError::Assert { index: 0 }));
    assert_eq!(map.manifest(sco(1)), Some(manifest(1, 1)));
    let publish = |sequence_number, from| {
        let updates =
            vec![put(tlog(sequence_number), manifest(9, 1)), NamespaceUpdate::Head(head(sequence_number))];
        sequence(Some(OWNER), vec![NamespaceAssert::Head(from)], updates)
    };
    assert_eq!(map.run(&publish(1, None)), Ok(vec![]));
    assert_eq!(map.run(&publish(2, None)), Err(NamespaceError::Assert { index: 0 }));
    assert_eq!(map.run(&publish(2, Some(head(1)))), Ok(vec![]));
    assert_eq!(map.record().expect("there").head, Some(head(2)));
    let join = |second| {
        let mut joined = manifest(1, 2);
        joined.chunks[0][1] = Some(Placed { osd: OsdId(second), attempt: AttemptId(1) });
        sequence(None, vec![revision(sco(1), 1, 1)], vec![put(sco(1), joined)])
    };
    assert_eq!(map.run(&join(2)), Ok(vec![]));
    assert_eq!(map.run(&join(3)), Err(NamespaceError::Assert { index: 0 }));
}

#[test]
fn what_breaks_a_rule_is_refused_though_its_asserts_hold() {
    let mut map = Map::new();
    map.put(sco(1), &manifest(1, 5)).expect("put");
    let known = || vec![revision(sco(1), 1, 5)];
    let other_size = Manifest { size: 8192, ..manifest(1, 6) };
    let no_chunks = Manifest { chunks: vec![], ..manifest(2, 1) };
    let short_chunk = Manifest { chunks: vec![vec![None]], ..manifest(2, 1) };
    let impossible = Manifest { policy: Policy { k: 0, m: 2, c: 1, x: 1 }, ..manifest(2, 1) };
    let none = || vec![NamespaceAssert::Head(None)];
    for (asserts, updates) in [
        (vec![], vec![put(sco(1), manifest(1, 6))]),
        (known(), vec![put(sco(1), manifest(1, 5))]),
        (known(), vec![put(sco(1), other_size)]),
        (vec![], vec![put(sco(0), manifest(2, 1))]),
        (vec![], vec![put(sco(1 << 48), manifest(2, 1))]),
        (vec![], vec![put(sco(2), no_chunks)]),
        (vec![], vec![put(sco(2), short_chunk)]),
        (vec![], vec![put(sco(2), impossible)]),
        (vec![], vec![put(sco(2), manifest(2, 1)), NamespaceUpdate::Delete(sco(2))]),
        (none(), vec![NamespaceUpdate::Head(head(1))]),
        (vec![], vec![put(tlog(1), manifest(2, 1)), NamespaceUpdate::Head(head(1))]),
        (none(), vec![put(tlog(2), manifest(2, 1)), NamespaceUpdate::Head(head(1))]),
        (
            none(),
            vec![
                put(tlog(1), manifest(2, 1)),
                NamespaceUpdate::Head(head(1)),
                NamespaceUpdate::Head(head(1)),
            ],
        ),
    ] {
        assert_eq!(map.sequence(asserts, updates.clone()), Err(NamespaceError::Malformed), "{updates:?}");
    }
    assert_eq!(map.sequence(known(), vec![put(sco(1), manifest(2, 1))]), Ok(vec![]), "a rewrite");
}

#[test]
fn who_is_not_the_owner_changes_nothing_that_is_read() {
    let mut map = Map::new();
    map.put(sco(1), &manifest(1, 1)).expect("put");
    map.put(tlog(1), &manifest(3, 1)).expect("put");
    let known = || vec![revision(sco(1), 1, 1), NamespaceAssert::Head(None)];
    for update in [
        NamespaceUpdate::Delete(sco(1)),
        NamespaceUpdate::Head(head(1)),
        put(sco(2), manifest(2, 1)),
        put(sco(1), manifest(2, 2)),
        put(sco(1), Manifest { checksum: 1, ..manifest(1, 2) }),
    ] {
        let refused = map.run(&sequence(None, known(), vec![update.clone()]));
        assert_eq!(refused, Err(NamespaceError::Malformed), "{update:?}");
    }
    assert_eq!(map.run(&sequence(None, known(), vec![put(sco(1), manifest(1, 2))])), Ok(vec![]));
}

#[test]
fn a_dropped_namespace_is_empty_until_it_is_forgotten() {
    let mut map = Map::new();
    for number in [1, 2, 1 << 47] {
        map.put(sco(number), &manifest(number as u8, 1)).expect("put");
    }
    map.put(tlog(1), &manifest(9, 1)).expect("put");
    let other = NamespaceCommand::Sequence {
        namespace: OTHER,
        generation: Some(OWNER),
        asserts: vec![],
        updates: vec![put(sco(1), manifest(1, 1))],
    };
    map.run(&other).expect("put");
    let forget = NamespaceCommand::Forget { namespace: SPACE };
    assert_eq!(map.run(&forget), Err(NamespaceError::Exists));
    let drop = NamespaceCommand::Drop { namespace: SPACE, generation: Generation(4) };
    assert_eq!(map.run(&drop), Ok(vec![]));
    assert_eq!(map.run(&drop), Ok(vec![]), "its answer may have been lost");
    assert_eq!(map.list(None, 9), (vec![], false));
    assert_eq!(map.0.len(), 3, "its record, and the other with its object");
    assert!(map.record().is_some_and(|record| record.dropped && record.head.is_none()));
    assert_eq!(map.sequence(vec![], vec![]), Err(NamespaceError::NoNamespace));
    let raise = NamespaceCommand::Raise { namespace: SPACE, generation: Generation(9) };
    assert_eq!(map.run(&raise), Err(NamespaceError::NoNamespace));
    assert_eq!(map.run(&forget), Ok(vec![]));
    assert_eq!(map.run(&forget), Err(NamespaceError::NoNamespace));
    assert_eq!(map.record(), None);
}

#[test]
fn listings_come_in_order_and_in_pages() {
    let mut map = Map::new();
    let names = [sco(2), sco(255), sco(256), tlog(1), tlog(2), tlog(256)];
    for name in names.iter().rev() {
        map.put(*name, &manifest(1, 1)).expect("put");
    }
    assert_eq!(map.list(None, 100), (names.to_vec(), false));
    assert_eq!(map.list(None, 4), (names[..4].to_vec(), true));
    assert_eq!(map.list(Some(sco(256)), 3), (names[3..].to_vec(), false));
    assert_eq!(map.list(Some(sco(3)), 1), (vec![sco(255)], true));
    assert_eq!(map.list(None, 0), (vec![], true));
    for number in 0..1100 {
        map.put(sco(1000 + number), &manifest(1, 1)).expect("put");
    }
    let (page, more) = map.list(None, u32::MAX);
    assert_eq!((page.len(), more), (namespaces::MAX_LIST, true));
}

#[test]
fn what_does_not_decode_is_told_so() {
    let mut map = Map::new();
    for bytes in [&b""[..], b"\x02\x04\x05", b"\x01\x63", b"\x01\x04\x05\x00"] {
        let refused = Namespaces.apply(&mut map, bytes).expect_err("refused");
        assert_eq!(decode(&refused), Some(NamespaceError::Malformed));
    }
    assert_eq!(decode(&Namespaces.query(&map, b"\x01\x63")), Some(NamespaceAnswer::Malformed));
}

/// What a namespace holds, told plainly.
#[derive(Default)]
struct Model {
    objects: BTreeMap<ObjectName, Manifest>,
    head: Option<ChainHead>,
}

/// A change that obeys all rules in some states and none in others.
#[derive(Clone, Debug)]
enum Change {
    Upload { name: ObjectName, object: u8 },
    Join { name: ObjectName, object: u8, revision: u64 },
    Publish { sequence: u32, from: Option<u32>, needs: u64 },
    Delete { names: Vec<ObjectName> },
}

fn changes() -> impl Strategy<Value = Change> {
    let name = || prop_oneof![(1_u64..6).prop_map(sco), (1_u32..4).prop_map(tlog)];
    prop_oneof![
        (name(), any::<u8>()).prop_map(|(name, object)| Change::Upload { name, object }),
        (name(), 0_u8..4, 1_u64..4).prop_map(|(name, object, revision)| Change::Join {
            name,
            object,
            revision
        }),
        (1_u32..4, proptest::option::of(1_u32..4), 1_u64..6)
            .prop_map(|(sequence, from, needs)| Change::Publish { sequence, from, needs }),
        proptest::collection::btree_set(name(), 0..3)
            .prop_map(|names| Change::Delete { names: names.into_iter().collect() }),
    ]
}

impl Model {
    fn apply(&mut self, change: &Change) -> Option<Vec<Manifest>> {
        match change {
            Change::Upload { name, object } => {
                let free = !self.objects.contains_key(name);
                free.then(|| self.objects.insert(*name, manifest(object % 4, 1)))?;
            }
            Change::Join { name, object, revision } => {
                let found = self.objects.get_mut(name)?;
                let known = found.object == ObjectId([*object; 32]) && found.revision == *revision;
                known.then(|| found.revision += 1)?;
            }
            Change::Publish { sequence, from, needs } => {
                let (name, from) = (tlog(*sequence), from.map(head));
                let holds = self.head == from
                    && self.objects.contains_key(&sco(*needs))
                    && !self.objects.contains_key(&name);
                holds.then(|| self.objects.insert(name, manifest(9, 1)))?;
                self.head = Some(head(*sequence));
            }
            Change::Delete { names } => {
                return Some(names.iter().filter_map(|name| self.objects.remove(name)).collect());
            }
        }
        Some(Vec::new())
    }
}

fn command(change: &Change) -> NamespaceCommand {
    match change {
        Change::Upload { name, object } => {
            let updates = vec![put(*name, manifest(object % 4, 1))];
            sequence(Some(OWNER), vec![NamespaceAssert::Absent(*name)], updates)
        }
        Change::Join { name, object, revision: known } => {
            let updates = vec![put(*name, manifest(*object, known + 1))];
            sequence(None, vec![revision(*name, *object, *known)], updates)
        }
        Change::Publish { sequence: number, from, needs } => {
            let asserts = vec![
                NamespaceAssert::Head(from.map(head)),
                NamespaceAssert::Present(sco(*needs)),
                NamespaceAssert::Absent(tlog(*number)),
            ];
            let updates = vec![put(tlog(*number), manifest(9, 1)), NamespaceUpdate::Head(head(*number))];
            sequence(Some(OWNER), asserts, updates)
        }
        Change::Delete { names } => {
            sequence(Some(OWNER), vec![], names.iter().map(|name| NamespaceUpdate::Delete(*name)).collect())
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(changes in proptest::collection::vec(changes(), 0..60)) {
        let (mut map, mut model) = (Map::new(), Model::default());
        for change in changes {
            let settled = map.run(&command(&change));
            let expected = model.apply(&change);
            prop_assert_eq!(settled.clone().ok(), expected, "{:?}", change);
            prop_assert!(matches!(settled, Ok(_) | Err(NamespaceError::Assert { .. })), "{:?}", settled);
        }
        prop_assert_eq!(map.record().and_then(|record| record.head), model.head);
        let names: Vec<_> = model.objects.keys().copied().collect();
        prop_assert_eq!(map.list(None, 100), (names, false));
        for (name, manifest) in model.objects {
            prop_assert_eq!(map.manifest(name), Some(manifest));
        }
    }

    #[test]
    fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut map = Map::new();
        let bytes = [&[1][..], &bytes].concat();
        let _ = Namespaces.apply(&mut map, &bytes);
        let answer = Namespaces.query(&map, &bytes);
        prop_assert!(decode::<NamespaceAnswer>(&answer).is_some());
    }
}
