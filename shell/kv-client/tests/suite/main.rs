//! The client against a KV in the same process, through sockets that are cut.

mod backup;
mod reach;
mod restore;
mod server;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::Duration;

use formats::kv_members;
use glossary::ServerId;
use kv_client::{
    Client, Consistency, Error, Event, KvExpected, KvRange, KvStep, MAX_OUTSTANDING, Scope, StepAnswer,
    StepError, Steps, limits,
};
use proptest::prelude::*;
use server::{Manner, Servers};

fn connect(servers: &Servers) -> Client {
    Client::connect(Box::new(servers.clone())).expect("somebody is there")
}

fn client() -> Client {
    connect(&Servers::start(&[Manner::Kv]))
}

fn one_place(manner: Manner) -> Result<Client, Error> {
    let mut servers = Servers::start(&[manner]);
    servers.is_one_place = true;
    Client::connect(Box::new(servers))
}

fn number(number: usize) -> Vec<u8> {
    format!("{number:06}").into_bytes()
}

#[test]
fn groups_have_maps_of_their_own() -> Result<(), Error> {
    let servers = Servers::start(&[Manner::Kv]);
    let mut client = connect(&servers);
    client.set(b"a", b"1")?;
    assert!(matches!(client.use_group("b"), Err(Error::NoGroup(name)) if name == "b"));
    client.make_group("b")?;
    client.make_group("b")?;
    assert!(matches!(client.make_group("b/c"), Err(Error::TooLarge(_))));
    client.use_group("b")?;
    assert_eq!(client.get(b"a")?, None);
    client.set(b"a", b"2")?;
    assert_eq!(client.get(b"a")?.as_deref(), Some(&b"2"[..]));
    let mut other = connect(&servers);
    assert_eq!(other.get(b"a")?.as_deref(), Some(&b"1"[..]));
    let groups: Vec<_> = other.groups()?.into_iter().map(|group| (group.name, group.keys)).collect();
    assert_eq!(groups, [("b".to_owned(), 1)]);
    other.drop_group("b")?;
    assert_eq!(other.groups()?, []);
    assert!(matches!(client.get(b"a"), Err(Error::NoGroup(number)) if number == "1"));
    Ok(())
}

#[test]
fn every_verb_does_what_it_says() -> Result<(), Error> {
    let mut client = one_place(Manner::Kv)?;
    assert_eq!(client.get(b"a")?, None);
    client.set(b"a", b"1")?;
    let set_at = client.index();
    assert_eq!(client.get(b"a")?.as_deref(), Some(&b"1"[..]));
    assert_eq!(client.index(), set_at);
    assert!(client.exists(b"a")? && !client.exists(b"b")?);
    assert_eq!(client.replace(b"a", Some(b"2"))?.as_deref(), Some(&b"1"[..]));
    assert_eq!(client.test_and_set(b"a", Some(b"1"), None)?.as_deref(), Some(&b"2"[..]), "nothing is done");
    assert_eq!(client.test_and_set(b"a", Some(b"2"), Some(b"3"))?.as_deref(), Some(&b"2"[..]));
    assert_eq!(client.test_and_set(b"b", None, Some(b"4"))?, None);
    let keys = [b"a".to_vec(), b"x".to_vec(), b"b".to_vec()];
    assert_eq!(client.multi_get(&keys)?, [Some(b"3".to_vec()), None, Some(b"4".to_vec())]);
    client.assert(b"a", Some(b"3"))?;
    client.assert_exists(b"b")?;
    client.assert_range(KvRange::ALL, KvExpected::Keys(vec![b"a".to_vec(), b"b".to_vec()]))?;
    assert_eq!(client.count(KvRange::ALL)?, 2);
    client.delete(b"a")?;
    let steps = Steps::new().set("c", "5").nested(Steps::new().delete("b").set("d", "6"));
    assert_eq!(client.sequence(steps)?, vec![StepAnswer::Done; 4]);
    let pairs: Vec<_> = client.range(KvRange::ALL, true).collect::<Result<_, _>>()?;
    assert_eq!(pairs, [(b"d".to_vec(), b"6".to_vec()), (b"c".to_vec(), b"5".to_vec())]);
    assert_eq!(client.keys(KvRange::prefix(b"c"), false).collect::<Result<Vec<_>, _>>()?, [b"c"]);
    assert_eq!(client.delete_prefix(b"")?, 2);
    assert_eq!(client.count(KvRange::ALL)?, 0);
    Ok(())
}

