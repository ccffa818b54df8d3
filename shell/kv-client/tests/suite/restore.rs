//! Restoring several groups at once: whatever ends it midway, it has begun in all of them or in none, and can be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use formats::registry::{self, CLUSTER_KEY, ClusterRecord};
use glossary::{BufferIdentity, ByteCount, ClusterIdentity, VdiskId};
use kv_client::{BackupFailure, Client, Error, KvRange, Scope, Steps};

use super::server::{Death, Manner, Servers};
use super::{connect, number};

/// The key that says that a restore is under way.
const MARK: &[u8] = b"\xff\xffrestore under way";

/// More than one command restores.
const PAIRS: usize = 501;

/// Restores that are interrupted at a time.
const AT_ONCE: usize = 32;

/// The root group has no name.
type Maps = BTreeMap<String, Map>;
type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What all groups hold, the mark included.
fn maps(servers: &Servers) -> Result<Maps, Error> {
    let mut client = connect(servers);
    let groups = client.groups()?.into_iter().map(|group| group.name);
    let mut maps = Maps::new();
    for name in [String::new()].into_iter().chain(groups) {
        let mut client = connect(servers);
        if !name.is_empty() {
            client.use_group(&name)?;
        }
        maps.insert(name, client.range(KvRange::ALL, false).collect::<Result<_, _>>()?);
    }
    Ok(maps)
}

fn kv() -> Servers {
    Servers::start(&[Manner::Kv])
}

fn dies(servers: &Servers, death: Option<Death>) {
    *servers.switches(1).dies.lock().expect("nobody panics") = death;
}

fn of_group(servers: &Servers, name: &str) -> Result<Client, Error> {
    let mut client = connect(servers);
    client.make_group(name)?;
    client.use_group(name)?;
    Ok(client)
}

/// A backup of three groups, and what they hold.
fn backup() -> Result<(Bytes, Maps), BackupFailure> {
    let servers = kv();
    connect(&servers).set(b"k", b"of the root group")?;
    let steps = (0..PAIRS).fold(Steps::new(), |steps, key| steps.set(number(key), "v"));
    of_group(&servers, "a")?.sequence(steps)?;
    of_group(&servers, "b")?.set(b"k", b"of b")?;
    let mut file = Vec::new();
    connect(&servers).back_up(&mut file)?;
    Ok((file.into(), maps(&servers)?))
}

/// A restore in which the server dies after so many messages.
fn interrupt(servers: &Servers, file: &Bytes, death: Death) {
    let mut client = connect(servers);
    // Long enough for what is answered at all.
    client.wait_for(Duration::from_millis(500));
    dies(servers, Some(death));
    let _ = client.restore(file);
    dies(servers, None);
}

/// How many messages a restore takes that nothing interrupts.
fn messages(servers: &Servers, file: &Bytes) -> usize {
    dies(servers, Some(Death { after: usize::MAX, is_cut_last: false }));
    let _ = connect(servers).restore(file);
    let left = servers.switches(1).dies.lock().expect("nobody panics").take();
    usize::MAX - left.expect("it was set").after
}

