//! The map of a volume: cluster address to location.
//!
//! The *base* is what the published chain of TLogs says; it is what is persisted (the cork rule, L7). The
//! *overlay* is what the entries say that are not published yet. A read looks through the overlay at the base.

mod base;
mod overlay;
mod page;

pub(crate) use base::Base;
pub(crate) use overlay::Overlay;
pub(crate) use page::Page;

use glossary::{ClusterAddress, Location};

/// Clusters in a page of the base: a page covers 4 MiB of the vDisk.
pub(crate) const PAGE_CLUSTERS: u64 = 1024;

/// Consecutive clusters of a vDisk whose locations follow one another, or that are all unwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) address: ClusterAddress,
    pub(crate) clusters: u64,
    pub(crate) location: Location,
}

impl Run {
    pub(crate) fn end(&self) -> u64 {
        self.address.0 + self.clusters
    }

    /// The part of this run from `from` up to `to`; both lie within or beyond it.
    fn cut(&self, from: u64, to: u64) -> Option<Run> {
        let (start, end) = (self.address.0.max(from), self.end().min(to));
        (start < end).then(|| Run {
            address: ClusterAddress(start),
            clusters: end - start,
            location: self.location.advanced(start - self.address.0),
        })
    }

    /// Whether `next` goes on where this run ends, on the vDisk and in its SCO.
    fn continues_with(&self, next: &Run) -> bool {
        let end_of_sco = |run: &Run| u64::from(run.location.offset().0) + run.clusters;
        let follows = match (self.location.is_none(), next.location.is_none()) {
            (true, true) => true,
            (false, false) => {
                self.location.sco() == next.location.sco()
                    && end_of_sco(self) == u64::from(next.location.offset().0)
            }
            _ => false,
        };
        self.end() == next.address.0 && follows
    }
}

/// Appends a run, joined to the last one where it continues it.
pub(crate) fn push_run(runs: &mut alloc::vec::Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.continues_with(&run) => last.clusters += run.clusters,
        _ => runs.push(run),
    }
}

/// Where the clusters of a range rest: the runs of the overlay, and the base's where the overlay is silent.
/// They cover the range without gaps.
pub(crate) fn look_up(overlay: &Overlay, base: &Base, from: u64, to: u64) -> alloc::vec::Vec<Run> {
    let mut runs = alloc::vec::Vec::new();
    let mut at = from;
    for run in overlay.runs(from, to) {
        base.runs(at, run.address.0, &mut runs);
        push_run(&mut runs, run);
        at = run.end();
    }
    base.runs(at, to, &mut runs);
    runs
}

#[cfg(test)]
mod tests;
