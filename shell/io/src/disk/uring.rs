//! The backend in which the kernel waits for disks: one io_uring per shard.
//!
//! The ring's descriptor is watched with the sockets, so that a shard sleeps in one place. Buffers, pieces and
//! files belong to a flight from before its submission until after its completion; that is what the unsafe
//! blocks here rest on, and nothing else.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use bytes::Bytes;
use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};
use rustix::io::{Errno, ReadWriteFlags};
use step::{DiskOutcome, DiskResult};

use super::blocking::{self, PIECES_MAX};
use super::file::File;
use super::pool::Pool;
use super::through::{self, Aligned};
use super::{Backend, Finished, Ticket, Trace, Transfer};

/// Submissions that are handed over at once.
const SUBMISSIONS: u32 = 256;

/// Flights at once. As many completions fit into the ring, so it never overflows. Others wait in a queue,
/// which holds what nodes have in flight and is bounded as they bound that.
const FLIGHTS_MAX: u32 = 1024;

/// Kernel threads for what can't be done without waiting. A disk that hangs holds some of them.
const WORKERS_MAX: u32 = 64;

/// The most bytes of one read; the kernel's own limit is 2 GiB less a page.
const READ_MAX: usize = 1 << 30;

/// The longest read that the kernel may do on the shard. A copy of more would hold up the shard's guests; a SCO
/// that is read for its upload is one of those.
const INLINE_READ_MAX: u32 = 1 << 20;

/// Buffers of direct writes that are kept: a node has one such write at a time.
const BUFFERS_MAX: usize = 8;

/// A ring and what is in flight on it.
pub(crate) struct Uring {
    ring: IoUring,
    /// By the number that the kernel gives back.
    flights: Vec<Option<Flight>>,
    free: Vec<u32>,
    waiting: VecDeque<Flight>,
    /// Ended without the kernel.
    ended: Vec<Finished>,
    /// Buffers of direct writes that ended, for others.
    buffers: Vec<Aligned>,
    /// Whether the ring holds submissions that the kernel has not seen.
    unsubmitted: bool,
}

/// A transfer that the kernel may work on.
struct Flight {
    ticket: Ticket,
    file: Arc<File>,
    what: What,
}

enum What {
    Read {
        offset: u64,
        length: u64,
        /// Read so far; its spare capacity is still to be read.
        buffer: Vec<u8>,
    },
    Write {
        offset: u64,
        /// Keeps alive what `slices` point to; dropped after them.
        slices: Vec<IoSlice<'static>>,
        /// Slices before this one are written.
        first: usize,
        _pieces: Vec<Bytes>,
        /// Whether a sync follows.
        through: bool,
    },
    /// Past the page cache, and durable in one call.
    Direct {
        offset: u64,
        buffer: Aligned,
        /// What it holds, should the kernel not take it that way.
        pieces: Vec<Bytes>,
    },
    Sync {
        begun: u64,
    },
}

/// What a completion means for a flight.
enum Next {
    Again,
    Ended(DiskResult),
}

