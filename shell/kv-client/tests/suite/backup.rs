//! Backups, taken while others write, and restored.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use kv_client::{BackupFailure, Client, Error, KvRange, Scope, Steps};

use super::server::{Manner, Servers};
use super::{connect, number};

fn all(client: &mut Client) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    client.range(KvRange::ALL, false).collect()
}

fn taken(client: &mut Client) -> Result<Vec<u8>, BackupFailure> {
    let mut file = Vec::new();
    let taken = client.back_up(&mut file)?;
    assert_eq!(taken.bytes, file.len() as u64);
    Ok(file)
}

fn new_client() -> Client {
    connect(&Servers::start(&[Manner::Kv]))
}

#[test]
fn a_backup_gives_back_what_was_there() -> Result<(), BackupFailure> {
    let mut client = new_client();
    for first in (0..2500).step_by(500) {
        let steps =
            (first..first + 500).fold(Steps::new(), |steps, key| steps.set(number(key), number(key + 1)));
        client.sequence(steps)?;
    }
    let file = taken(&mut client)?;
    let mut other = new_client();
    assert_eq!(other.restore(&file.into())?, 2500);
    assert_eq!(all(&mut other)?, all(&mut client)?);
    Ok(())
}

/// A writer changes two keys at once, one at either end: a backup of any one moment has them alike.
#[test]
fn a_backup_under_writes_is_of_one_moment() -> Result<(), BackupFailure> {
    let servers = Servers::start(&[Manner::Kv]);
    let (mut writer, mut client) = (connect(&servers), connect(&servers));
    let steps = (0..2500).fold(Steps::new(), |steps, key| steps.set(number(key), "x"));
    writer.sequence(steps)?;
    let is_over = AtomicBool::new(false);
    let files = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut round = 0_u64;
            // At least one round, however late this begins.
            while round == 0 || !is_over.load(Ordering::Relaxed) {
                round += 1;
                let (value, gone) = (round.to_string(), number(round as usize % 2500));
                let steps = Steps::new().set("a", value.as_str()).delete(gone).set("z", value);
                writer.sequence(steps.set(format!("new/{round}"), "y"))?;
            }
            Ok::<u64, Error>(round)
        });
        let files: Result<Vec<_>, _> = (0..3).map(|_| taken(&mut client)).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(writing.join().expect("no panic")? > 0);
        files
    })?;
    for file in files {
        let mut other = new_client();
        other.restore(&file.into())?;
        let map = all(&mut other)?;
        let (first, last) = (map.get(&b"a"[..]), map.get(&b"z"[..]));
        assert_eq!(first, last);
        let rounds: usize =
            first.map_or(0, |value| String::from_utf8_lossy(value).parse().expect("a number"));
        let new = map.keys().filter(|key| key.starts_with(b"new/")).count();
        assert_eq!(new, rounds, "what each round added is there, and nothing of later ones");
        let old = map.keys().filter(|key| key.len() == 6 && key[0] == b'0').count();
        assert_eq!(old, 2500 - rounds.min(2500), "what each round deleted is gone");
    }
    Ok(())
}

#[test]
fn a_restore_that_was_interrupted_goes_on_and_nothing_is_restored_over_something() -> Result<(), BackupFailure>
{
    let mut client = new_client();
    client.set(b"k", b"v")?;
    let file = bytes::Bytes::from(taken(&mut client)?);
    match client.restore(&file) {
        Err(BackupFailure::NotEmpty(key)) => assert_eq!(key, b"k"),
        other => panic!("{other:?}"),
    }
    // As far as a restore comes before it is interrupted.
    let backup = formats::kv_backup::Backup::read(&file)?;
    let crc = checksum::crc32c(&file);
    let name = |index| format!("backup {crc:08x} of {} at {index}", backup.cluster).into_bytes();
    let under_way = |index| {
        let mut other = new_client();
        other
            .sequence(Steps::new().set(b"\xff\xffrestore under way", name(index)).set("k", "old"))
            .map(|_| other)
    };
    let mut other = under_way(backup.first.index + 1)?;
    assert!(matches!(other.restore(&file), Err(BackupFailure::AnotherUnderWay)));
    assert!(matches!(taken(&mut other), Err(BackupFailure::HalfRestored)));
    let mut other = under_way(backup.first.index)?;
    assert_eq!(other.restore(&file)?, 1);
    assert_eq!(all(&mut other)?, all(&mut client)?);
    // Everything was there, and it only was not said yet: what was changed since stays.
    let mut other = under_way(backup.first.index)?;
    let filled = [name(backup.first.index), b", filled".to_vec()].concat();
    other.set(b"\xff\xffrestore under way", &filled)?;
    assert_eq!(other.restore(&file)?, 1);
    assert_eq!(all(&mut other)?, [(b"k".to_vec(), b"old".to_vec())].into());
    Ok(())
}

#[test]
fn the_whole_map_and_users_keys_are_not_mistaken_for_each_other() -> Result<(), BackupFailure> {
    let mut client = new_client();
    client.set(b"k", b"v")?;
    client.within(Scope::Whole);
    client.set(b"server/0001", b"of this cluster")?;
    client.set(b"vdisk/1", b"a record")?;
    let file = bytes::Bytes::from(taken(&mut client)?);
    let mut other = new_client();
    assert!(matches!(other.restore(&file), Err(BackupFailure::OtherScope("the whole map"))));
    other.within(Scope::Whole);
    other.set(b"server/0001", b"of that cluster")?;
    assert_eq!(other.restore(&file)?, 2, "servers are not restored");
    assert_eq!(other.get(b"server/0001")?.as_deref(), Some(&b"of that cluster"[..]));
    other.within(Scope::Users);
    assert_eq!(other.get(b"k")?.as_deref(), Some(&b"v"[..]));
    Ok(())
}

#[test]
fn a_damaged_backup_changes_nothing() -> Result<(), BackupFailure> {
    let mut client = new_client();
    client.set(b"k", b"v")?;
    let mut file = taken(&mut client)?;
    let half = file[..4096].to_vec();
    let middle = 4096 + 60;
    file[middle] ^= 1;
    let mut other = new_client();
    for broken in [file, half] {
        assert!(matches!(other.restore(&broken.into()), Err(BackupFailure::Read(_))));
    }
    assert_eq!(other.count(KvRange::ALL)?, 0);
    Ok(())
}