#[test]
fn a_step_that_fails_is_named_by_path_and_key() {
    let mut client = client();
    let failing = Steps::new().set("k", "v").nested(Steps::new().delete("x").assert("k", Some(b"w")));
    let error = client.sequence(failing).expect_err("it doesn't hold");
    assert!(error.is_harmless());
    let words = error.to_string();
    assert!(
        matches!(&error, Error::Step { path, key, why: StepError::Value } if *path == [1, 1] && key == b"k")
    );
    assert_eq!(words, "step 1.1, key \"k\": what it has is not what was asserted; nothing was changed");
    assert_eq!(client.get(b"k").expect("answered"), None);
}

/// The cluster's own records stand in the same map. Nothing that a user does reaches them.
#[test]
fn users_keys_are_a_world_of_their_own() -> Result<(), Error> {
    let servers = Servers::start(&[Manner::Kv]);
    let (mut whole, mut user) = (connect(&servers), connect(&servers));
    whole.within(Scope::Whole);
    for record in ["cluster", "vdisk/1", "z"] {
        whole.set(record.as_bytes(), b"record")?;
    }
    user.set(b"mine", b"1")?;
    user.set(b"", b"the empty key is one too")?;
    assert_eq!(user.get(b"cluster")?, None);
    assert_eq!(user.count(KvRange::ALL)?, 2);
    assert_eq!(user.range(KvRange::ALL, true).count(), 2);
    assert_eq!(user.delete_prefix(b"")?, 2);
    let all = KvRange { first: Bound::Unbounded, last: Bound::Included(vec![255; 9]) };
    user.assert_range(all, KvExpected::Pairs(vec![]))?;
    let left: Vec<_> = whole.keys(KvRange::ALL, false).collect::<Result<_, _>>()?;
    assert_eq!(left, [&b"cluster"[..], b"vdisk/1", b"z"]);
    Ok(())
}

/// The stream is cut when a command is applied, before its answer: it comes again, and is answered as it was.
#[test]
fn a_command_whose_answer_is_lost_is_applied_once() -> Result<(), Error> {
    let servers = Servers::start(&[Manner::Kv]);
    let mut client = connect(&servers);
    client.set(b"k", b"old")?;
    servers.switches(1).cuts.store(2, Ordering::Relaxed);
    let old = client.replace(b"k", Some(b"new"))?;
    assert_eq!(old.as_deref(), Some(&b"old"[..]), "a second time would have found \"new\"");
    assert_eq!(servers.switches(1).cuts.load(Ordering::Relaxed), 0);
    Ok(())
}

#[test]
fn the_leader_is_followed_and_silence_is_left() -> Result<(), Error> {
    let servers = Servers::start(&[Manner::Follows(3), Manner::Silent, Manner::Kv]);
    let mut client = connect(&servers);
    client.set(b"k", b"v")?;
    assert_eq!(servers.switches(1).requests.load(Ordering::Relaxed), 1);
    assert_eq!(servers.switches(2).requests.load(Ordering::Relaxed), 0);
    let mut client = connect(&Servers::start(&[Manner::Silent, Manner::Refuses, Manner::Kv]));
    client.set(b"k", b"v")
}

#[test]
fn who_gets_no_answer_hears_why() {
    let mut lone = one_place(Manner::Follows(2)).expect("somebody is there");
    lone.wait_for(Duration::from_millis(700));
    let error = lone.get(b"k").expect_err("the leader is elsewhere").to_string();
    assert!(error.contains("server 2: it leads the group and can't be reached"), "{error}");
    let mut nobody = one_place(Manner::Silent).expect("somebody is there");
    nobody.wait_for(Duration::from_millis(1));
    let error = nobody.set(b"k", b"v").expect_err("nothing is answered");
    assert!(matches!(error, Error::TimedOut(None)) && !error.is_harmless());
    let error = one_place(Manner::Refuses).expect_err("it refuses").to_string();
    assert!(error.contains("as many connections as it takes"), "{error}");
}

