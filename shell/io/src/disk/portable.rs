//! The backend that runs anywhere: threads block in system calls.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::file::File;
use super::pool::Pool;
use super::{Backend, Finished, Ticket, Transfer};

/// Gives every transfer to the threads of its folder.
pub(crate) struct Portable;

impl Backend for Portable {
    fn start(&mut self, pool: &mut Pool, ticket: Ticket, file: Arc<File>, transfer: Transfer) {
        pool.transfer(ticket, file, transfer);
    }

    fn flush(&mut self) {}

    fn reap(&mut self, _done: &mut dyn FnMut(Finished)) {}

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
