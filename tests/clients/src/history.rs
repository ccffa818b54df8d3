//! What a client did, and whether what it finds after a cut can be explained.
//!
//! The rule (PROTOCOLS L2, promises P1 to P3): there is one order of all changes; a change that was acknowledged before
//! another was sent comes first; after a cut the disk equals the state after a prefix of that order that holds
//! everything promised. Of changes never acknowledged whole clusters may be there and others not.
//!
//! 1. Required: what was promised (acknowledged, or covered by a flush), and what is seen on the disk.
//! 2. Closed under the order: what was acknowledged before anything required was sent is required too.
//! 3. On each cluster of a required, acknowledged change stands that change or one that may come after it.
//! 4. Some order fits all clusters at once: the graph of "must come before" has no cycle.

use anyhow::{Result, bail, ensure};

use crate::pattern::ZERO;

/// What must have survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Everything acknowledged: the process died (P1).
    Acknowledged,
    /// Everything that a returned flush covers: the power went (P2).
    Flushed,
}

/// A change of a range of clusters. Times are ticks of one counter, taken before sending and after receiving.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// First cluster.
    pub(crate) first: u64,
    /// Clusters.
    pub(crate) count: u64,
    /// The tag that it writes; [`ZERO`] for a discard or zeroes.
    pub(crate) tag: u64,
    /// When it was sent.
    pub(crate) sent: u64,
    /// When its acknowledgement was received.
    pub(crate) acknowledged: Option<u64>,
}

/// A flush that returned.
#[derive(Clone, Debug)]
pub(crate) struct Flush {
    /// When it was sent: it covers what was acknowledged before.
    pub(crate) sent: u64,
}

/// Everything that a client did between two looks at the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Changes, in no particular order.
    pub(crate) changes: Vec<Change>,
    /// Flushes that returned.
    pub(crate) flushes: Vec<Flush>,
}

impl Change {
    /// Whether it surely comes before another.
    fn precedes(&self, other: &Change) -> bool {
        self.acknowledged.is_some_and(|acknowledged| acknowledged < other.sent)
    }

    fn clusters(&self) -> std::ops::Range<usize> {
        let first = usize::try_from(self.first).expect("a test's disk is small");
        first..first + usize::try_from(self.count).expect("a test's disk is small")
    }
}

/// What stands on a cluster.
enum Stands<'a> {
    /// What stood there before.
    Before,
    /// This change.
    Change(usize, &'a Change),
    /// Zeros: what was before, or any of the changes to zeros.
    Zeros,
}

impl History {
    /// Explains the tags `seen` on the disk, where `before` stood when the history began; an error says what cannot be.
    pub(crate) fn explain(&self, before: &[u64], seen: &[u64], promise: Promise) -> Result<()> {
        let required = self.required(seen, promise);
        let covering = self.covering(before.len());
        let mut edges = Vec::new();
        for (address, (&was, &is)) in before.iter().zip(seen).enumerate() {
            let stands = self.stands(address, was, is, &covering[address])?;
            let must = covering[address]
                .iter()
                .filter(|&&index| required[index] && self.changes[index].acknowledged.is_some());
            for &index in must {
                let change = &self.changes[index];
                let is_later = match stands {
                    Stands::Before => false,
                    Stands::Change(last, found) => {
                        if last != index {
                            edges.push((index, last));
                        }
                        !found.precedes(change)
                    }
                    Stands::Zeros => {
                        let may_follow = |&other: &usize| {
                            self.changes[other].tag == ZERO && !self.changes[other].precedes(change)
                        };
                        covering[address].iter().any(may_follow)
                    }
                };
                ensure!(
                    is_later,
                    "cluster {address} has tag {is} (was {was}): lost is {change:?}, required by {promise:?}"
                );
            }
        }
        self.ensure_ordered(&required, edges)
    }

