//! What the published chain says, and how many live clusters each SCO has by it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use glossary::{ClusterAddress, Location, ScoId};

use super::{PAGE_CLUSTERS, Page, Run, push_run};

/// Pages by number, and the count of live clusters per SCO. Unwritten pages are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    pages: BTreeMap<u64, Page>,
    live: BTreeMap<ScoId, u64>,
}

impl Base {
    /// Applies a run of a published TLog. SCOs that lost their last live cluster are added to `dead`.
    pub(crate) fn apply(&mut self, run: Run, dead: &mut Vec<ScoId>) {
        let (first, last) = (run.address.0 / PAGE_CLUSTERS, (run.end() - 1) / PAGE_CLUSTERS);
        if first == last && run.clusters == 1 {
            // Most of what guests write at random; a TLog has thousands of these.
            self.apply_one(first, run, dead);
        } else {
            for page in self.pages_touched(&run) {
                let first = page * PAGE_CLUSTERS;
                let part = run.cut(first, first + PAGE_CLUSTERS).expect("the run touches the page");
                self.apply_to_page(page, part, dead);
            }
        }
        if !run.location.is_none() {
            *self.live.entry(run.location.sco()).or_default() += run.clusters;
        }
    }

    /// Appends the runs of a range, without gaps: unwritten parts come as runs without a location.
    pub(crate) fn runs(&self, from: u64, to: u64, runs: &mut Vec<Run>) {
        if from >= to {
            return;
        }
        let mut at = from;
        for (number, page) in self.pages.range(from / PAGE_CLUSTERS..=(to - 1) / PAGE_CLUSTERS) {
            let first = number * PAGE_CLUSTERS;
            let (start, end) = (from.max(first) - first, to.min(first + PAGE_CLUSTERS) - first);
            for run in page.written(first, start, end) {
                push_unwritten(runs, at, run.address.0);
                push_run(runs, run);
                at = run.end();
            }
        }
        push_unwritten(runs, at, to);
    }

    /// Clusters of a SCO that are still read from it.
    pub(crate) fn live_clusters(&self, sco: ScoId) -> u64 {
        self.live.get(&sco).copied().unwrap_or(0)
    }

    /// All clusters that hold data.
    pub(crate) fn stored_clusters(&self) -> u64 {
        self.live.values().sum()
    }

    /// The first page from this one on that holds anything.
    pub(crate) fn page_from(&self, page: u64) -> Option<u64> {
        self.pages.range(page..).next().map(|(number, _)| *number)
    }

    /// Every page with its runs, addresses counting from the page's start.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u64, Vec<Run>)> {
        self.pages.iter().map(|(number, page)| (*number, page.to_runs()))
    }

    fn pages_touched(&self, run: &Run) -> Vec<u64> {
        let (first, last) = (run.address.0 / PAGE_CLUSTERS, (run.end() - 1) / PAGE_CLUSTERS);
        if run.location.is_none() {
            // A discard of 64 TiB costs what is there, not what could be.
            self.pages.range(first..=last).map(|(number, _)| *number).collect()
        } else {
            (first..=last).collect()
        }
    }

    fn apply_to_page(&mut self, number: u64, part: Run, dead: &mut Vec<ScoId>) {
        let page = self.pages.entry(number).or_default();
        let start = part.address.0 - number * PAGE_CLUSTERS;
        for old in page.written(0, start, start + part.clusters) {
            lose(&mut self.live, old.location, old.clusters, dead);
        }
        page.set(start, part.clusters, part.location);
        if page.is_empty() {
            self.pages.remove(&number);
        }
    }

    /// The same for a single cluster.
    fn apply_one(&mut self, number: u64, run: Run, dead: &mut Vec<ScoId>) {
        let page = self.pages.entry(number).or_default();
        let at = run.address.0 - number * PAGE_CLUSTERS;
        let old = page.location(at);
        if !old.is_none() {
            lose(&mut self.live, old, 1, dead);
        }
        page.set(at, 1, run.location);
        if run.location.is_none() && page.is_empty() {
            self.pages.remove(&number);
        }
    }
}

/// Clusters of a SCO are no longer read from it. One that lost its last is added to `dead`.
fn lose(live: &mut BTreeMap<ScoId, u64>, location: Location, clusters: u64, dead: &mut Vec<ScoId>) {
    let sco = location.sco();
    let left = live.get_mut(&sco).expect("what is mapped is counted");
    *left -= clusters;
    if *left == 0 {
        live.remove(&sco);
        dead.push(sco);
    }
}

fn push_unwritten(runs: &mut Vec<Run>, from: u64, to: u64) {
    if from < to {
        push_run(runs, Run { address: ClusterAddress(from), clusters: to - from, location: Location::NONE });
    }
}
