//! Every kind of answer, and the bounds.

use bytes::Bytes;
use formats::Payload;
use formats::message::asd::{
    AsdAnswer, AsdAssert, AsdBody, AsdError, AsdReply, AsdRequest, AsdUpdate, Purpose,
};
use formats::{Effect, Event, Message};
use glossary::OsdIdentity;

use crate::world::{ASKER, IDENTITY, World, apply, config, value_of};

fn failed(error: AsdError) -> AsdAnswer {
    AsdAnswer::Failed(error)
}

#[test]
fn a_request_for_another_asd_is_refused_and_tells_who_this_is() {
    let mut world = World::serving(config());
    let body = AsdBody::Get { key: b"a".to_vec() };
    let message = Message::Asd(AsdRequest { request: 5, osd: OsdIdentity([8; 16]), body });
    let effects = world.event(Event::Message { from: ASKER, message });
    let reply = AsdReply { request: 5, body: failed(AsdError::WrongOsd(IDENTITY)) };
    assert_eq!(effects, [Effect::Send { to: ASKER, message: Message::AsdReply(reply) }]);
}

#[test]
fn while_it_starts_it_says_so() {
    let mut world = World::new(config());
    world.turn(Event::Start { seed: [0; 32] });
    let request = world.send(AsdBody::Get { key: b"a".to_vec() });
    assert_eq!(world.take_answer(request), Some(failed(AsdError::Unavailable)));
    assert_eq!(world.trouble().as_deref(), Some("starting: it reads its log"));
    world.settle();
    assert_eq!(world.trouble(), None);
}

#[test]
fn the_same_put_and_delete_may_come_twice_and_another_content_may_not() {
    let mut world = World::serving(config());
    for _ in 0..2 {
        assert_eq!(world.put(b"a", b"one"), AsdAnswer::Applied);
    }
    assert_eq!(world.counter("syncs"), 2, "the second put needed no write");
    assert_eq!(world.put(b"a", b"two"), failed(AsdError::Invalid));
    assert_eq!(value_of(&world.get(b"a")).as_deref(), Some(&b"one"[..]));
    for _ in 0..2 {
        assert_eq!(world.delete(b"a"), AsdAnswer::Applied);
    }
    assert_eq!(world.get(b"a"), failed(AsdError::NotFound));
    assert_eq!(world.put(b"a", b"two"), AsdAnswer::Applied);
}

#[test]
fn an_apply_is_decided_against_what_came_before_and_changes_all_or_nothing() {
    let mut world = World::serving(config());
    let absent = |key: &[u8]| AsdAssert::Absent(key.to_vec());
    let present = |key: &[u8]| AsdAssert::Present(key.to_vec());
    // All three wait for one batch; each sees what the one before will lead to.
    let first = world.send(apply(Purpose::Guest, &[absent(b"a")], &[(b"a", Some(b"1")), (b"b", Some(b"2"))]));
    let second = world.send(apply(Purpose::Guest, &[present(b"a"), absent(b"b")], &[(b"c", Some(b"3"))]));
    let third = world.send(apply(Purpose::Guest, &[], &[(b"d", Some(b"4")), (b"a", Some(b"other"))]));
    let fourth = world.send(apply(Purpose::Guest, &[present(b"b")], &[(b"b", None), (b"b", Some(b"5"))]));
    world.event(Event::TurnEnd);
    assert!(world.answers.is_empty(), "a refusal that rests on what isn't durable waits too");
    world.settle();
    assert_eq!(world.take_answer(first), Some(AsdAnswer::Applied));
    assert_eq!(world.take_answer(second), Some(failed(AsdError::Assert(b"b".to_vec()))));
    assert_eq!(world.take_answer(third), Some(failed(AsdError::Invalid)));
    assert_eq!(world.take_answer(fourth), Some(AsdAnswer::Applied));
    assert_eq!(world.keys(), [b"a", b"b"]);
    world.restart();
    assert_eq!(value_of(&world.get(b"b")).as_deref(), Some(&b"5"[..]));
}

#[test]
fn nothing_is_shown_before_it_is_durable() {
    let mut world = World::serving(config());
    world.settle();
    world.send(apply(Purpose::Guest, &[], &[(b"a", Some(b"1"))]));
    world.event(Event::TurnEnd);
    for _ in 0..2 {
        let request = world.send(AsdBody::Get { key: b"a".to_vec() });
        assert_eq!(world.take_answer(request), Some(failed(AsdError::NotFound)));
        world.complete(0);
    }
    assert_eq!(value_of(&world.get(b"a")).as_deref(), Some(&b"1"[..]));
}

