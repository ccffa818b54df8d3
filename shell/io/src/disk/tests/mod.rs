//! What `step::DiskOperation` promises, held by both backends.

mod model;
mod tables;
mod through;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::Receiver;
use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, FileName, OperationId, TableChange};
use tempfile::TempDir;

use super::file::{Distrust, File};
use super::{Backend, Finished, Folder, Portable, Ticket, Trace, Uring, open_folder};
use crate::shard::{Life, Seat};

/// Larger than what is done on the shard, so that the backend sees it.
const LARGE: usize = 600_000;

struct Bed {
    backend: Box<dyn Backend>,
    folder: Folder,
    finished: Receiver<Finished>,
    distrust: Distrust,
    path: TempDir,
}

impl Bed {
    fn new(backend: Box<dyn Backend>, open_max: usize) -> Self {
        let path = tempfile::tempdir().unwrap();
        let distrust = Distrust::default();
        let (folder, finished) = open(&path, &distrust, open_max);
        Bed { backend, folder, finished, distrust, path }
    }

    /// Starts operations together and waits for all; the results in the order of the operations.
    fn together(&mut self, operations: Vec<DiskOperation>) -> Vec<DiskResult> {
        let mut results = BTreeMap::new();
        let count = operations.len();
        for (number, what) in (0..).zip(operations) {
            let ticket = Ticket { seat: Seat(0), life: Life(0), operation: OperationId(number) };
            if let Some(result) = self.folder.perform(self.backend.as_mut(), ticket, what) {
                results.insert(number, result);
            }
        }
        while results.len() < count {
            self.backend.flush();
            let mut all: Vec<Finished> = Vec::new();
            self.backend.reap(&mut |one| all.push(one));
            all.extend(self.finished.recv_timeout(Duration::from_millis(1)));
            for one in all {
                self.folder.on_finished(one.trace);
                assert!(results.insert(one.ticket.operation.0, one.result).is_none(), "each ends once");
            }
        }
        results.into_values().collect()
    }

    fn run(&mut self, operation: DiskOperation) -> DiskResult {
        self.together(vec![operation]).remove(0)
    }

    /// Puts a descriptor in the place of a file that is open.
    fn plant(&mut self, file: FileName, descriptor: impl Into<OwnedFd>) {
        let file = File::new(file, descriptor.into(), self.distrust.clone());
        self.folder.on_finished(Trace::Opened(Arc::new(file), u64::MAX));
    }

    /// A new life of the node on the same folder, in the same process.
    fn restart(&mut self) {
        (self.folder, self.finished) = open(&self.path, &self.distrust, 16);
    }
}

fn open(path: &TempDir, distrust: &Distrust, open_max: usize) -> (Folder, Receiver<Finished>) {
    let (sender, finished) = crossbeam_channel::unbounded();
    let sink = Arc::new(move |one| sender.send(one).expect("the bed waits for all"));
    let descriptor = open_folder(path.path()).unwrap();
    // Both ways: what can't go past the page cache goes through it.
    let folder = Folder::new(descriptor, distrust.clone(), open_max, 3, sink).past_page_cache(true);
    (folder, finished)
}

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

fn create(file: &str) -> DiskOperation {
    DiskOperation::Create { file: name(file) }
}

fn delete(file: &str) -> DiskOperation {
    DiskOperation::Delete { file: name(file) }
}

fn sync(file: &str) -> DiskOperation {
    DiskOperation::Sync { file: name(file) }
}

fn read(file: &str, offset: u64, length: u64) -> DiskOperation {
    DiskOperation::Read { file: name(file), offset, length }
}

fn write(file: &str, offset: u64, pieces: &[&[u8]]) -> DiskOperation {
    let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    DiskOperation::Write { file: name(file), offset, pieces }
}

fn was_read(bytes: &[u8]) -> DiskResult {
    Ok(DiskOutcome::Read(Bytes::copy_from_slice(bytes)))
}

