//! Tables over a disk that fills, fails and rots, against the model of what a table means.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use redb::StorageBackend;
use rustix::io::Errno;
use step::{DiskError, DiskOutcome, FileName, TableChange};

use super::open::Table;
use super::storage::{Storage, Trouble};

/// A file that takes no more than so many bytes, and whose syncs fail from a number on.
#[derive(Debug)]
struct Moody {
    storage: Storage,
    trouble: Arc<Trouble>,
    room: Arc<AtomicU64>,
    syncs: Arc<AtomicUsize>,
}

impl StorageBackend for Moody {
    fn len(&self) -> Result<u64, io::Error> {
        self.storage.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.storage.read(offset, out)
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.storage.set_len(length)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        match self.syncs.load(Ordering::Relaxed) {
            0 => Err(self.trouble.on_sync(Errno::IO)),
            left => {
                self.syncs.store(left - 1, Ordering::Relaxed);
                self.storage.sync_data()
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        // As a file system does that has to find room for what is overwritten as well.
        if self.room.load(Ordering::Relaxed) < data.len() as u64 {
            return Err(self.trouble.on_write(Errno::NOSPC));
        }
        self.room.fetch_sub(data.len() as u64, Ordering::Relaxed);
        self.storage.write(offset, data)
    }
}

struct Bed {
    file: tempfile::NamedTempFile,
    room: Arc<AtomicU64>,
    syncs: Arc<AtomicUsize>,
}

impl Bed {
    fn new() -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        Bed { file, room: Arc::new(u64::MAX.into()), syncs: Arc::new(usize::MAX.into()) }
    }

    fn open(&self) -> Result<Table, DiskError> {
        let trouble = Arc::new(Trouble::default());
        let storage = Storage::new(self.file.reopen().unwrap().into(), Arc::clone(&trouble));
        let (room, syncs) = (Arc::clone(&self.room), Arc::clone(&self.syncs));
        let moody = Moody { storage, trouble: Arc::clone(&trouble), room, syncs };
        Table::over(FileName::parse("table").unwrap(), moody, trouble)
    }

    fn all(&self) -> Result<Vec<(Bytes, Bytes)>, DiskError> {
        match self.open()?.read_on(None, u64::MAX)? {
            DiskOutcome::Pairs { pairs, is_all: true } => Ok(pairs),
            other => panic!("all is asked for: {other:?}"),
        }
    }
}

fn set(key: u16, length: usize) -> TableChange {
    let value = (0..length).map(|at| (at * usize::from(key + 1)) as u8).collect::<Vec<_>>();
    TableChange::Set { key: key.to_be_bytes().to_vec().into(), value: value.into() }
}

fn model(commits: &[Vec<TableChange>]) -> Vec<(Bytes, Bytes)> {
    let mut model = step::Table::default();
    commits.iter().flatten().for_each(|change| model.change(change));
    model.pairs().map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[test]
fn a_disk_that_fills_at_any_write_leaves_what_was_committed() {
    let first: Vec<_> = (0..40).map(|key| set(key, 300)).collect();
    let second: Vec<_> = (20..90).map(|key| set(key, 500)).collect();
    let mut met = 0;
    for room in (0..200_000).step_by(3_777) {
        let bed = Bed::new();
        bed.open().unwrap().commit(&first).unwrap();
        let table = bed.open().unwrap();
        bed.room.store(room, Ordering::Relaxed);
        let committed = table.commit(&second);
        drop(table);
        bed.room.store(u64::MAX, Ordering::Relaxed);
        let all = if committed.is_ok() { vec![first.clone(), second.clone()] } else { vec![first.clone()] };
        assert_eq!(bed.all(), Ok(model(&all)), "{room} {committed:?}");
        assert!(matches!(committed, Ok(()) | Err(DiskError::Full)), "{room} {committed:?}");
        met += usize::from(committed.is_err());
        bed.open().unwrap().commit(&second).unwrap();
        assert_eq!(bed.all(), Ok(model(&[first.clone(), second.clone()])));
    }
    assert!((10..50).contains(&met), "{met}");
}

#[test]
fn room_that_is_given_back_takes_nothing_with_it_wherever_that_stops() {
    let commits = vec![
        (0..40).map(|key| set(key, 60_000)).collect::<Vec<_>>(),
        (3..40_u16).map(|key| TableChange::Delete { key: key.to_be_bytes().to_vec().into() }).collect(),
    ];
    let (mut stopped, mut done) = (0, 0);
    for room in (0..400_000).step_by(17_777).chain([u64::MAX]) {
        let bed = Bed::new();
        let mut table = bed.open().unwrap();
        commits.iter().for_each(|changes| table.commit(changes).unwrap());
        let length = || bed.file.as_file().metadata().unwrap().len();
        let before = length();
        bed.room.store(room, Ordering::Relaxed);
        let given = table.give_back(before);
        drop(table);
        bed.room.store(u64::MAX, Ordering::Relaxed);
        match given {
            Ok(()) => {
                assert!(length() < before / 4, "{room}: {} of {before}", length());
                done += 1;
            }
            Err(error) => {
                assert_eq!(error, DiskError::Full, "{room}");
                stopped += 1;
            }
        }
        assert_eq!(bed.all(), Ok(model(&commits)), "{room} {given:?}");
    }
    assert!(stopped > 0 && done > 0, "{stopped} {done}");
}

#[test]
fn a_table_that_uses_what_it_takes_is_left_alone() {
    let bed = Bed::new();
    let mut table = bed.open().unwrap();
    table.commit(&(0..40).map(|key| set(key, 60_000)).collect::<Vec<_>>()).unwrap();
    bed.room.store(0, Ordering::Relaxed);
    assert_eq!(table.give_back(40 * 60_000), Ok(()), "nothing is written");
}

#[test]
fn a_sync_that_fails_is_told_as_such_and_leaves_one_of_both_states() {
    let (first, second) = (vec![set(1, 100)], vec![set(1, 200), set(2, 100)]);
    for syncs in 0..2 {
        let bed = Bed::new();
        let table = bed.open().unwrap();
        table.commit(&first).unwrap();
        bed.syncs.store(syncs, Ordering::Relaxed);
        assert_eq!(table.commit(&second), Err(DiskError::Failed), "{syncs}");
        assert!(table.is_wounded());
        drop(table);
        bed.syncs.store(usize::MAX, Ordering::Relaxed);
        let left = bed.all().unwrap();
        assert!(
            left == model(core::slice::from_ref(&first)) || left == model(&[first.clone(), second.clone()])
        );
    }
}

#[test]
fn no_bit_that_flips_gives_pairs_that_never_were() {
    let bed = Bed::new();
    let commits = vec![(0..60).map(|key| set(key, 700)).collect::<Vec<_>>()];
    bed.open().unwrap().commit(&commits[0]).unwrap();
    let (path, whole) = (bed.file.path(), std::fs::read(bed.file.path()).unwrap());
    let (mut found, mut harmless) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 150) {
        let mut rotten = whole.clone();
        rotten[at] ^= 1 << (at % 8);
        std::fs::write(path, &rotten).unwrap();
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bed.all())) {
            Ok(Ok(pairs)) => {
                // Where nothing is, or what the other of two headers says as well.
                assert!(pairs == model(&commits) || pairs.is_empty(), "{at}");
                harmless += 1;
            }
            Ok(Err(error)) => {
                assert_eq!(error, DiskError::Damaged, "{at}");
                found += 1;
            }
            Err(_) => found += 1,
        }
    }
    assert!(found > 0 && harmless > 0, "{found} {harmless}");
    std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(bed.all().map(|_| ()), Err(DiskError::Damaged), "half of it is gone");
    std::fs::write(path, b"something else").unwrap();
    assert_eq!(bed.all().map(|_| ()), Err(DiskError::Damaged));
}