impl Uring {
    /// A ring for this thread.
    pub(crate) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .dontfork()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_cqsize(FLIGHTS_MAX)
            .build(SUBMISSIONS)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let needed = [opcode::Read::CODE, opcode::Writev::CODE, opcode::Fsync::CODE];
        if !needed.into_iter().all(|code| probe.is_supported(code)) || !ring.params().is_feature_nodrop() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel's io_uring is too old"));
        }
        // A kernel that doesn't know how to limit them has a limit of its own.
        let _ = ring.submitter().register_iowq_max_workers(&mut [WORKERS_MAX, 0]);
        let free = (0..FLIGHTS_MAX).rev().collect();
        let flights = (0..FLIGHTS_MAX).map(|_| None).collect();
        let (waiting, ended, buffers) = (VecDeque::new(), Vec::new(), Vec::new());
        Ok(Uring { ring, flights, free, waiting, ended, buffers, unsubmitted: false })
    }

    fn launch(&mut self, flight: Flight) {
        let Some(number) = self.free.pop() else { return self.waiting.push_back(flight) };
        // In its place first: the kernel works on what doesn't end before it is done.
        let entry = self.flights[number as usize].insert(flight).entry().user_data(u64::from(number));
        if self.ring.submission().is_full() {
            self.submit();
        }
        // SAFETY: file, buffer, slices and pieces that the entry points to belong to the flight, which stays
        // in `flights` until its completion is taken from the ring, or for ever (`drop`). Their heap memory
        // doesn't move with it, and nobody else touches a buffer that is being read into.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("a full ring was submitted");
        self.unsubmitted = true;
    }

    fn submit(&mut self) {
        loop {
            match self.ring.submit() {
                Ok(_) => break,
                // Short of memory for the moment, or interrupted. Nothing is lost: entries stay in the ring.
                Err(error) if is_passing(&error) => std::thread::yield_now(),
                Err(error) => panic!("the kernel refuses a ring of ours: {error}"),
            }
        }
        self.unsubmitted = false;
    }

    fn land(&mut self, completion: &cqueue::Entry, done: &mut dyn FnMut(Finished)) {
        let number = u32::try_from(completion.user_data()).expect("numbers of flights are ours");
        let mut flight = self.flights[number as usize].take().expect("a flight lands once");
        self.free.push(number);
        match flight.on_completion(completion.result()) {
            Next::Again => self.launch(flight),
            Next::Ended(result) => {
                if let What::Direct { buffer, .. } = flight.what
                    && self.buffers.len() < BUFFERS_MAX
                {
                    self.buffers.push(buffer);
                }
                done(Finished { ticket: flight.ticket, result, trace: Trace::Nothing });
            }
        }
    }

    /// What a transfer is to the kernel.
    fn what(&mut self, file: &File, transfer: Transfer) -> Result<What, step::DiskError> {
        match transfer {
            Transfer::WriteThrough { offset, pieces } if through::is_direct(file, offset, &pieces) => {
                let mut buffer = self.buffers.pop().unwrap_or_default();
                buffer.fill(&pieces);
                Ok(What::Direct { offset, buffer, pieces })
            }
            other => What::new(file, other),
        }
    }

    fn in_flight(&self) -> usize {
        self.flights.len() - self.free.len()
    }
}

impl Backend for Uring {
    fn start(&mut self, _pool: &mut Pool, ticket: Ticket, file: Arc<File>, transfer: Transfer) {
        match self.what(&file, transfer) {
            Ok(what) => self.launch(Flight { ticket, file, what }),
            Err(error) => {
                self.ended.push(Finished { ticket, result: Err(error), trace: Trace::Nothing });
            }
        }
    }

    fn flush(&mut self) {
        if self.unsubmitted {
            self.submit();
        }
    }

    fn reap(&mut self, done: &mut dyn FnMut(Finished)) {
        self.ended.drain(..).for_each(&mut *done);
        while let Some(completion) = { self.ring.completion().next() } {
            self.land(&completion, done);
        }
        while !self.free.is_empty() {
            let Some(flight) = self.waiting.pop_front() else { break };
            self.launch(flight);
        }
        self.flush();
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the ring owns the descriptor, and the borrow of `self` keeps the ring.
        Some(unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) })
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        self.waiting.clear();
        while self.in_flight() > 0 {
            match self.ring.submit_and_wait(1) {
                Ok(_) => self.reap(&mut |_| {}),
                Err(error) if is_passing(&error) => {}
                Err(_) => {
                    // The kernel may write into the buffers as long as it likes: they are never freed.
                    std::mem::forget(std::mem::take(&mut self.flights));
                    return;
                }
            }
        }
    }
}

impl What {
    fn new(file: &File, transfer: Transfer) -> Result<Self, step::DiskError> {
        Ok(match transfer {
            Transfer::Read { offset, length } => {
                let buffer = blocking::read_buffer(file, offset, length)?;
                What::Read { offset, length, buffer }
            }
            Transfer::Write { offset, pieces } => What::write(file, offset, pieces, false),
            Transfer::WriteThrough { offset, pieces } => What::write(file, offset, pieces, true),
            Transfer::Sync => What::Sync { begun: file.begin_sync() },
        })
    }

    fn write(file: &File, offset: u64, pieces: Vec<Bytes>, through: bool) -> Self {
        file.on_write();
        let slices = pieces.iter().filter(|piece| !piece.is_empty());
        // SAFETY: the bytes live on the heap (or for ever) as long as a `Bytes` of them does, which is
        // in the same flight, declared behind the slices and so dropped after them. Nothing outside
        // this module sees a slice.
        let slices = slices.map(|piece| unsafe { std::slice::from_raw_parts(piece.as_ptr(), piece.len()) });
        What::Write { offset, slices: slices.map(IoSlice::new).collect(), first: 0, _pieces: pieces, through }
    }
}