const DONE: DiskResult = Ok(DiskOutcome::Done);

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| ((i * 31) >> 3) as u8).collect()
}

fn portable() -> Box<dyn Backend> {
    Box::new(Portable)
}

/// None where the kernel forbids io_uring, as it does in many containers: nobody uses it there either.
fn uring() -> Option<Box<dyn Backend>> {
    match Uring::new() {
        Ok(uring) => Some(Box::new(uring)),
        Err(error) => {
            let forbidden = [ErrorKind::Unsupported, ErrorKind::PermissionDenied];
            assert!(forbidden.contains(&error.kind()), "{error}");
            None
        }
    }
}

/// Runs a case on both backends.
fn both(case: impl Fn(&mut Bed)) {
    case(&mut Bed::new(portable(), 16));
    uring().into_iter().for_each(|uring| case(&mut Bed::new(uring, 16)));
}

#[test]
fn files_are_created_written_read_and_deleted() {
    both(|bed| {
        assert_eq!(bed.run(create("a")), DONE);
        assert_eq!(bed.run(write("a", 0, &[b"hello, ", b"", b"world"])), DONE);
        assert_eq!(bed.run(sync("a")), DONE);
        assert_eq!(bed.run(read("a", 7, 3)), was_read(b"wor"));
        assert_eq!(bed.run(write("a", 7, &[b"W"])), DONE);
        assert_eq!(bed.run(read("a", 0, 12)), was_read(b"hello, World"));
        assert_eq!(bed.run(delete("a")), DONE);
        assert_eq!(bed.run(read("a", 0, 12)), Err(DiskError::NotFound));
        assert_eq!(bed.run(delete("a")), DONE, "one that isn't there is as good as deleted");
    });
}

