//! Which policy, and which OSDs.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use glossary::{ObjectId, OsdId, Policy};

/// An OSD that a fragment could go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the configuration.
    pub osd: usize,
    /// Its number.
    pub id: OsdId,
    /// The storage node it is on.
    pub storage_node: u32,
}

/// The first policy for which at least c fragments can be placed on these candidates with at most x on one
/// storage node.
pub fn select(policies: &[Policy], candidates: &[Candidate]) -> Option<Policy> {
    let mut per_node = BTreeMap::<u32, usize>::new();
    for candidate in candidates {
        *per_node.entry(candidate.storage_node).or_default() += 1;
    }
    policies.iter().copied().find(|policy| policy.placeable(per_node.values().copied()) >= policy.c)
}

/// Candidates in the order in which a chunk prefers them: another one for every object and chunk, so that
/// load spreads (rendezvous hashing).
pub fn prefer(object: &ObjectId, chunk: u16, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    let seed = object
        .0
        .as_chunks()
        .0
        .iter()
        .fold(u64::from(chunk), |seed, word| mix(seed ^ u64::from_le_bytes(*word)));
    candidates.sort_by_key(|candidate| (mix(seed ^ u64::from(candidate.id.0)), candidate.id));
    candidates
}

/// The OSDs for the fragments of a chunk, in order of the fragments: each another one, at most x on one
/// storage node, k + m where so many can be had. Data comes first, so that what can't be placed is parity.
pub fn place(policy: Policy, preferred: &[Candidate]) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut per_node = BTreeMap::<u32, u8>::new();
    for candidate in preferred {
        if chosen.len() == usize::from(policy.fragments()) {
            break;
        }
        let on_node = per_node.entry(candidate.storage_node).or_default();
        if *on_node < policy.x {
            *on_node += 1;
            chosen.push(candidate.osd);
        }
    }
    chosen
}

/// Spreads bits (the finalizer of splitmix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
