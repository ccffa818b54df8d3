//! Changes that touch a part of a cluster: old contents are read and checked, the new bytes are laid over
//! them, and the merged cluster gets its checksum from these checked parts (F1).
//!
//! The queue waits meanwhile, so nothing can come between the read and the write of the merged clusters.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use formats::Payload;
use glossary::CLUSTER_BYTES;

use super::Serving;
use super::change::{Change, ChangeKind, Part};
use super::read::ReadPurpose;
use crate::context::Context;
use crate::counters::Counter;

/// A change that waits for old contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    number: u64,
    offset: u64,
    length: u64,
    /// The new bytes; none for a discard.
    payload: Option<Payload>,
    /// The clusters that are touched in part, in order: one or two.
    partial: Vec<u64>,
}

impl Serving {
    /// Reads the old contents of the clusters that the change at the head of the queue touches in part.
    pub(crate) fn start_merge(&mut self, context: &mut Context<'_>) {
        let Some(change) = self.queue.front_mut() else { return };
        let (offset, length, payload) = match core::mem::replace(&mut change.kind, ChangeKind::Merging) {
            ChangeKind::PartialWrite { offset, payload } => (offset, payload.len() as u64, Some(payload)),
            ChangeKind::PartialDiscard { offset, length } => (offset, length, None),
            ChangeKind::Merging | ChangeKind::Parts(_) => unreachable!("only partial changes are merged"),
        };
        let end = offset + length;
        let head = (!offset.is_multiple_of(CLUSTER_BYTES)).then_some(offset / CLUSTER_BYTES);
        let tail = (!end.is_multiple_of(CLUSTER_BYTES)).then_some(end / CLUSTER_BYTES);
        let mut partial: Vec<u64> = head.into_iter().chain(tail).collect();
        partial.dedup();
        let ranges: Vec<(u64, u64)> = partial.iter().map(|cluster| (*cluster, cluster + 1)).collect();
        context.count(Counter::Merges, 1);
        let number = self.next_read;
        self.merging = Some(Merge { number, offset, length, payload, partial });
        self.start_read(ReadPurpose::Merge(number), &ranges, context);
    }

    /// The old contents are here: the change at the head of the queue goes on as one of whole clusters.
    pub(crate) fn merge(&mut self, number: u64, old: &Payload, context: &mut Context<'_>) {
        let Some(merge) = self.merging.take_if(|merge| merge.number == number) else { return };
        if !merge.payload.as_ref().is_none_or(Payload::verify) {
            self.refuse_head("the data was damaged on its way here", context);
            return;
        }
        let parts = merge.parts(&old.contiguous());
        if let Some(change) = self.merge_target() {
            change.kind = ChangeKind::Parts(parts.into());
        }
    }

    pub(crate) fn merge_failed(&mut self, number: u64, why: &str, context: &mut Context<'_>) {
        if self.merging.take_if(|merge| merge.number == number).is_some() {
            self.refuse_head(why, context);
        }
    }

    fn refuse_head(&mut self, why: &str, context: &mut Context<'_>) {
        if self.merge_target().is_some() {
            let change = self.queue.pop_front().expect("the change at the head");
            self.answer_io_error(change.reply, why, context);
            self.take_back(&change);
        }
    }

    /// The change that waits.
    fn merge_target(&mut self) -> Option<&mut Change> {
        self.queue.front_mut().filter(|change| change.kind == ChangeKind::Merging)
    }
}

impl Merge {
    fn parts(&self, old: &[u8]) -> VecDeque<Part> {
        match &self.payload {
            Some(payload) => VecDeque::from([self.merged_write(payload, old)]),
            None => self.merged_discard(old),
        }
    }

    /// One write of all clusters, the first and last filled up with what was there.
    fn merged_write(&self, payload: &Payload, old: &[u8]) -> Part {
        let first = self.offset / CLUSTER_BYTES;
        let end = (self.offset + self.length).div_ceil(CLUSTER_BYTES);
        let mut bytes = alloc::vec![0; ((end - first) * CLUSTER_BYTES) as usize];
        self.lay_old(&mut bytes, first, old);
        let mut at = (self.offset - first * CLUSTER_BYTES) as usize;
        for piece in payload.pieces() {
            bytes[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        Part::Write { address: first, payload: Payload::entering(bytes.into()), done: 0 }
    }

    /// The clusters touched in part are written with zeros in the range; those between are let go of.
    fn merged_discard(&self, old: &[u8]) -> VecDeque<Part> {
        let (from, to) = (self.offset, self.offset + self.length);
        let mut parts: VecDeque<Part> = VecDeque::new();
        for (index, cluster) in self.partial.iter().enumerate() {
            let mut bytes = old[index * CLUSTER_BYTES as usize..][..CLUSTER_BYTES as usize].to_vec();
            let start = cluster * CLUSTER_BYTES;
            let (zero_from, zero_to) = (from.max(start) - start, to.min(start + CLUSTER_BYTES) - start);
            bytes[zero_from as usize..zero_to as usize].fill(0);
            parts.push_back(Part::Write {
                address: *cluster,
                payload: Payload::entering(bytes.into()),
                done: 0,
            });
        }
        let (first, end) = (from.div_ceil(CLUSTER_BYTES), to / CLUSTER_BYTES);
        if first < end {
            parts.push_back(Part::Discard { address: first, clusters: end - first });
        }
        parts
    }

    fn lay_old(&self, bytes: &mut [u8], first: u64, old: &[u8]) {
        for (index, cluster) in self.partial.iter().enumerate() {
            let from = &old[index * CLUSTER_BYTES as usize..][..CLUSTER_BYTES as usize];
            bytes[((cluster - first) * CLUSTER_BYTES) as usize..][..CLUSTER_BYTES as usize]
                .copy_from_slice(from);
        }
    }
}
