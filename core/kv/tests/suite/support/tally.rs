//! A hosted function that remembers every command it applied, in order: it tells what happened when.

use std::ops::Bound;
use step::{Function, OrderedMap};

/// Command number n is kept at `t/<n>`; the answer is n. A command that starts with `!` is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally;

pub(crate) fn key(number: u64) -> Vec<u8> {
    [&b"t/"[..], &number.to_be_bytes()].concat()
}

fn count(map: &dyn OrderedMap) -> u64 {
    map.get(b"count").map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().expect("8 bytes")))
}

impl Function for Tally {
    fn apply(&self, map: &mut dyn OrderedMap, command: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let number = count(map);
        map.set(&key(number), command.to_vec());
        map.set(b"count", (number + 1).to_be_bytes().to_vec());
        if command.starts_with(b"!") {
            return Err(b"refused".to_vec());
        }
        Ok(number.to_be_bytes().to_vec())
    }

    fn query(&self, map: &dyn OrderedMap, _query: &[u8]) -> Vec<u8> {
        let mut next = map.first(Bound::Included(b"t/"));
        let mut listed = 0;
        while let Some((key, _)) = next.filter(|(key, _)| key.starts_with(b"t/")) {
            listed += 1_u64;
            next = map.first(Bound::Excluded(key));
        }
        assert_eq!(listed, count(map), "all or none of a command is in the map");
        listed.to_be_bytes().to_vec()
    }
}
