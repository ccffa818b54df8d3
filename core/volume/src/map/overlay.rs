//! Entries that are not published yet, as runs that don't overlap.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use glossary::{ClusterAddress, Location};

use super::{Base, Run};

/// Runs by their first cluster. Bounded by what the write buffer holds; a discard is one run, however long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlay {
    runs: BTreeMap<u64, (u64, Location)>,
}

impl Overlay {
    /// Lets a run take effect over whatever was there.
    pub(crate) fn set(&mut self, run: Run) {
        self.clear(run.address.0, run.end());
        if let Some((start, (clusters, location))) = self.runs.range(..run.address.0).next_back() {
            let before = Run { address: ClusterAddress(*start), clusters: *clusters, location: *location };
            if before.continues_with(&run) {
                let (start, clusters) = (*start, clusters + run.clusters);
                self.runs.insert(start, (clusters, before.location));
                return;
            }
        }
        self.runs.insert(run.address.0, (run.clusters, run.location));
    }

    /// The parts of runs within a range, in order.
    pub(crate) fn runs(&self, from: u64, to: u64) -> impl Iterator<Item = Run> {
        let first =
            self.runs.range(..from).next_back().filter(|(start, (clusters, _))| *start + clusters > from);
        let start = first.map_or(from, |(start, _)| *start);
        self.runs.range(start..to.max(start)).filter_map(move |(start, (clusters, location))| {
            Run { address: ClusterAddress(*start), clusters: *clusters, location: *location }.cut(from, to)
        })
    }

    /// Forgets a published entry, once the base has all of its TLog: what of it was not overwritten since now
    /// comes from the base. A location belongs to one entry, so an overlay that still says it is that entry's.
    /// Discards all say the same: of them only what the base reads as unwritten too is forgotten.
    pub(crate) fn forget(&mut self, published: Run, base: &Base) {
        let still: Vec<Run> = self.runs(published.address.0, published.end()).collect();
        let mut same = Vec::new();
        for run in still {
            if run.location.is_none() && published.location.is_none() {
                let mut below = Vec::new();
                base.runs(run.address.0, run.end(), &mut below);
                same.extend(below.into_iter().filter(|run| run.location.is_none()));
            } else if published
                .cut(run.address.0, run.end())
                .is_some_and(|part| part.location == run.location)
            {
                same.push(run);
            }
        }
        same.iter().for_each(|run| self.clear(run.address.0, run.end()));
    }

    /// How many runs.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    fn clear(&mut self, from: u64, to: u64) {
        if let Some((start, (clusters, location))) =
            self.runs.range(..from).next_back().map(|(s, r)| (*s, *r))
        {
            let run = Run { address: ClusterAddress(start), clusters, location };
            if run.end() > from {
                self.runs.insert(start, (from - start, location));
                if let Some(rest) = run.cut(to, run.end()) {
                    self.runs.insert(rest.address.0, (rest.clusters, rest.location));
                }
            }
        }
        while let Some((start, (clusters, location))) =
            self.runs.range(from..to).next().map(|(s, r)| (*s, *r))
        {
            self.runs.remove(&start);
            let run = Run { address: ClusterAddress(start), clusters, location };
            if let Some(rest) = run.cut(to, run.end()) {
                self.runs.insert(rest.address.0, (rest.clusters, rest.location));
            }
        }
    }
}
