//! Which parts of a range hold data: NBD's block status.

use alloc::vec::Vec;
use formats::message::edge::{EdgeAnswer, EdgeError};
use glossary::CLUSTER_BYTES;

use super::Serving;
use super::change::ReplyTo;
use crate::context::Context;

/// Extents in one answer.
const EXTENTS_MAX: usize = 1024;

/// Clusters looked up at a time, so that a range of terabytes costs what is answered of it.
const WINDOW_CLUSTERS: u64 = 64 << 10;

impl Serving {
    pub(crate) fn extents(&mut self, reply: ReplyTo, offset: u64, length: u64, context: &mut Context<'_>) {
        let Some(end) = offset.checked_add(length).filter(|end| *end <= self.record.size.0 && length > 0)
        else {
            self.answer(reply, EdgeAnswer::Failed(EdgeError::OutOfBounds), context);
            return;
        };
        let mut extents: Vec<(u64, bool)> = Vec::new();
        let mut at = offset / CLUSTER_BYTES;
        let last = end.div_ceil(CLUSTER_BYTES);
        while at < last && extents.len() < EXTENTS_MAX {
            let to = (at + WINDOW_CLUSTERS).min(last);
            for run in self.look_up(at, to) {
                let from_byte = (run.address.0 * CLUSTER_BYTES).max(offset);
                let bytes = (run.end() * CLUSTER_BYTES).min(end) - from_byte;
                let written = !run.location.is_none();
                match extents.last_mut() {
                    Some((length, same)) if *same == written => *length += bytes,
                    _ => extents.push((bytes, written)),
                }
            }
            at = to;
        }
        extents.truncate(EXTENTS_MAX);
        self.answer(reply, EdgeAnswer::Extents(extents), context);
    }
}
