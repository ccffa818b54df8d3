//! A vDisk cut into the smallest parts that operations treat alike: sectors, and parts of them where an
//! operation began or ended within one. Each is a register of its own.

use core::ops::Range;

use crate::disk::SECTOR_BYTES;
use crate::workload::Operation;

/// The cut.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    /// Where each begins, in order; the last entry is the vDisk's end.
    borders: Vec<u64>,
}

impl Cells {
    pub(crate) fn new(size: u64, operations: &[Operation]) -> Self {
        let sectors = (0..=size).step_by(SECTOR_BYTES);
        let ends = operations.iter().map(|operation| operation.request.range());
        let mut borders: Vec<u64> = sectors.chain(ends.flat_map(|range| [range.start, range.end])).collect();
        borders.sort_unstable();
        borders.dedup();
        Cells { borders }
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.borders.len() - 1
    }

    /// The bytes of one.
    pub(crate) fn bytes(&self, cell: usize) -> Range<u64> {
        self.borders[cell]..self.borders[cell + 1]
    }

    /// Those that lie within a range of bytes.
    pub(crate) fn within(&self, bytes: &Range<u64>) -> Range<usize> {
        let first = self.borders.partition_point(|&border| border < bytes.start);
        let end = self.borders.partition_point(|&border| border <= bytes.end);
        if bytes.is_empty() { 0..0 } else { first..end.saturating_sub(1).max(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Moment;
    use crate::workload::{History, Request};

    #[test]
    fn operations_cut_sectors() {
        let mut history = History::new(2048, 1);
        history.sent(Moment(1), Request::Read { offset: 100, length: 1000 });
        let cells = Cells::new(2048, &history.operations);
        let all: Vec<_> = (0..cells.count()).map(|cell| cells.bytes(cell)).collect();
        assert_eq!(all, [0..100, 100..512, 512..1024, 1024..1100, 1100..1536, 1536..2048]);
        assert_eq!(cells.within(&(100..1100)), 1..4);
        assert_eq!(cells.within(&(101..1100)), 2..4);
        assert_eq!(cells.within(&(0..2048)), 0..6);
        assert_eq!(cells.within(&(0..0)), 0..0);
    }
}