impl Flight {
    fn entry(&mut self) -> squeue::Entry {
        let descriptor = types::Fd(self.file.descriptor.as_fd().as_raw_fd());
        match &mut self.what {
            What::Read { offset, buffer, .. } => {
                let at = *offset + buffer.len() as u64;
                let room = buffer.spare_capacity_mut();
                let length = room.len().min(READ_MAX) as u32;
                let entry =
                    opcode::Read::new(descriptor, room.as_mut_ptr().cast(), length).offset(at).build();
                // What the page cache holds would be copied while it is submitted, by the shard.
                if length > INLINE_READ_MAX { entry.flags(squeue::Flags::ASYNC) } else { entry }
            }
            What::Write { offset, slices, first, .. } => {
                let rest = &slices[*first..];
                let count = rest.len().min(PIECES_MAX);
                // `IoSlice` is promised to be an `iovec`.
                opcode::Writev::new(descriptor, rest.as_ptr().cast(), count as u32).offset(*offset).build()
            }
            What::Direct { offset, buffer, .. } => {
                let direct = self.file.direct.get().and_then(Option::as_ref).expect("there is a way");
                let (bytes, descriptor) = (buffer.bytes(), types::Fd(direct.as_raw_fd()));
                opcode::Write::new(descriptor, bytes.as_ptr(), bytes.len() as u32)
                    .offset(*offset)
                    .rw_flags(ReadWriteFlags::DSYNC.bits() as i32)
                    .build()
            }
            What::Sync { .. } => opcode::Fsync::new(descriptor).flags(types::FsyncFlags::DATASYNC).build(),
        }
    }

    fn on_completion(&mut self, result: i32) -> Next {
        let outcome = match u32::try_from(result) {
            Ok(count) => Ok(count as usize),
            Err(_) => Err(Errno::from_raw_os_error(-result)),
        };
        match &mut self.what {
            What::Read { buffer, length, .. } => on_read(&self.file, buffer, *length, outcome),
            What::Write { offset, slices, first, _pieces, through } => {
                let next = on_write(&self.file, offset, slices, first, outcome);
                if let Next::Ended(_) = next {
                    self.file.on_write();
                }
                if matches!(next, Next::Ended(Ok(_))) && *through {
                    self.what = What::Sync { begun: self.file.begin_sync() };
                    return Next::Again;
                }
                next
            }
            What::Direct { offset, buffer, pieces } => match outcome {
                Ok(count) if count == buffer.bytes().len() => Next::Ended(Ok(DiskOutcome::Done)),
                Err(Errno::INTR | Errno::AGAIN) => Next::Again,
                Err(error) if !through::is_refused(error) => {
                    Next::Ended(Err(blocking::write_error(&self.file, error)))
                }
                // What the kernel refuses or leaves there goes the other way, all of it.
                _ => {
                    self.what = What::write(&self.file, *offset, std::mem::take(pieces), true);
                    Next::Again
                }
            },
            What::Sync { begun } => Next::Ended(match outcome {
                Ok(_) => {
                    self.file.on_synced(*begun);
                    Ok(DiskOutcome::Done)
                }
                Err(error) => Err(blocking::sync_error(&self.file, error)),
            }),
        }
    }
}

fn on_read(file: &File, buffer: &mut Vec<u8>, length_max: u64, outcome: Result<usize, Errno>) -> Next {
    match outcome {
        Ok(count) => {
            let length = buffer.len() + count;
            assert!(length <= buffer.capacity(), "the kernel reads no more than was asked for");
            // SAFETY: the kernel filled `count` bytes behind those that were there, within the capacity.
            unsafe { buffer.set_len(length) };
            if count > 0 && length < buffer.capacity() {
                return Next::Again;
            }
            Next::Ended(Ok(blocking::was_read(std::mem::take(buffer), length_max)))
        }
        Err(Errno::INTR | Errno::AGAIN) => Next::Again,
        Err(error) => Next::Ended(Err(blocking::read_error(file, error))),
    }
}

fn on_write(
    file: &File,
    offset: &mut u64,
    slices: &mut [IoSlice<'static>],
    first: &mut usize,
    outcome: Result<usize, Errno>,
) -> Next {
    match outcome {
        Ok(count) => {
            let mut rest = &mut slices[*first..];
            let before = rest.len();
            *offset += count as u64;
            IoSlice::advance_slices(&mut rest, count);
            let left = rest.len();
            *first += before - left;
            match (left, count) {
                (0, _) => Next::Ended(Ok(DiskOutcome::Done)),
                (_, 0) => Next::Ended(Err(blocking::write_error(file, Errno::IO))),
                _ => Next::Again,
            }
        }
        Err(Errno::INTR | Errno::AGAIN) => Next::Again,
        Err(error) => Next::Ended(Err(blocking::write_error(file, error))),
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INTR | Errno::AGAIN | Errno::BUSY))
}
