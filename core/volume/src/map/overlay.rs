//! Entries that are not published yet, as runs that don't overlap.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use glossary::{ClusterAddress, Location, LogNumber};

use super::Run;

/// Runs by their first cluster. Bounded by what the write buffer holds; a discard is one run, however long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlay {
    runs: BTreeMap<u64, Piece>,
}

/// A run without its address. A location belongs to one entry, so it tells whose a written run is; discards all
/// say the same, so theirs keep the entry's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    clusters: u64,
    location: Location,
    discarded_by: Option<LogNumber>,
}

impl Piece {
    fn at(&self, start: u64) -> Run {
        Run { address: ClusterAddress(start), clusters: self.clusters, location: self.location }
    }
}

impl Overlay {
    /// Lets a run of the entry `by` take effect over whatever was there.
    pub(crate) fn set(&mut self, run: Run, by: LogNumber) {
        let discarded_by = run.location.is_none().then_some(by);
        let mut last = self.runs.range_mut(..run.end()).next_back();
        // Most writes hit nothing: then the last run before their end is the one before them.
        if last.as_ref().is_some_and(|(start, piece)| piece.at(**start).end() > run.address.0) {
            self.clear(run.address.0, run.end());
            last = self.runs.range_mut(..run.address.0).next_back();
        }
        if let Some((start, before)) = last
            && before.discarded_by == discarded_by
            && before.at(*start).continues_with(&run)
        {
            before.clusters += run.clusters;
            return;
        }
        let piece = Piece { clusters: run.clusters, location: run.location, discarded_by };
        self.runs.insert(run.address.0, piece);
    }

    /// The parts of runs within a range, in order.
    pub(crate) fn runs(&self, from: u64, to: u64) -> impl Iterator<Item = Run> {
        self.pieces(from, to).map(|(run, _)| run)
    }

    /// Forgets a published entry, once the base has it: what of it was not overwritten since now comes from
    /// the base. A newer discard of the same clusters stays: the base may still get older writes there.
    pub(crate) fn forget(&mut self, published: Run, by: LogNumber) {
        if let Entry::Occupied(there) = self.runs.entry(published.address.0)
            && there.get().clusters == published.clusters
        {
            // It is whole, or another has its place: there is nothing else in the range.
            let Piece { location, discarded_by, .. } = *there.get();
            if discarded_by.map_or(location == published.location, |discard| discard == by) {
                there.remove();
            }
            return;
        }
        let is_its = |(run, piece): &(Run, Piece)| match piece.discarded_by {
            Some(discard) => discard == by,
            None => published.cut(run.address.0, run.end()).is_some_and(|part| part.location == run.location),
        };
        let its: Vec<Run> =
            self.pieces(published.address.0, published.end()).filter(is_its).map(|(run, _)| run).collect();
        its.iter().for_each(|run| self.clear(run.address.0, run.end()));
    }

    /// How many runs.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = (Run, Piece)> {
        let first =
            self.runs.range(..from).next_back().filter(|(start, piece)| *start + piece.clusters > from);
        let start = first.map_or(from, |(start, _)| *start);
        self.runs
            .range(start..to.max(start))
            .filter_map(move |(start, piece)| Some((piece.at(*start).cut(from, to)?, *piece)))
    }

    fn clear(&mut self, from: u64, to: u64) {
        if let Some((start, piece)) = self.runs.range(..from).next_back().map(|(s, p)| (*s, *p)) {
            let run = piece.at(start);
            if run.end() > from {
                self.runs.insert(start, Piece { clusters: from - start, ..piece });
                self.keep_rest(run, piece, to);
            }
        }
        while let Some((start, piece)) = self.runs.range(from..to).next().map(|(s, p)| (*s, *p)) {
            self.runs.remove(&start);
            self.keep_rest(piece.at(start), piece, to);
        }
    }

    /// Puts back what of a run lies behind `to`.
    fn keep_rest(&mut self, run: Run, piece: Piece, to: u64) {
        if let Some(rest) = run.cut(to, run.end()) {
            let piece = Piece { clusters: rest.clusters, location: rest.location, ..piece };
            self.runs.insert(rest.address.0, piece);
        }
    }
}