#[test]
fn large_writes_meet_what_is_around_them() {
    // Longer than what is written at once; pieces of odd lengths; aligned as a whole, and not.
    let bytes = pattern(3 * 1024 * 1024 + 8192);
    let odd: Vec<&[u8]> = bytes.chunks(70_001).collect();
    for (at, length) in [(0, bytes.len()), (4096, bytes.len()), (4096, bytes.len() - 1), (100, bytes.len())] {
        both(|bed| {
            let mut pieces = odd.clone();
            let last = pieces.last_mut().unwrap();
            *last = &last[..last.len() - (bytes.len() - length)];
            bed.run(create("a")).unwrap();
            bed.run(write("a", 0, &[&vec![7; at]])).unwrap();
            bed.run(write("a", (at + length) as u64, &[b"behind"])).unwrap();
            assert_eq!(bed.run(write("a", at as u64, &pieces)), DONE);
            assert_eq!(bed.run(sync("a")), DONE);
            let whole = [&vec![7; at], &bytes[..length], b"behind"].concat();
            assert_eq!(bed.run(read("a", 0, u64::MAX)), was_read(&whole), "{at} {length}");
        });
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    both(|bed| {
        assert_eq!(bed.run(read("a", 0, 1)), Err(DiskError::NotFound));
        assert_eq!(bed.run(write("a", 0, &[b"x"])), Err(DiskError::NotFound));
        assert_eq!(bed.run(write("a", 0, &[&pattern(LARGE)])), Err(DiskError::NotFound));
        assert_eq!(bed.run(sync("a")), Err(DiskError::NotFound));
        assert_eq!(bed.run(DiskOperation::List), Ok(DiskOutcome::Listed(vec![])));
    });
}

#[test]
fn creating_again_empties() {
    both(|bed| {
        bed.run(create("a")).unwrap();
        bed.run(write("a", 0, &[b"old"])).unwrap();
        assert_eq!(bed.run(create("a")), DONE);
        assert_eq!(bed.run(read("a", 0, 10)), was_read(b""));
        bed.run(write("a", 0, &[b"new"])).unwrap();
        bed.run(delete("a")).unwrap();
        bed.run(create("a")).unwrap();
        assert_eq!(bed.run(read("a", 0, 10)), was_read(b""), "not the descriptor of the deleted one");
    });
}

#[test]
fn reads_end_where_the_file_does() {
    both(|bed| {
        bed.run(create("a")).unwrap();
        assert_eq!(bed.run(read("a", 0, 5)), was_read(b""));
        bed.run(write("a", 0, &[b"12345678"])).unwrap();
        assert_eq!(bed.run(read("a", 6, 5)), was_read(b"78"));
        assert_eq!(bed.run(read("a", 8, 5)), was_read(b""));
        assert_eq!(bed.run(read("a", 1 << 40, 5)), was_read(b""));
        assert_eq!(bed.run(read("a", u64::MAX, u64::MAX)), was_read(b""));
        assert_eq!(bed.run(read("a", 2, u64::MAX)), was_read(b"345678"), "and cost no more memory");
        assert_eq!(bed.run(read("a", 2, 0)), was_read(b""));
    });
}

#[test]
fn writes_leave_zeros_before_them_and_refuse_offsets_beyond_all_files() {
    both(|bed| {
        bed.run(create("a")).unwrap();
        bed.run(write("a", 3, &[b"x"])).unwrap();
        assert_eq!(bed.run(read("a", 0, 9)), was_read(b"\0\0\0x"));
        bed.run(create("b")).unwrap();
        assert_eq!(bed.run(write("b", u64::MAX, &[b"x"])), Err(DiskError::Failed));
        let listed = [("a", 4), ("b", 0), ("c", 0)].map(|(file, length)| (name(file), length)).to_vec();
        bed.run(create("c")).unwrap();
        for offset in [u64::MAX, u64::MAX - 7, i64::MAX as u64] {
            bed.run(delete("c")).unwrap();
            bed.run(create("c")).unwrap();
            assert_eq!(bed.run(write("c", offset, &[&pattern(LARGE)])), Err(DiskError::Failed), "{offset}");
            assert_eq!(bed.run(DiskOperation::List), Ok(DiskOutcome::Listed(listed.clone())));
        }
    });
}

#[test]
fn large_transfers_in_many_pieces_come_out_as_they_went_in() {
    both(|bed| {
        bed.run(create("a")).unwrap();
        let bytes = pattern(LARGE);
        // More pieces than the kernel takes at once.
        let pieces: Vec<&[u8]> = bytes.chunks(257).collect();
        assert!(pieces.len() > 2 * 1024);
        assert_eq!(bed.run(write("a", 5, &pieces)), DONE);
        assert_eq!(bed.run(sync("a")), DONE);
        assert_eq!(bed.run(read("a", 5, LARGE as u64)), was_read(&bytes));
        assert_eq!(bed.run(read("a", 100_005, 1 << 30)), was_read(&bytes[100_000..]));
    });
}

#[test]
fn many_operations_at_once_each_end_as_they_should() {
    both(|bed| {
        bed.run(create("a")).unwrap();
        let bytes = pattern(LARGE);
        let at = |number: u64| number * LARGE as u64;
        let writes = (0..20).map(|number| write("a", at(number), &[&bytes])).collect();
        assert_eq!(bed.together(writes), vec![DONE; 20]);
        let reads = (0..20).map(|number| read("a", at(number) + number, 200_000)).collect();
        for (number, result) in bed.together(reads).into_iter().enumerate() {
            assert_eq!(result, was_read(&bytes[number..][..200_000]));
        }
        // More than a ring holds, and more than its flights.
        let many = (0..1500).map(|number| read("a", number, 300_000)).collect();
        for (number, result) in bed.together(many).into_iter().enumerate() {
            assert_eq!(result, was_read(&bytes[number..][..300_000]));
        }
    });
}

#[test]
fn the_list_holds_files_that_a_role_can_name() {
    both(|bed| {
        for file in ["b", "a", "c"] {
            bed.run(create(file)).unwrap();
        }
        bed.run(write("b", 0, &[b"12345"])).unwrap();
        std::fs::create_dir(bed.path.path().join("folder")).unwrap();
        std::fs::write(bed.path.path().join(".hidden"), "").unwrap();
        std::fs::write(bed.path.path().join("no name for a role"), "").unwrap();
        symlink("/etc/passwd", bed.path.path().join("link")).unwrap();
        let files = [("a", 0), ("b", 5), ("c", 0)].map(|(file, length)| (name(file), length));
        assert_eq!(bed.run(DiskOperation::List), Ok(DiskOutcome::Listed(files.to_vec())));
        assert_eq!(bed.run(read("link", 0, 10)), Err(DiskError::Failed), "a link leads out of the folder");
        assert_eq!(bed.run(create("link")), Err(DiskError::Failed));
        assert_eq!(bed.run(read("folder", 0, 10)), Err(DiskError::Failed));
    });
}

#[test]
fn space_is_told() {
    both(|bed| {
        let Ok(DiskOutcome::Space { free, total }) = bed.run(DiskOperation::Space) else {
            panic!("no space is told")
        };
        assert!(0 < free && free <= total);
    });
}

#[test]
fn a_full_disk_is_told_and_forgiven() {
    both(|bed| {
        let full = || std::fs::File::options().read(true).write(true).open("/dev/full").unwrap();
        bed.plant(name("a"), full());
        assert_eq!(bed.run(write("a", 0, &[b"x"])), Err(DiskError::Full));
        assert_eq!(bed.run(write("a", 0, &[&pattern(LARGE)])), Err(DiskError::Full));
        assert!(!bed.distrust.holds(name("a")), "the file is as good as before");
    });
}

#[test]
fn a_failed_sync_is_final() {
    both(|bed| {
        // Nothing that writes to it can be synced: the kernel refuses to sync a device of this kind.
        let sink = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
        bed.plant(name("a"), sink);
        assert_eq!(bed.run(write("a", 0, &[b"x"])), DONE);
        assert_eq!(bed.run(sync("a")), Err(DiskError::Failed));
        std::fs::write(bed.path.path().join("a"), "as good as new").unwrap();
        bed.restart();
        for again in [sync("a"), read("a", 0, 5), write("a", 0, &[b"x"]), create("a")] {
            assert_eq!(bed.run(again.clone()), Err(DiskError::Failed), "{again:?}");
        }
        assert_eq!(bed.run(delete("a")), DONE);
        assert_eq!(bed.run(create("a")), DONE, "another file of the same name");
        assert_eq!(bed.run(sync("a")), DONE);
    });
}

#[test]
fn a_failed_write_is_final() {
    both(|bed| {
        for (file, length) in [("small", 10), ("large", LARGE)] {
            bed.run(create(file)).unwrap();
            let read_only = std::fs::File::open(bed.path.path().join(file)).unwrap();
            bed.plant(name(file), read_only);
            assert_eq!(bed.run(write(file, 0, &[&pattern(length)])), Err(DiskError::Failed));
            bed.restart();
            assert_eq!(bed.run(sync(file)), Err(DiskError::Failed));
        }
    });
}

#[test]
fn what_is_wanted_of_a_file_that_is_being_deleted_never_reaches_its_successor() {
    both(|bed| {
        for round in 0..20 {
            bed.run(create("a")).unwrap();
            bed.run(write("a", 0, &[b"old"])).unwrap();
            bed.restart();
            // Opened by the read, while the file goes away: one of the two comes first.
            let results = bed.together(vec![read("a", 0, 3), delete("a")]);
            assert!(results[0] == was_read(b"old") || results[0] == Err(DiskError::NotFound), "{round}");
            bed.run(create("a")).unwrap();
            assert_eq!(bed.run(read("a", 0, 3)), was_read(b""));
        }
    });
}
