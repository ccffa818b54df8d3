//! Which policy, and which OSDs.

use std::collections::{BTreeMap, BTreeSet};

use glossary::{ObjectId, OsdId, Policy};
use objects::placement::{Candidate, place, prefer, select};

fn candidates(per_node: &[usize]) -> Vec<Candidate> {
    let nodes = (0..).zip(per_node).flat_map(|(node, count)| vec![node; *count]);
    let candidate = |(osd, storage_node)| Candidate { osd, id: OsdId(100 + osd as u32), storage_node };
    nodes.enumerate().map(candidate).collect()
}

fn policies(list: &[&str]) -> Vec<Policy> {
    list.iter().map(|policy| policy.parse().expect("a policy")).collect()
}

#[test]
fn the_first_policy_that_can_place_c_fragments_wins() {
    for (list, per_node, expected) in [
        (&["4,2,6,1"][..], &[1, 1, 1, 1, 1, 1][..], Some("4,2,6,1")),
        // More OSDs than fragments, and fewer than k + m but enough for c.
        (&["4,2,5,1"], &[1; 8], Some("4,2,5,1")),
        (&["4,2,5,1"], &[1; 5], Some("4,2,5,1")),
        (&["4,2,6,1"], &[1; 5], None),
        // x counts per storage node.
        (&["4,2,6,1"], &[6], None),
        (&["4,2,6,2"], &[2, 2, 2], Some("4,2,6,2")),
        (&["4,2,6,2"], &[4, 1, 1], None),
        (&["4,2,6,6"], &[6], Some("4,2,6,6")),
        // In order: the better one as long as it works, then the next.
        (&["4,2,6,1", "2,1,3,1", "1,1,1,1"], &[1; 6], Some("4,2,6,1")),
        (&["4,2,6,1", "2,1,3,1", "1,1,1,1"], &[1; 5], Some("2,1,3,1")),
        (&["4,2,6,1", "2,1,3,1", "1,1,1,1"], &[2, 1], Some("1,1,1,1")),
        (&["4,2,6,1", "2,1,3,1", "1,1,1,1"], &[], None),
        (&[], &[1; 6], None),
    ] {
        let expected = expected.map(|policy| policy.parse().expect("a policy"));
        assert_eq!(select(&policies(list), &candidates(per_node)), expected, "{list:?} {per_node:?}");
    }
}

#[test]
fn every_fragment_has_an_osd_of_its_own_and_nodes_hold_at_most_x() {
    for (policy, per_node, placed) in [
        ("4,2,6,1", &[1; 8][..], 6),
        ("4,2,5,2", &[3, 3, 1], 5),
        ("4,2,4,3", &[9], 3),
        ("1,2,1,1", &[1, 5], 2),
    ] {
        let policy: Policy = policy.parse().expect("a policy");
        for object in 0..50 {
            let preferred = prefer(&ObjectId([object; 32]), 3, candidates(per_node));
            let chosen = place(policy, &preferred);
            assert_eq!(chosen.len(), placed);
            assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), placed, "each another one");
            let mut on_node = BTreeMap::<u32, u8>::new();
            for osd in chosen {
                let candidate = preferred.iter().find(|candidate| candidate.osd == osd).expect("one of them");
                *on_node.entry(candidate.storage_node).or_default() += 1;
            }
            assert!(on_node.values().all(|count| *count <= policy.x));
        }
    }
}

#[test]
fn load_spreads_over_objects_and_chunks_but_never_by_chance() {
    let mut first = BTreeMap::<usize, u32>::new();
    for object in 0..200_u8 {
        let mut id = [0; 32];
        id[object as usize % 32] = object;
        for chunk in 0..4 {
            let preferred = prefer(&ObjectId(id), chunk, candidates(&[1; 8]));
            assert_eq!(preferred, prefer(&ObjectId(id), chunk, candidates(&[1; 8])));
            *first.entry(preferred[0].osd).or_default() += 1;
        }
    }
    assert!(first.len() == 8 && first.values().all(|count| (60..140).contains(count)), "{first:?}");
}