    /// Rules 1 and 2.
    fn required(&self, seen: &[u64], promise: Promise) -> Vec<bool> {
        let flushed = self.flushes.iter().map(|flush| flush.sent).max().unwrap_or(0);
        let is_promised = |change: &Change| match promise {
            Promise::Acknowledged => change.acknowledged.is_some(),
            Promise::Flushed => change.acknowledged.is_some_and(|acknowledged| acknowledged < flushed),
        };
        let is_seen = |change: &Change| {
            change.tag != ZERO && change.clusters().any(|address| seen[address] == change.tag)
        };
        let mut required: Vec<bool> =
            self.changes.iter().map(|change| is_promised(change) || is_seen(change)).collect();
        // What must precede a required change was acknowledged before it was sent, hence sent earlier still: one pass.
        let among = self.changes.iter().zip(&required).filter(|(_, required)| **required);
        let latest = among.map(|(change, _)| change.sent).max().unwrap_or(0);
        for (change, required) in self.changes.iter().zip(&mut required) {
            *required |= change.acknowledged.is_some_and(|acknowledged| acknowledged < latest);
        }
        required
    }

    /// For each cluster the changes that cover it.
    fn covering(&self, clusters: usize) -> Vec<Vec<usize>> {
        let mut covering = vec![Vec::new(); clusters];
        for (index, change) in self.changes.iter().enumerate() {
            for address in change.clusters() {
                covering[address].push(index);
            }
        }
        covering
    }

    fn stands(&self, address: usize, was: u64, is: u64, covering: &[usize]) -> Result<Stands<'_>> {
        if is == ZERO && (was == ZERO || covering.iter().any(|&index| self.changes[index].tag == ZERO)) {
            let has_zeroing = covering.iter().any(|&index| self.changes[index].tag == ZERO);
            return Ok(if has_zeroing { Stands::Zeros } else { Stands::Before });
        }
        if is == was {
            return Ok(Stands::Before);
        }
        let by = covering.iter().find(|&&index| self.changes[index].tag == is);
        match by {
            Some(&index) => Ok(Stands::Change(index, &self.changes[index])),
            None => bail!("cluster {address} has tag {is}, which nobody wrote there (was {was})"),
        }
    }

    /// Rule 4. Time is a chain of ticks: a change comes after the tick of its sending and before that of its
    /// acknowledgement, so the graph stays as small as the history.
    fn ensure_ordered(&self, required: &[bool], mut edges: Vec<(usize, usize)>) -> Result<()> {
        let mut ticks: Vec<u64> = self
            .changes
            .iter()
            .flat_map(|change| [Some(change.sent), change.acknowledged])
            .flatten()
            .collect();
        ticks.sort_unstable();
        let node_of = |tick: u64| self.changes.len() + ticks.partition_point(|&other| other < tick);
        for (index, change) in self.changes.iter().enumerate().filter(|(index, _)| required[*index]) {
            edges.push((node_of(change.sent), index));
            if let Some(acknowledged) = change.acknowledged {
                edges.push((index, node_of(acknowledged)));
            }
        }
        let nodes = self.changes.len() + ticks.len();
        edges.extend((self.changes.len() + 1..nodes).map(|node| (node - 1, node)));
        let ordered = count_ordered(nodes, &edges);
        ensure!(
            ordered == nodes,
            "no order of the changes explains all clusters: {} stand in cycles",
            nodes - ordered
        );
        Ok(())
    }
}

