//! Requests of a connection that are not answered.

use std::collections::BTreeMap;
use std::time::Duration;

use step::Timestamp;

/// A request that is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Bytes of the budget that it holds.
    pub(crate) bytes: usize,
    /// When it came.
    pub(crate) since: Timestamp,
    /// What it asks for, where that is written into the audit trail.
    pub(crate) verb: Option<String>,
}

/// Those of one connection, by the asker's number. Bounded: nothing is read from a connection that has many.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    open: BTreeMap<u64, Request>,
}

impl Requests {
    /// A request came. Gives back the one before it with the same number, which was sent again.
    pub(crate) fn open(&mut self, number: u64, request: Request) -> Option<Request> {
        self.open.insert(number, request)
    }

    /// An answer went out.
    pub(crate) fn close(&mut self, number: u64) -> Option<Request> {
        self.open.remove(&number)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Those that came longer ago: they are never answered, and who asked knows by its own clock.
    pub(crate) fn expire(&mut self, now: Timestamp, after: Duration) -> Vec<Request> {
        self.open
            .extract_if(.., |_, request| now.since(request.since) > after)
            .map(|(_, gone)| gone)
            .collect()
    }

    /// The connection is gone: all of them.
    pub(crate) fn drain(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.open).into_values().collect()
    }
}