fn changes() -> impl Strategy<Value = Vec<TableChange>> {
    let key = || proptest::collection::vec(prop_oneof![Just(0_u8), Just(7), Just(255)], 0..4);
    let change = prop_oneof![
        4 => (key(), proptest::collection::vec(any::<u8>(), 0..5000))
            .prop_map(|(key, value)| TableChange::Set { key: key.into(), value: value.into() }),
        2 => key().prop_map(|key| TableChange::Delete { key: key.into() }),
        1 => key().prop_map(|key| TableChange::DeletePrefix { prefix: key.into() }),
    ];
    proptest::collection::vec(change, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_table_is_what_its_model_is(
        commits in proptest::collection::vec((changes(), any::<bool>()), 0..8),
        page in 0_u64..9000,
    ) {
        let bed = Bed::new();
        let (mut table, mut model) = (bed.open().unwrap(), step::Table::default());
        for (changes, reopens) in commits {
            table.commit(&changes).unwrap();
            changes.iter().for_each(|change| model.change(change));
            if reopens {
                drop(table);
                table = bed.open().unwrap();
            }
            let mut after: Option<Bytes> = None;
            loop {
                let read = table.read_on(after.as_deref(), page).unwrap();
                prop_assert_eq!(&read, &model.read_on(after.as_deref(), page));
                let DiskOutcome::Pairs { pairs, is_all } = read else { panic!("a table gives pairs") };
                after = pairs.last().map(|(key, _)| key.clone()).or(after);
                if is_all {
                    break;
                }
            }
        }
    }
}
