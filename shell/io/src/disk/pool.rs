//! The threads of one folder, which wait for its disk.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use step::DiskResult;

use super::file::{Distrust, File};
use super::table::{Place, Tables};
use super::{Finished, Job, Ticket, Trace, Transfer, blocking, direct, through};
use crate::guard::AbortOnPanic;

/// Takes what a pool finished to where it is waited for. Called on the pool's threads.
pub(crate) type Sink = Arc<dyn Fn(Finished) + Send + Sync>;

/// Threads come as they are needed, up to a bound, and go with the folder.
///
/// The queue holds what the node has in flight; nodes bound that themselves (each operation belongs to a
/// batch, a request or a segment that holds a permit), so the queue needs no bound of its own.
pub(crate) struct Pool {
    queue: Sender<Errand>,
    waiting: Receiver<Errand>,
    shared: Arc<Shared>,
    threads: usize,
    threads_max: usize,
}

struct Shared {
    folder: OwnedFd,
    distrust: Distrust,
    tables: Tables,
    sink: Sink,
    /// Errands that were queued and have not ended.
    pending: AtomicUsize,
}

#[derive(Debug)]
struct Errand {
    ticket: Ticket,
    epoch: u64,
    job: Job,
}

impl Pool {
    /// A pool without threads yet, for an open folder.
    pub(super) fn new(folder: OwnedFd, distrust: Distrust, threads_max: usize, sink: Sink) -> Self {
        assert!(threads_max > 0, "somebody must wait for the disk");
        let (queue, waiting) = crossbeam_channel::unbounded();
        let shared = Arc::new(Shared {
            folder,
            distrust,
            tables: Tables::default(),
            sink,
            pending: AtomicUsize::new(0),
        });
        Pool { queue, waiting, shared, threads: 0, threads_max }
    }

    /// Starts a job; `epoch` comes back with what it opened.
    pub(super) fn start(&mut self, ticket: Ticket, epoch: u64, job: Job) {
        let pending = self.shared.pending.fetch_add(1, Ordering::Relaxed) + 1;
        if pending > self.threads && self.threads < self.threads_max {
            self.grow();
        }
        self.hand_over(Errand { ticket, epoch, job });
    }

    /// Starts a transfer of a file that is open.
    pub(super) fn transfer(&mut self, ticket: Ticket, file: Arc<File>, transfer: Transfer) {
        self.start(ticket, 0, Job::Use(file, transfer));
    }

    /// Starts a write of an open file that goes past the page cache where the file system lets it.
    pub(super) fn write_direct(&mut self, ticket: Ticket, file: Arc<File>, offset: u64, pieces: Vec<Bytes>) {
        self.start(ticket, 0, Job::WriteDirect { file, offset, pieces });
    }

    /// Opens the way past the page cache to a file whose writes go through it from now on, where there is one.
    pub(super) fn open_direct(&self, file: &File) {
        file.direct.get_or_init(|| direct::open(self.shared.folder.as_fd(), file));
    }

    fn hand_over(&self, errand: Errand) {
        if self.threads == 0 {
            // The machine has no thread to give; waiting here is slow, and right.
            return self.shared.run(errand);
        }
        self.queue.send(errand).expect("the pool holds a receiver");
    }

    fn grow(&mut self) {
        let (waiting, shared) = (self.waiting.clone(), Arc::clone(&self.shared));
        let body = move || {
            let _whole = AbortOnPanic("a thread of a disk");
            waiting.iter().for_each(|errand| shared.run(errand));
        };
        match thread::Builder::new().name("disk".into()).stack_size(256 * 1024).spawn(body) {
            Ok(_) => self.threads += 1,
            Err(error) => tracing::warn!(%error, "no further thread for a disk"),
        }
    }
}

impl Shared {
    fn run(&self, errand: Errand) {
        let (result, trace) = self.carry_out(errand.job, errand.epoch);
        self.pending.fetch_sub(1, Ordering::Relaxed);
        (self.sink)(Finished { ticket: errand.ticket, result, trace });
    }

    fn place(&self) -> Place<'_> {
        Place { folder: self.folder.as_fd(), distrust: &self.distrust }
    }

    fn carry_out(&self, job: Job, epoch: u64) -> (DiskResult, Trace) {
        let folder = self.folder.as_fd();
        match job {
            Job::Use(file, transfer) => (use_file(&file, transfer), Trace::Nothing),
            Job::WriteDirect { file, offset, pieces } => {
                let written = file.trusted().and_then(|()| direct::write(folder, &file, offset, &pieces));
                (written, Trace::Nothing)
            }
            Job::OpenAndUse(name, transfer) => match blocking::open(folder, name, &self.distrust) {
                Ok(file) => (use_file(&file, transfer), Trace::Opened(Arc::new(file), epoch)),
                Err(error) => (Err(error), Trace::Nothing),
            },
            Job::Create(name) => match blocking::create(folder, name, &self.distrust) {
                Ok(file) => (Ok(step::DiskOutcome::Done), Trace::Opened(Arc::new(file), epoch)),
                Err(error) => (Err(error), Trace::Nothing),
            },
            Job::Delete(name) => {
                self.tables.close(name);
                (blocking::delete(folder, name, &self.distrust), Trace::Deleted(name))
            }
            Job::List => (blocking::list(folder), Trace::Nothing),
            Job::Space => (blocking::space(folder), Trace::Nothing),
            Job::Commit { table, changes } => {
                (self.tables.commit(self.place(), table, &changes), Trace::Nothing)
            }
            Job::ReadOn { table, after, bytes_max } => {
                (self.tables.read_on(self.place(), table, after.as_deref(), bytes_max), Trace::Nothing)
            }
        }
    }
}

fn use_file(file: &File, transfer: Transfer) -> DiskResult {
    file.trusted()?;
    super::folder::possible(&transfer)?;
    match transfer {
        Transfer::Read { offset, length } => blocking::read(file, offset, length),
        Transfer::Write { offset, pieces } => blocking::write(file, offset, &pieces),
        Transfer::WriteThrough { offset, pieces } => through::write(file, offset, &pieces),
        Transfer::Sync => blocking::sync(file),
    }
}
