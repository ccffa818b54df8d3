//! A vDisk that grows, seldom, in the midst of its guest's work: what management was asked, and what is known of it.

use formats::message::admin::AdminAnswer;
use glossary::CLUSTER_BYTES;

use crate::{Moment, Random};

/// How many guests in 10,000 have their vDisk grow once.
const GROW_PER_TEN_THOUSAND: u64 = 4_000;

/// The most operations before it, so that most of a run comes after it.
const OPERATIONS_MAX: u64 = 150;

/// The most clusters that are added: what is read at the end of a run must not get longer by much.
const CLUSTERS_MAX: u64 = 32;

/// How often in 10,000 a guest that could do something asks again: answers are lost, and so are volume drivers.
const AGAIN_PER_TEN_THOUSAND: u64 = 200;

/// A vDisk's growth.
pub(crate) struct Growth {
    /// After so many operations, by so many bytes.
    plan: Option<(usize, u64)>,
    target: Option<Target>,
    /// How often its guest saw it larger.
    pub(super) seen: u32,
    random: Random,
}

struct Target {
    size: u64,
    /// The number of the first request for it.
    first_request: u64,
    /// When it was known to be done: who attaches later must see it.
    done: Option<Moment>,
}

impl Growth {
    /// Draws whether and when.
    pub(crate) fn draw(can_grow: bool, mut random: Random) -> Self {
        let after = random.below(OPERATIONS_MAX) as usize;
        let by = random.between(1, CLUSTERS_MAX) * CLUSTER_BYTES;
        let plan = (can_grow && random.chance(GROW_PER_TEN_THOUSAND)).then_some((after, by));
        Growth { plan, target: None, seen: 0, random }
    }

    /// The size that management is to be asked for by this request, if by any.
    pub(super) fn wanted(&mut self, operations: usize, size: u64, request: u64) -> Option<u64> {
        if let Some((_, by)) = self.plan.take_if(|(after, _)| *after <= operations) {
            self.target = Some(Target { size: size + by, first_request: request, done: None });
            return Some(size + by);
        }
        let open = self.target.as_ref().filter(|target| target.done.is_none())?;
        self.random.chance(AGAIN_PER_TEN_THOUSAND).then_some(open.size)
    }

    /// Management answered a request.
    pub(super) fn answered(&mut self, now: Moment, request: u64, answer: &AdminAnswer) {
        let open = self.target.iter_mut().filter(|target| target.done.is_none());
        for target in open.filter(|target| target.first_request <= request && *answer == AdminAnswer::Done) {
            target.done = Some(now);
        }
    }

    /// Whether it is done and the guest, who is attached, has not seen it.
    pub(super) fn is_to_be_seen(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.done.is_some())
    }

    /// An attachment that was asked for at a moment found this size, where it was another before. Whether that can be.
    pub(super) fn attached(&mut self, sent: Moment, before: u64, found: u64) -> bool {
        let Some(target) = &self.target else { return found == before };
        if found == target.size {
            self.target = None;
            self.seen += 1;
            return true;
        }
        // While management has not answered, it may be done or not.
        found == before && target.done.is_none_or(|done| sent < done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing() -> (Growth, u64) {
        let mut growth = Growth::draw(true, Random::stream(1, "growth"));
        growth.plan = Some((10, 4096));
        assert_eq!(growth.wanted(9, 8192, 6), None);
        assert_eq!(growth.wanted(10, 8192, 7), Some(12_288));
        (growth, 12_288)
    }

    #[test]
    fn what_is_in_doubt_may_be_seen_or_not() {
        let (mut growth, grown) = growing();
        assert!(growth.attached(Moment(5), 8192, 8192) && !growth.attached(Moment(5), 8192, 16_384));
        assert!(!growth.is_to_be_seen() && growth.attached(Moment(5), 8192, grown));
        assert_eq!(growth.seen, 1);
        assert!(!growth.attached(Moment(5), grown, 8192), "it never shrinks");
    }

    #[test]
    fn what_is_done_is_seen_by_whoever_attaches_later() {
        let (mut growth, grown) = growing();
        growth.answered(Moment(5), 6, &AdminAnswer::Done);
        assert!(!growth.is_to_be_seen(), "an answer to something else");
        growth.answered(Moment(5), 7, &AdminAnswer::NotYet(String::new()));
        assert!(!growth.is_to_be_seen());
        growth.answered(Moment(5), 8, &AdminAnswer::Done);
        assert!(growth.is_to_be_seen());
        assert!(growth.attached(Moment(4), 8192, 8192), "it was asked for before");
        assert!(!growth.attached(Moment(6), 8192, 8192));
        assert!(growth.attached(Moment(6), 8192, grown) && !growth.is_to_be_seen());
    }
}