/// Interrupts a restore after each of so many messages, answered or not, many at a time: most of it is waiting.
fn wherever<T: Send>(messages: usize, act: impl Fn(Death) -> T + Sync) -> Vec<T> {
    let deaths =
        (0..messages).flat_map(|after| [true, false].map(|is_cut_last| Death { after, is_cut_last }));
    let deaths: Vec<Death> = deaths.collect();
    let mut came = Vec::new();
    for some in deaths.chunks(AT_ONCE) {
        came.extend(std::thread::scope(|scope| {
            let act = &act;
            let threads: Vec<_> = some.iter().map(|death| scope.spawn(move || act(*death))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        }));
    }
    came
}

fn marked(maps: &Maps) -> BTreeSet<&str> {
    maps.iter().filter(|(_, map)| map.contains_key(MARK)).map(|(name, _)| name.as_str()).collect()
}

fn has_pairs(map: &Map) -> bool {
    map.keys().any(|key| key != MARK)
}

#[test]
fn wherever_a_restore_of_groups_is_interrupted_it_is_in_all_or_none_and_can_be_repeated()
-> Result<(), BackupFailure> {
    let (file, whole) = backup()?;
    let seen = wherever(messages(&kv(), &file), |death| {
        let servers = kv();
        interrupt(&servers, &file, death);
        let midway = maps(&servers).expect("it lives again");
        let (is_filled, marked) = (midway.values().any(has_pairs), marked(&midway).len());
        if is_filled && midway != whole {
            // The keys go only when everything is there, the root group's last.
            let everything =
                |(name, map): (&String, &Map)| whole[name].keys().all(|key| map.contains_key(key));
            let is_everything = midway.len() == whole.len() && midway.iter().all(everything);
            let is_marked = if is_everything { midway[""].contains_key(MARK) } else { marked == whole.len() };
            assert!(is_marked, "{death:?}: {marked} groups of {} know of it", midway.len());
        }
        let again = connect(&servers).restore(&file).expect("it is taken up again");
        assert_eq!(again, PAIRS as u64 + 2, "{death:?}");
        assert_eq!(maps(&servers).expect("it lives"), whole, "{death:?}");
        (marked, is_filled)
    });
    // Interrupted before it began, between the groups, in the middle, and at its end.
    for midway in [(0, false), (1, false), (2, false), (3, false), (3, true), (2, true), (1, true)] {
        assert!(seen.contains(&midway), "{midway:?} is not in {seen:?}");
    }
    Ok(())
}

/// The last group holds something: nothing is said or set anywhere, however often it is tried, and wherever that is
/// interrupted.
#[test]
fn where_one_group_holds_something_a_restore_begins_in_none() -> Result<(), BackupFailure> {
    let (file, _) = backup()?;
    let in_use = || {
        let servers = kv();
        of_group(&servers, "b").and_then(|mut b| b.set(b"mine", b"1")).expect("set");
        servers
    };
    wherever(messages(&in_use(), &file), |death| {
        let servers = in_use();
        interrupt(&servers, &file, death);
        match connect(&servers).restore(&file) {
            Err(BackupFailure::NotEmpty(key)) => assert_eq!(key, b"mine"),
            other => panic!("{death:?}: {other:?}"),
        }
        let maps = maps(&servers).expect("it lives");
        assert!(maps.iter().all(|(name, map)| name == "b" || map.is_empty()), "{death:?}: {maps:?}");
        assert_eq!(maps["b"], [(b"mine".to_vec(), b"1".to_vec())].into());
    });
    Ok(())
}

#[test]
fn a_restore_that_is_not_the_one_under_way_changes_nothing() -> Result<(), BackupFailure> {
    let (file, _) = backup()?;
    for group in ["", "a", "b"] {
        let servers = kv();
        let mut client = connect(&servers);
        if !group.is_empty() {
            client = of_group(&servers, group)?;
        }
        client.set(MARK, b"backup of something else")?;
        assert!(matches!(connect(&servers).restore(&file), Err(BackupFailure::AnotherUnderWay)), "{group}");
        let maps = maps(&servers)?;
        assert_eq!(marked(&maps), [group].into());
        assert!(!maps.values().any(has_pairs));
    }
    Ok(())
}

#[test]
fn a_backup_of_groups_is_not_restored_into_one_of_them() -> Result<(), BackupFailure> {
    let (file, _) = backup()?;
    let servers = kv();
    let mut b = of_group(&servers, "b")?;
    assert!(matches!(b.restore(&file), Err(BackupFailure::OfGroups)));
    assert_eq!(maps(&servers)?["b"], [].into());
    Ok(())
}

/// Groups' users' keys and whole maps are told apart both ways round.
#[test]
fn users_keys_are_not_restored_as_a_whole_map() -> Result<(), BackupFailure> {
    let (file, _) = backup()?;
    let servers = kv();
    let mut whole = connect(&servers);
    whole.within(Scope::Whole);
    assert!(matches!(whole.restore(&file), Err(BackupFailure::OtherScope("users' keys"))));
    assert!(!maps(&servers)?.values().any(|map| !map.is_empty()));
    Ok(())
}

fn record(identity: ClusterIdentity) -> ClusterRecord {
    ClusterRecord {
        identity,
        policies: Vec::new(),
        sco_size: ByteCount(0),
        write_buffer: ByteCount(0),
        buffer: BufferIdentity([0; 16]),
        osds: Vec::new(),
        next_vdisk: VdiskId(1),
        next_sco: 0,
    }
}

/// What it says of disks is of another cluster's; of the same cluster, it comes back.
#[test]
fn the_records_of_another_cluster_are_not_restored() -> Result<(), BackupFailure> {
    for (identity, is_ours) in [([8; 16], false), ([7; 16], true)] {
        let mut client = connect(&kv());
        client.within(Scope::Whole);
        client.set(CLUSTER_KEY, &registry::encode(&record(ClusterIdentity(identity))))?;
        let mut file = Vec::new();
        client.back_up(&mut file)?;
        let servers = kv();
        let mut client = connect(&servers);
        client.within(Scope::Whole);
        match client.restore(&file.into()) {
            Ok(1) => assert!(is_ours),
            Err(BackupFailure::OtherCluster(ClusterIdentity(named))) => {
                assert!(!is_ours && named == identity)
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.count(KvRange::ALL)?, u64::from(is_ours));
    }
    Ok(())
}

/// A file at whose first byte something happens.
struct Meddling<F: FnMut()>(Vec<u8>, Option<F>);

impl<F: FnMut()> std::io::Write for Meddling<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(mut act) = self.1.take() {
            act();
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The registry's group and that of the namespaces are of two moments: what is made between them would be in one alone.
#[test]
fn a_backup_of_groups_between_which_a_vdisk_was_made_is_none() -> Result<(), BackupFailure> {
    for (next_vdisk, is_whole) in [(1, true), (2, false)] {
        let servers = kv();
        of_group(&servers, "a")?.set(b"k", b"v")?;
        let mut client = connect(&servers);
        client.within(Scope::Whole);
        let record = record(ClusterIdentity([7; 16]));
        client.set(CLUSTER_KEY, &registry::encode(&record))?;
        let act = || {
            let mut other = connect(&servers);
            other.within(Scope::Whole);
            let record = ClusterRecord { next_vdisk: VdiskId(next_vdisk), next_sco: 7, ..record.clone() };
            other.set(CLUSTER_KEY, &registry::encode(&record)).expect("the server runs");
        };
        let mut file = Meddling(Vec::new(), Some(act));
        match client.back_up(&mut file) {
            Ok(_) => assert!(is_whole),
            Err(BackupFailure::VdiskMade) => assert!(!is_whole),
            other => panic!("{other:?}"),
        }
        let new = kv();
        let mut client = connect(&new);
        client.within(Scope::Whole);
        let restored = client.restore(&file.0.into());
        assert_eq!(restored.is_ok(), is_whole, "{restored:?}");
    }
    Ok(())
}