/// A member's word tells more than a stream that breaks, and is not all that is wrong: one may say that nobody leads because
/// another can't be reached.
#[test]
fn what_a_member_says_and_what_breaks_are_both_told() {
    let mut client = connect(&Servers::start(&[Manner::Leaderless, Manner::Refuses]));
    client.wait_for(Duration::from_millis(700));
    let error = client.get(b"k").expect_err("nobody leads");
    let words = error.to_string();
    assert!(matches!(error, Error::TimedOut(Some(_))), "{words}");
    assert!(words.contains("no member of its group leads"), "{words}");
    assert!(words.contains("server 2: ") && words.contains("as many connections as it takes"), "{words}");
}

/// The second is no member any more, as the map says: when the first is gone, it is not asked.
#[test]
fn who_has_members_now_is_learned_and_asked() -> Result<(), Error> {
    let servers = Servers::start(&[Manner::Kv, Manner::Silent, Manner::Kv]);
    let (mut whole, mut client) = (connect(&servers), connect(&servers));
    whole.within(Scope::Whole);
    // The ninth has no address here.
    let members = [1, 3, 9].map(ServerId).into();
    whole.set(kv_members::MEMBERS_KEY, &kv_members::encode(&members))?;
    client.learn_every(Duration::ZERO);
    let before = servers.switches(1).requests.load(Ordering::Relaxed);
    for _ in 0..10 {
        client.set(b"k", b"v")?;
    }
    assert!(servers.switches(1).requests.load(Ordering::Relaxed) > before + 10, "it asks that too");
    assert_eq!(client.count(KvRange::ALL)?, 1, "users see nothing of it");
    let cut = || servers.switches(1).cuts.store(1, Ordering::Relaxed);
    cut();
    let answer = client.set(b"k", b"w");
    assert!(
        matches!(answer, Err(Error::Unknown)),
        "the third has a map of its own, and none of its sessions"
    );
    let asked = [2, 3].map(|server| servers.switches(server).requests.load(Ordering::Relaxed));
    assert_eq!((asked[0], asked[1] > 0), (0, true));
    Ok(())
}

/// Groups beside the root group don't know it: it is asked for in the root group.
#[test]
fn who_asks_another_group_learns_too() -> Result<(), Error> {
    let servers = Servers::start(&[Manner::Kv, Manner::Silent, Manner::Kv]);
    let (mut whole, mut client) = (connect(&servers), connect(&servers));
    whole.within(Scope::Whole);
    whole.set(kv_members::MEMBERS_KEY, &kv_members::encode(&[1, 3].map(ServerId).into()))?;
    client.make_group("b")?;
    client.use_group("b")?;
    client.learn_every(Duration::ZERO);
    let before = servers.switches(1).requests.load(Ordering::Relaxed);
    for _ in 0..10 {
        client.set(b"k", b"v")?;
    }
    assert!(servers.switches(1).requests.load(Ordering::Relaxed) > before, "these are of the root group");
    assert_eq!(client.get(b"k")?.as_deref(), Some(&b"v"[..]));
    Ok(())
}

#[test]
fn what_breaks_a_bound_is_not_sent() {
    let servers = Servers::start(&[Manner::Kv]);
    let mut client = connect(&servers);
    let longest = vec![b'k'; limits::MAX_KEY_BYTES - 2];
    client.set(&longest, b"v").expect("it fits");
    let asked = servers.switches(1).requests.load(Ordering::Relaxed);
    let error = client.set(&[&longest[..], b"k"].concat(), b"v").expect_err("too long").to_string();
    assert!(error.contains("at most 1024 bytes, not 1025, with the 2"), "{error}");
    assert!(client.set(b"k", &vec![0; limits::MAX_VALUE_BYTES + 1]).is_err());
    assert!(client.get(&vec![0; limits::MAX_KEY_BYTES]).is_err());
    let deep = (0..9).fold(Steps::new(), |inner, _| Steps::new().nested(inner));
    assert!(client.sequence(deep).expect_err("too deep").to_string().contains("around one another"));
    assert_eq!(servers.switches(1).requests.load(Ordering::Relaxed), asked);
    client.set(b"k", &vec![7; limits::MAX_VALUE_BYTES]).expect("the largest value goes through");
    assert_eq!(client.get(b"k").expect("read").map(|value| value.len()), Some(limits::MAX_VALUE_BYTES));
}