#[test]
fn keys_and_lengths_that_cannot_be_are_refused() {
    let mut world = World::serving(config());
    let long = vec![1; 256];
    for key in [&b""[..], &long] {
        assert_eq!(world.put(key, b"1"), failed(AsdError::Invalid));
        assert_eq!(world.delete(key), failed(AsdError::Invalid));
        let assert = AsdAssert::Absent(key.to_vec());
        assert_eq!(world.ask(apply(Purpose::Guest, &[assert], &[])), failed(AsdError::Invalid));
        assert_eq!(world.get(key), failed(AsdError::NotFound));
    }
    assert_eq!(world.put(&long[1..], b"1"), AsdAnswer::Applied);
    let max = world.config.max_value_bytes() as usize;
    assert_eq!(world.put(b"large", &vec![1; max]), AsdAnswer::Applied);
    assert_eq!(value_of(&world.get(b"large")).map(|value| value.len()), Some(max));
    assert_eq!(world.put(b"larger", &vec![1; max + 1000]), failed(AsdError::Invalid));
    let many: Vec<(&[u8], Option<&[u8]>)> = vec![(b"k", None); 4097];
    assert_eq!(world.ask(apply(Purpose::Guest, &[], &many)), failed(AsdError::Invalid));
    for length in [4_u32, 6, u32::MAX] {
        let updates = vec![AsdUpdate::Put { key: b"k".to_vec(), length }];
        let payload = Payload::entering(Bytes::from_static(b"value"));
        let body = AsdBody::Apply { purpose: Purpose::Guest, asserts: Vec::new(), updates, payload };
        assert_eq!(world.ask(body), failed(AsdError::Invalid), "{length}");
    }
}

#[test]
fn a_payload_that_does_not_check_is_not_stored() {
    let mut world = World::serving(config());
    let right = Payload::entering(Bytes::from_static(b"value"));
    let payload =
        Payload::with_crcs(vec![Bytes::from_static(b"vague")], right.crcs().to_vec()).expect("fits");
    let updates = vec![AsdUpdate::Put { key: b"k".to_vec(), length: 5 }];
    let body = AsdBody::Apply { purpose: Purpose::Guest, asserts: Vec::new(), updates, payload };
    assert_eq!(world.ask(body), failed(AsdError::Damaged));
    assert!(world.keys().is_empty());
}

#[test]
fn what_waits_is_bounded() {
    let mut world = World::serving(config());
    let mut requests = Vec::new();
    for number in 0..5000_u32 {
        requests.push(world.send(apply(Purpose::Guest, &[], &[(&number.to_le_bytes(), Some(b"1"))])));
    }
    assert_eq!(world.answers.len(), 5000 - 4096);
    assert!(world.answers.iter().all(|(_, answer)| *answer == failed(AsdError::Unavailable)));
    world.answers.clear();
    world.event(Event::TurnEnd);
    world.settle();
    assert_eq!(world.answers.len(), 4096);
    assert!(world.answers.iter().all(|(_, answer)| *answer == AsdAnswer::Applied));
}

#[test]
fn lists_go_on_where_they_ended() {
    let mut world = World::serving(config());
    let keys: Vec<Vec<u8>> = (0..2500_u32).map(|n| [b"a", &n.to_be_bytes()[..]].concat()).collect();
    for part in keys.chunks(1000) {
        let updates: Vec<(&[u8], Option<&[u8]>)> =
            part.iter().map(|key| (&key[..], Some(&b"1"[..]))).collect();
        assert_eq!(world.ask(apply(Purpose::Guest, &[], &updates)), AsdAnswer::Applied);
    }
    assert_eq!(world.put(b"b", b"1"), AsdAnswer::Applied);
    let (mut from, mut found, mut count) = (Vec::new(), Vec::new(), 0);
    loop {
        let body = AsdBody::List { prefix: b"a".to_vec(), from: from.clone(), limit: u32::MAX };
        let AsdAnswer::Keys { keys, more } = world.ask(body) else { panic!("keys") };
        assert!(keys.len() <= 1000);
        found.extend(keys);
        count += 1;
        if !more {
            break;
        }
        from = [&found[found.len() - 1], &b"\0"[..]].concat();
    }
    assert_eq!((found, count), (keys, 3));
    let body = AsdBody::List { prefix: b"b".to_vec(), from: Vec::new(), limit: 0 };
    assert_eq!(world.ask(body), AsdAnswer::Keys { keys: Vec::new(), more: true });
}
