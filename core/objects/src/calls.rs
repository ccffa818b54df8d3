//! Requests to ASDs that have no answer yet.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use formats::message::asd::{AsdBody, AsdKey};
use glossary::AttemptId;
use step::Timestamp;

/// Tries of one request: a message may be lost, and then another one gets through.
const TRIES: u8 = 2;

/// How often an ASD may say "not now" to one request before others are asked instead.
const POSTPONED_MAX: u8 = 8;

/// Who wants the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// An upload, or what it left behind: a fragment is being stored.
    Fragment { task: u64, chunk: u16, index: u8, attempt: AttemptId },
    /// A read: blocks of a fragment.
    Blocks { task: u64, segment: u32, index: u8 },
    /// A sweep, a collection or a scan: keys, or their removal.
    Sweep { task: u64 },
    /// Nobody: a fragment that is garbage, and is deleted once its OSD has answered or is silent.
    Orphan { key: AsdKey },
    /// The garbage of its OSD.
    Garbage,
    /// The question whether it is there.
    Probe,
}

/// A request that has no answer yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) osd: usize,
    pub(crate) owner: Owner,
    /// What was asked, to ask it again; none where that isn't worth the memory.
    pub(crate) body: Option<AsdBody>,
    pub(crate) first_sent: Timestamp,
    pub(crate) due: Timestamp,
    pub(crate) patience: Duration,
    tries: u8,
    postponed: u8,
    /// It was told "not now", and waits to be sent again.
    waits: bool,
}

impl Call {
    pub(crate) fn new(osd: usize, owner: Owner, body: AsdBody, now: Timestamp, patience: Duration) -> Self {
        let due = now.after(patience);
        Call {
            osd,
            owner,
            body: Some(body),
            first_sent: now,
            due,
            patience,
            tries: 1,
            postponed: 0,
            waits: false,
        }
    }

    /// Takes another try, when there is one left.
    pub(crate) fn try_again(&mut self, now: Timestamp) -> Option<&AsdBody> {
        if !core::mem::take(&mut self.waits) {
            if self.tries == TRIES {
                return None;
            }
            self.tries += 1;
        }
        self.due = now.after(self.patience);
        self.body.as_ref()
    }

    /// Puts the next try off, when that hasn't been done too often.
    pub(crate) fn postpone(&mut self, until: Timestamp) -> bool {
        let may = self.postponed < POSTPONED_MAX && self.body.is_some();
        if may {
            self.postponed += 1;
            self.waits = true;
            self.due = until;
        }
        may
    }
}

/// Why a call came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No answer, in spite of a second try; or one that says: not now.
    Silent,
    /// No room.
    Full,
    /// What was asked for isn't there, or is damaged.
    Gone,
    /// It can't be done, for a reason that will stay.
    Refused,
}

/// All of them, by the number of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    list: BTreeMap<u64, Call>,
}

impl Calls {
    pub(crate) fn insert(&mut self, request: u64, call: Call) {
        self.list.insert(request, call);
    }

    pub(crate) fn get_mut(&mut self, request: u64) -> Option<&mut Call> {
        self.list.get_mut(&request)
    }

    pub(crate) fn get(&self, request: u64) -> Option<&Call> {
        self.list.get(&request)
    }

    pub(crate) fn remove(&mut self, request: u64) -> Option<Call> {
        self.list.remove(&request)
    }

    /// Since when somebody has been waiting for an OSD; who only asks whether it is there doesn't.
    pub(crate) fn waits_since(&self, osd: usize) -> Option<Timestamp> {
        let waits = |call: &&Call| call.osd == osd && call.owner != Owner::Probe;
        self.list.values().filter(waits).map(|call| call.first_sent).min()
    }

    /// Who waits.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.list.values().map(|call| &call.owner)
    }

    /// The requests that an OSD hasn't answered.
    pub(crate) fn of_osd(&self, osd: usize) -> Vec<u64> {
        self.list.iter().filter(|(_, call)| call.osd == osd).map(|(request, _)| *request).collect()
    }
}