#[test]
fn ranges_come_page_by_page() -> Result<(), Error> {
    let mut client = client();
    let count = 2 * limits::MAX_RANGE_PAIRS + 3;
    let steps = (0..count).fold(Steps::new(), |steps, at| steps.set(number(at), "v"));
    client.sequence(steps)?;
    let keys: Vec<_> = client.keys(KvRange::ALL, false).collect::<Result<_, _>>()?;
    assert_eq!(keys, (0..count).map(number).collect::<Vec<_>>());
    let mut pairs = client.range(KvRange { first: Bound::Excluded(number(1)), last: Bound::Unbounded }, true);
    assert_eq!(pairs.next().expect("there are pairs")?.0, number(count - 1));
    assert_eq!(pairs.index(), Some(1));
    assert_eq!(pairs.count(), count - 3);
    // Values of which two fit a page; ask for all of them at once, too.
    let large = vec![1; limits::MAX_RANGE_BYTES / 2 - 100];
    let keys: Vec<_> = (0..5).map(|at| [b"large", &number(at)[..]].concat()).collect();
    for key in &keys {
        client.set(key, &large)?;
    }
    assert_eq!(client.prefix(b"large").count(), 5);
    assert!(client.multi_get(&keys)?.iter().all(|value| value.as_ref() == Some(&large)));
    client.read_with(Consistency::Stale);
    assert_eq!(client.prefix(b"large").count(), 5);
    Ok(())
}

/// A prefix of more keys than one command deletes.
#[test]
fn a_large_prefix_is_deleted_in_parts() -> Result<(), Error> {
    let mut client = client();
    let count = limits::MAX_DELETED_KEYS + 1;
    client.sequence((0..count).fold(Steps::new(), |steps, at| steps.set(number(at), "")))?;
    let part = KvStep::DeletePrefix { prefix: b"0".to_vec(), keys_max: 1 };
    let all_or_none = Steps::new().step(part).assert_range(KvRange::prefix(b"0"), KvExpected::Keys(vec![]));
    assert!(matches!(client.sequence(all_or_none), Err(Error::Step { .. })));
    assert_eq!(client.delete_prefix(b"0")?, count as u64);
    Ok(())
}

#[test]
fn reads_at_an_index_see_it_or_say_not_yet() -> Result<(), Error> {
    let servers = Servers::start(&[Manner::Kv]);
    let (mut writer, mut reader) = (connect(&servers), connect(&servers));
    writer.set(b"k", b"v")?;
    reader.read_with(Consistency::AtLeast(writer.index()));
    assert!(reader.exists(b"k")?);
    reader.read_with(Consistency::AtLeast(9));
    reader.wait_for(Duration::from_millis(40));
    let error = reader.exists(b"k").expect_err("there is no ninth command");
    assert!(matches!(error, Error::NotYet { wanted: 9, applied: 1 }), "{error}");
    Ok(())
}

#[test]
fn a_watch_hears_what_others_change() -> Result<(), Error> {
    let servers = Servers::start(&[Manner::Kv]);
    let (mut writer, mut watcher) = (connect(&servers), connect(&servers));
    writer.set(b"a/1", b"v")?;
    let found: Vec<_> = watcher.prefix(b"a/").collect::<Result<_, _>>()?;
    assert_eq!(found.len(), 1);
    let from = watcher.index();
    let watching = std::thread::spawn(move || {
        let mut events = Vec::new();
        for event in watcher.watch(b"a/", from) {
            let Event::Changed { changes, .. } = event? else { panic!("nothing was missed") };
            let is_last = changes.iter().any(|(key, _)| key == b"a/end");
            events.extend(changes);
            if is_last {
                break;
            }
        }
        Ok::<_, Error>(events)
    });
    writer.set(b"b/1", b"elsewhere")?;
    writer.set(b"a/2", b"w")?;
    writer.delete(b"a/1")?;
    writer.set(b"a/end", b"")?;
    let events: BTreeMap<_, _> = watching.join().expect("no panic")?.into_iter().collect();
    assert_eq!(events.get(&b"a/1"[..]), Some(&None));
    assert_eq!(events.get(&b"a/2"[..]), Some(&Some(b"w".to_vec())));
    assert_eq!(events.len(), 3);
    // Who has heard all hears that there is nothing.
    let through = writer.index();
    assert_eq!(writer.watch(b"a/", through).next_within(Duration::ZERO)?, None);
    Ok(())
}

