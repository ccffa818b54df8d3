//! Functions that a store of ordered pairs hosts without knowing them (DESIGN section 7).

use alloc::vec::Vec;
use core::fmt::Debug;
use core::ops::Bound;

/// An ordered map of bytes, as a hosted function sees it.
pub trait OrderedMap {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Option<&[u8]>;

    /// The first pair, in the order of keys as bytes, from a key on (`Included`), after it (`Excluded`), or of
    /// all.
    fn first(&self, from: Bound<&[u8]>) -> Option<(&[u8], &[u8])>;

    /// Sets a key.
    fn set(&mut self, key: &[u8], value: Vec<u8>);

    /// Deletes a key; one that isn't there is as good as deleted.
    fn delete(&mut self, key: &[u8]);
}

/// A state machine whose state lives in the map, under prefixes of its own. The same map and the same command
/// give the same map and the same reply, always, on every member and in every later replay.
pub trait Function: Clone + Eq + Debug {
    /// The version of the commands that it understands: it understands those of all below. One that learns a command has
    /// the next.
    fn version(&self) -> u32 {
        0
    }

    /// Changes the map. An error is a reply too: what was changed until then is undone.
    fn apply(&self, map: &mut dyn OrderedMap, command: &[u8]) -> Result<Vec<u8>, Vec<u8>>;

    /// Answers a question.
    fn query(&self, map: &dyn OrderedMap, query: &[u8]) -> Vec<u8>;
}
