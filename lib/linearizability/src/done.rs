//! Which calls the search has taken.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

/// A set of numbers from 0, most of them together at the low end: all below `first`, and some of the window after it.
/// The same set is always stored the same way, in a few words even of a long history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Done {
    /// Words that are full and left out.
    full: usize,
    words: VecDeque<u64>,
}

const BITS: usize = 64;

impl Done {
    pub(crate) fn insert(&mut self, number: usize) {
        let word = number / BITS - self.full;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (number % BITS);
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.full += 1;
        }
    }

    pub(crate) fn contains(&self, number: usize) -> bool {
        match (number / BITS).checked_sub(self.full) {
            None => true,
            Some(word) => self.words.get(word).is_some_and(|word| word >> (number % BITS) & 1 == 1),
        }
    }

    /// Takes out a number that is in it.
    pub(crate) fn remove(&mut self, number: usize) {
        while number / BITS < self.full {
            self.words.push_front(u64::MAX);
            self.full -= 1;
        }
        let word = number / BITS - self.full;
        self.words[word] &= !(1 << (number % BITS));
        while self.words.back() == Some(&0) {
            self.words.pop_back();
        }
    }
}

/// What was tried already: sets of calls, each with the state that they led to.
pub(crate) struct Tried<S> {
    buckets: alloc::collections::BTreeMap<u64, Vec<(Done, Done, S)>>,
}

impl<S: Clone + Eq + Hash> Tried<S> {
    pub(crate) fn new() -> Tried<S> {
        Tried { buckets: alloc::collections::BTreeMap::new() }
    }

    /// Notes a set of answered calls, one of unanswered ones, and a state. Returns whether they are new.
    pub(crate) fn insert(&mut self, answered: &Done, unanswered: &Done, state: &S) -> bool {
        let mut hasher = Mixer(0);
        (answered, unanswered, state).hash(&mut hasher);
        let bucket = self.buckets.entry(hasher.finish()).or_default();
        if bucket.iter().any(|(a, u, s)| a == answered && u == unanswered && s == state) {
            return false;
        }
        bucket.push((answered.clone(), unanswered.clone(), state.clone()));
        true
    }
}

/// A hasher that is the same in every run. Equal hashes of different things only cost a comparison.
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let z = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = z ^ (z >> 29);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_set_is_stored_the_same_way() {
        let mut state = 1u64;
        let (mut done, mut model) = (Done::default(), BTreeSet::new());
        let mut seen: alloc::collections::BTreeMap<Vec<usize>, Done> = Default::default();
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (state >> 33) as usize % 150;
            if model.insert(number) {
                done.insert(number);
            } else {
                model.remove(&number);
                assert!(done.contains(number));
                done.remove(number);
            }
            assert_eq!(done.contains(number), model.contains(&number));
            let set: Vec<usize> = model.iter().copied().collect();
            assert_eq!(seen.entry(set).or_insert_with(|| done.clone()), &done);
            let mut rebuilt = Done::default();
            model.iter().for_each(|number| rebuilt.insert(*number));
            assert_eq!(rebuilt, done);
        }
    }
}