#[test]
fn many_commands_are_under_way_at_once() -> Result<(), Error> {
    let servers = Servers::start(&[Manner::Kv]);
    let mut client = connect(&servers);
    let mut submitted = Vec::new();
    for at in 0..MAX_OUTSTANDING {
        submitted.push(client.submit(Steps::new().set(number(at), "v").command())?);
    }
    servers.switches(1).cuts.store(1, Ordering::Relaxed);
    let mut answered = Vec::new();
    while answered.len() < submitted.len() {
        let outcome = client.next_outcome()?;
        outcome.answer?;
        answered.push(outcome.request);
    }
    answered.sort_unstable();
    assert_eq!(answered, submitted);
    assert_eq!(client.count(KvRange::ALL)?, MAX_OUTSTANDING as u64);
    Ok(())
}

#[derive(Clone, Debug)]
enum Verb {
    Set(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeletePrefix(Vec<u8>),
    Replace(Vec<u8>, Option<Vec<u8>>),
    Range(Vec<u8>, bool),
}

fn verb() -> impl Strategy<Value = Verb> {
    let key = || proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'u'), Just(b'/'), Just(255)], 0..3);
    let value = || proptest::collection::vec(any::<u8>(), 0..3);
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Verb::Set(key, value)),
        1 => key().prop_map(Verb::Delete),
        1 => key().prop_map(Verb::DeletePrefix),
        2 => (key(), proptest::option::of(value())).prop_map(|(key, value)| Verb::Replace(key, value)),
        2 => (key(), any::<bool>()).prop_map(|(prefix, is_reverse)| Verb::Range(prefix, is_reverse)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// Streams are cut all the time, and everything is as if there were none.
    #[test]
    fn verbs_do_what_a_map_does_over_streams_that_are_cut(
        verbs in proptest::collection::vec((verb(), proptest::bool::weighted(0.02)), 0..20),
    ) {
        let servers = Servers::start(&[Manner::Kv]);
        let (mut client, mut map) = (connect(&servers), BTreeMap::new());
        for (verb, is_cut) in verbs {
            servers.switches(1).cuts.store(usize::from(is_cut), Ordering::Relaxed);
            match verb {
                Verb::Set(key, value) => {
                    client.set(&key, &value).expect("done");
                    map.insert(key, value);
                }
                Verb::Delete(key) => {
                    client.delete(&key).expect("done");
                    map.remove(&key);
                }
                Verb::DeletePrefix(prefix) => {
                    let before = map.len();
                    map.retain(|key, _| !key.starts_with(&prefix));
                    prop_assert_eq!(client.delete_prefix(&prefix).expect("done"), (before - map.len()) as u64);
                }
                Verb::Replace(key, value) => {
                    let old = client.replace(&key, value.as_deref()).expect("done");
                    let expected = match value {
                        Some(value) => map.insert(key, value),
                        None => map.remove(&key),
                    };
                    prop_assert_eq!(old, expected);
                }
                Verb::Range(prefix, is_reverse) => {
                    let found: Vec<_> = client
                        .range(KvRange::prefix(&prefix), is_reverse)
                        .collect::<Result<_, _>>()
                        .expect("read");
                    let held = map.iter().filter(|(key, _)| key.starts_with(&prefix));
                    let mut expected: Vec<_> = held.map(|(key, value)| (key.clone(), value.clone())).collect();
                    if is_reverse {
                        expected.reverse();
                    }
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
