//! One sample of every variant of every message, for tests: golden bytes, round trips, mutations.
//!
//! Each enum has a function that leads from one variant to the next by an exhaustive `match`, so that a new
//! variant without a sample doesn't compile.

mod backend;
mod front;
mod member;
mod store;

use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use glossary::{
    AttemptId, ByteCount, Generation, ObjectId, OsdId, OsdIdentity, Policy, ScoId, TlogId, VdiskName,
};

use crate::manifest::{Manifest, Placed};
use crate::namespace::{ChainHead, ObjectName};
use crate::{Message, Payload};

/// All samples: each variant of each message, of each thing that a message holds, at least once.
pub fn messages() -> Vec<Message> {
    let mut messages = front::messages();
    messages.extend(backend::messages());
    messages.extend(store::messages());
    messages.extend(member::messages());
    messages
}

/// A small manifest: two chunks, one fragment missing.
pub fn manifest() -> Manifest {
    let placed = |osd, attempt| Some(Placed { osd: OsdId(osd), attempt: AttemptId(attempt) });
    Manifest {
        object: object(),
        revision: 3,
        policy: Policy { k: 1, m: 1, c: 1, x: 1 },
        size: 8192,
        checksum: 0x1122_3344,
        block_clusters: 4,
        fragment_clusters: 1,
        gc_epoch: 1,
        chunks: vec![vec![placed(1, 11), placed(2, 12)], vec![placed(3, 13), None]],
    }
}

/// Walks a chain of variants from the first to the last.
fn all<T>(next: impl Fn(Option<&T>) -> Option<T>) -> impl Iterator<Item = T> {
    core::iter::successors(next(None), move |last| next(Some(last)))
}

fn payload() -> Payload {
    Payload::entering(Bytes::from_static(b"a payload"))
}

fn name() -> VdiskName {
    VdiskName::new("disk1").expect("a name")
}

fn object() -> ObjectId {
    ObjectId([0xab; 32])
}

fn osd_identity() -> OsdIdentity {
    OsdIdentity([0xcd; 16])
}

fn sco() -> ObjectName {
    ObjectName::Sco(ScoId(0x1234_5678_9abc))
}

fn tlog() -> ObjectName {
    ObjectName::Tlog(TlogId { generation: Generation(2), sequence: 9 })
}

fn head() -> ChainHead {
    ChainHead { tlog: TlogId { generation: Generation(2), sequence: 9 }, checksum: 0xdead_beef }
}

fn size() -> ByteCount {
    ByteCount(10 << 30)
}
