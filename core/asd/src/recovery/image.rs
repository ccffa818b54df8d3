//! A checkpoint that was read.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bytes::Bytes;
use formats::asd_record::checkpoint::{Entry, decode_label, entries};
use formats::journal::{Kind, Mark, scan};

use crate::holders::Holders;
use crate::index::{Key, Slot, Tombstone, Value};
use crate::names::MAX_SEQUENCE;

/// What a whole checkpoint says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// From where the log has to be followed.
    pub(crate) mark: Mark,
    /// Up to where the log was synced when the checkpoint was completed.
    pub(crate) synced: Mark,
    pub(crate) segments: BTreeSet<u64>,
    pub(crate) slots: Vec<(Key, Slot)>,
}

impl Image {
    /// Reads the checkpoint of this number; `None` when it is torn or damaged anywhere.
    pub(crate) fn read(bytes: &Bytes, owner: &[u8; 16], number: u64) -> Option<Self> {
        let scan = scan(bytes, Kind::ASD_CHECKPOINT, owner, number).ok()?;
        let mut image = Image { mark: decode_label(&scan.header.label)?, ..Image::default() };
        let (mut count, mut is_over) = (0_u64, false);
        for entry in scan.batches.iter().flat_map(|batch| entries(&batch.body)) {
            if is_over {
                return None;
            }
            match entry? {
                Entry::Segment { sequence, .. } => {
                    image.segments.insert(sequence);
                }
                Entry::Value(value) => image.slots.push((
                    value.key.into(),
                    Slot::Value(Value {
                        segment: value.segment,
                        oldest: value.oldest,
                        position: value.position,
                        length: value.length,
                        crc: value.crc,
                        damaged: value.damaged,
                        wide: value.wide,
                    }),
                )),
                Entry::Tombstone(tombstone) => {
                    let holders =
                        Holders { oldest: tombstone.oldest, newest: tombstone.newest, wide: tombstone.wide };
                    let (segment, position) = (tombstone.segment, tombstone.position);
                    let slot = Slot::Tombstone(Tombstone { segment, position, holders });
                    image.slots.push((tombstone.key.into(), slot));
                }
                Entry::End { entries, synced } => {
                    (is_over, image.synced) = (entries == count, synced);
                }
            }
            count += 1;
        }
        let newest =
            image.slots.iter().map(|(_, slot)| slot.segment()).chain(image.segments.iter().copied()).max();
        let is_possible = newest.max(Some(image.mark.sequence)) <= Some(MAX_SEQUENCE);
        (is_over && is_possible).then_some(image)
    }
}