/// How many nodes a topological sort reaches: all, unless there is a cycle.
fn count_ordered(nodes: usize, edges: &[(usize, usize)]) -> usize {
    let mut followers = vec![Vec::new(); nodes];
    let mut waiting = vec![0_usize; nodes];
    for &(from, to) in edges {
        followers[from].push(to);
        waiting[to] += 1;
    }
    let mut free: Vec<usize> = (0..nodes).filter(|&node| waiting[node] == 0).collect();
    let mut ordered = 0;
    while let Some(node) = free.pop() {
        ordered += 1;
        for &next in &followers[node] {
            waiting[next] -= 1;
            if waiting[next] == 0 {
                free.push(next);
            }
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(first: u64, count: u64, tag: u64, sent: u64, acknowledged: Option<u64>) -> Change {
        Change { first, count, tag, sent, acknowledged }
    }

    fn explain(changes: &[Change], flushes: &[u64], seen: &[u64], promise: Promise) -> Result<(), String> {
        let flushes = flushes.iter().map(|&sent| Flush { sent }).collect();
        let history = History { changes: changes.to_vec(), flushes };
        history.explain(&vec![ZERO; seen.len()], seen, promise).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_acknowledged_must_stand() {
        let one = [change(0, 1, 7, 1, Some(2))];
        assert_eq!(explain(&one, &[], &[7], Promise::Acknowledged), Ok(()));
        assert!(explain(&one, &[], &[0], Promise::Acknowledged).is_err());
        assert_eq!(explain(&one, &[], &[0], Promise::Flushed), Ok(()));
        assert!(explain(&one, &[3], &[0], Promise::Flushed).is_err());
        assert_eq!(
            explain(&one, &[1], &[0], Promise::Flushed),
            Ok(()),
            "the flush was sent before the acknowledgement"
        );
    }

    #[test]
    fn what_was_never_acknowledged_may_stand_in_part() {
        let one = [change(0, 2, 7, 1, None)];
        for seen in [[0, 0], [7, 0], [0, 7], [7, 7]] {
            assert_eq!(explain(&one, &[], &seen, Promise::Acknowledged), Ok(()));
        }
        assert!(explain(&one, &[], &[8, 0], Promise::Acknowledged).is_err(), "nobody wrote 8");
        let acknowledged = [change(0, 2, 7, 1, Some(2))];
        assert!(
            explain(&acknowledged, &[], &[7, 0], Promise::Flushed).is_err(),
            "half of an acknowledged write"
        );
    }

    #[test]
    fn later_writes_win_and_concurrent_ones_may() {
        let in_turn = [change(0, 1, 7, 1, Some(2)), change(0, 1, 8, 3, Some(4))];
        assert_eq!(explain(&in_turn, &[], &[8], Promise::Acknowledged), Ok(()));
        assert!(explain(&in_turn, &[], &[7], Promise::Acknowledged).is_err());
        let at_once = [change(0, 1, 7, 1, Some(4)), change(0, 1, 8, 2, Some(3))];
        for seen in [7, 8] {
            assert_eq!(explain(&at_once, &[], &[seen], Promise::Acknowledged), Ok(()));
        }
    }

    #[test]
    fn a_prefix_has_no_hole() {
        let two = [change(0, 1, 7, 1, Some(2)), change(1, 1, 8, 3, Some(4))];
        assert_eq!(explain(&two, &[], &[7, 0], Promise::Flushed), Ok(()));
        assert!(explain(&two, &[], &[0, 8], Promise::Flushed).is_err(), "8 stands, 7 before it does not");
    }

    #[test]
    fn two_clusters_agree_on_one_order() {
        let overlapping = [change(0, 2, 7, 1, Some(4)), change(0, 2, 8, 2, Some(3))];
        assert_eq!(explain(&overlapping, &[], &[7, 7], Promise::Acknowledged), Ok(()));
        assert!(explain(&overlapping, &[], &[7, 8], Promise::Acknowledged).is_err());
    }

    #[test]
    fn discards_come_back_no_more() {
        let discarded = [change(0, 1, 7, 1, Some(2)), change(0, 1, ZERO, 3, Some(4))];
        assert_eq!(explain(&discarded, &[], &[0], Promise::Acknowledged), Ok(()));
        assert!(explain(&discarded, &[], &[7], Promise::Acknowledged).is_err());
        let written_again = [change(0, 1, ZERO, 1, Some(2)), change(0, 1, 7, 3, Some(4))];
        assert!(explain(&written_again, &[], &[0], Promise::Acknowledged).is_err());
    }

    #[test]
    fn what_stood_before_counts() {
        let history = History { changes: vec![change(0, 1, 7, 1, None)], flushes: Vec::new() };
        assert!(history.explain(&[5, 6], &[5, 6], Promise::Acknowledged).is_ok());
        assert!(history.explain(&[5, 6], &[7, 6], Promise::Acknowledged).is_ok());
        assert!(history.explain(&[5, 6], &[0, 6], Promise::Acknowledged).is_err());
        assert!(history.explain(&[5, 6], &[5, 5], Promise::Acknowledged).is_err());
    }
}
