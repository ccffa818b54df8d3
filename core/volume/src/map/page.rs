//! A page of the base: runs where the data is sequential, dense where it is not.

use alloc::boxed::Box;
use alloc::vec::Vec;
use glossary::{ClusterAddress, Location};

use super::{PAGE_CLUSTERS, Run};

/// Above this many runs of 12 bytes the dense form of 8 bytes a cluster is smaller.
const RUNS_MAX: usize = 512;

/// The locations of 1,024 clusters; addresses within it count from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// Sorted runs with a location; gaps are unwritten.
    Runs(Vec<PageRun>),
    /// The location's bits of every cluster.
    Dense(Box<[u64]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRun {
    pub(crate) start: u16,
    pub(crate) clusters: u16,
    pub(crate) location: Location,
}

impl Default for Page {
    fn default() -> Self {
        Page::Runs(Vec::new())
    }
}

impl Page {
    /// Whether nothing is written in it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Page::Runs(runs) => runs.is_empty(),
            Page::Dense(bits) => bits.iter().all(|bits| *bits == 0),
        }
    }

    /// The written runs from `from` up to `to`, with addresses that count from `first`, in order.
    pub(crate) fn written(&self, first: u64, from: u64, to: u64) -> Vec<Run> {
        let mut written = Vec::new();
        match self {
            Page::Runs(runs) => {
                let skip = runs.partition_point(|run| u64::from(run.start) + u64::from(run.clusters) <= from);
                let within = runs[skip..].iter().take_while(|run| u64::from(run.start) < to);
                written.extend(within.filter_map(|run| run.as_run(0).cut(from, to)));
            }
            Page::Dense(bits) => {
                for address in from..to {
                    let location = Location::from_bits(bits[address as usize]).expect("pages hold locations");
                    if !location.is_none() {
                        super::push_run(
                            &mut written,
                            Run { address: ClusterAddress(address), clusters: 1, location },
                        );
                    }
                }
            }
        }
        written.iter_mut().for_each(|run| run.address.0 += first);
        written
    }

    /// Where a cluster rests.
    pub(crate) fn location(&self, at: u64) -> Location {
        match self {
            Page::Runs(runs) => {
                let skip = runs.partition_point(|run| u64::from(run.start) + u64::from(run.clusters) <= at);
                let run = runs.get(skip).filter(|run| u64::from(run.start) <= at);
                run.map_or(Location::NONE, |run| run.location.advanced(at - u64::from(run.start)))
            }
            Page::Dense(bits) => Location::from_bits(bits[at as usize]).expect("pages hold locations"),
        }
    }

    /// Sets a range, addresses counting from the page's start; a location of none clears it.
    pub(crate) fn set(&mut self, from: u64, clusters: u64, location: Location) {
        match self {
            Page::Runs(runs) => {
                set_in_runs(runs, from, clusters, location);
                if runs.len() > RUNS_MAX {
                    *self = Page::Dense(dense(runs));
                }
            }
            Page::Dense(bits) => {
                for index in 0..clusters {
                    bits[(from + index) as usize] = location.advanced(index).bits();
                }
            }
        }
    }

    /// The page as runs, in the form that is persisted.
    pub(crate) fn to_runs(&self) -> Vec<Run> {
        self.written(0, 0, PAGE_CLUSTERS)
    }
}

impl PageRun {
    fn as_run(&self, first: u64) -> Run {
        let address = ClusterAddress(first + u64::from(self.start));
        Run { address, clusters: u64::from(self.clusters), location: self.location }
    }
}

fn set_in_runs(runs: &mut Vec<PageRun>, from: u64, clusters: u64, location: Location) {
    let to = from + clusters;
    let first = runs.partition_point(|run| u64::from(run.start) + u64::from(run.clusters) <= from);
    let last = first + runs[first..].partition_point(|run| u64::from(run.start) < to);
    let mut middle: Vec<Run> = Vec::with_capacity(3);
    if first < last {
        middle.extend(runs[first].as_run(0).cut(0, from));
    }
    if !location.is_none() {
        super::push_run(&mut middle, Run { address: ClusterAddress(from), clusters, location });
    }
    if first < last
        && let Some(rest) = runs[last - 1].as_run(0).cut(to, PAGE_CLUSTERS)
    {
        super::push_run(&mut middle, rest);
    }
    // Neighbours that the new run continues or that continue it are joined too.
    let (mut first, mut last) = (first, last);
    if first > 0 && middle.first().is_some_and(|next| runs[first - 1].as_run(0).continues_with(next)) {
        first -= 1;
        let before = runs[first].as_run(0);
        middle[0] = Run { clusters: before.clusters + middle[0].clusters, ..before };
    }
    if let (Some(end), Some(next)) = (middle.last_mut(), runs.get(last)) {
        let next = next.as_run(0);
        if end.continues_with(&next) {
            end.clusters += next.clusters;
            last += 1;
        }
    }
    let narrow = |run: &Run| PageRun {
        start: run.address.0 as u16,
        clusters: run.clusters as u16,
        location: run.location,
    };
    runs.splice(first..last, middle.iter().map(narrow));
}

fn dense(runs: &[PageRun]) -> Box<[u64]> {
    let mut bits = alloc::vec![0; PAGE_CLUSTERS as usize].into_boxed_slice();
    for run in runs {
        for index in 0..u64::from(run.clusters) {
            bits[usize::from(run.start) + index as usize] = run.location.advanced(index).bits();
        }
    }
    bits
}
