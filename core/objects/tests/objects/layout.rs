//! The cut of objects.

use glossary::{ByteCount, Policy};
use objects::layout::{Extent, Layout, chunk_count};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

#[test]
fn the_chunk_formula() {
    for (size, k, fragment_max, chunks) in [
        // Row 231: 64 MiB, k = 8 gives 2 chunks of 8 x 4 MiB + m.
        (64 * MIB, 8, 4 * MIB, 2),
        (64 * MIB, 4, 4 * MIB, 4),
        (64 * MIB, 1, 4 * MIB, 16),
        (16 * MIB, 4, 4 * MIB, 1),
        (16 * MIB + 4096, 4, 4 * MIB, 2),
        (4096, 8, 4 * MIB, 1),
        (128 * MIB, 30, 4 * MIB, 2),
        (100, 1, 30, 4),
    ] {
        assert_eq!(chunk_count(ByteCount(size), k, ByteCount(fragment_max)), chunks, "{size} {k}");
    }
}

#[test]
fn sixty_four_mebibytes_are_two_chunks_of_eight_fragments() {
    let policy = Policy { k: 8, m: 3, c: 10, x: 3 };
    let layout = Layout::plan(policy, 64 * MIB / 4096, ByteCount(4 * MIB), 4).expect("it can be");
    assert_eq!((layout.chunks(), layout.fragment_clusters()), (2, 1024));
    assert_eq!((layout.chunk(0), layout.chunk(1)), ((0, 8192), (8192, 8192)));
    assert_eq!(layout.geometry(1).blocks(), 256);
}

#[test]
fn small_objects_have_fragments_of_nothing_but_filling() {
    let policy = Policy { k: 4, m: 2, c: 5, x: 1 };
    let layout = Layout::plan(policy, 5, ByteCount(4 * MIB), 4).expect("it can be");
    // 5 clusters in fragments of 2: the fourth has nothing.
    assert_eq!(layout.geometry(0).clusters(), 2);
    assert_eq!([0, 1, 2, 3, 4].map(|index| layout.is_filler(0, index)), [false, false, false, true, false]);
    let extents = layout.extents(1, 4).expect("all within");
    let at = |index, from, count| Extent { chunk: 0, index, from, count };
    assert_eq!(extents, [at(0, 1, 1), at(1, 0, 2), at(2, 0, 1)]);
    assert_eq!(layout.extents(1, 5), None);
    assert_eq!(layout.extents(u64::MAX, 2), None);
}

#[test]
fn impossible_cuts_are_refused() {
    let policy = Policy { k: 4, m: 2, c: 5, x: 1 };
    assert_eq!(Layout::plan(policy, 0, ByteCount(MIB), 4), None);
    assert_eq!(Layout::plan(policy, 8, ByteCount(MIB), 0), None);
    assert_eq!(Layout::plan(Policy { k: 0, ..policy }, 8, ByteCount(MIB), 4), None);
    assert_eq!(Layout::plan(policy, 65_536 * 4, ByteCount(4096), 4), None);
    assert!(Layout::plan(policy, 65_535 * 4, ByteCount(4096), 4).is_some());
}

proptest! {
    #[test]
    fn every_cluster_has_one_place(k in 1_u8..9, clusters in 1_u64..300, fragment in 1_u64..9, a: u64, b: u64) {
        let policy = Policy { k, m: 1, c: k, x: 1 };
        let fragment_max = ByteCount(fragment * 4096);
        let layout = Layout::plan(policy, clusters, fragment_max, 2).expect("it can be");
        prop_assert_eq!(u64::from(layout.chunks()), chunk_count(ByteCount(clusters * 4096), k, fragment_max));
        let (first, end) = (a % clusters, b % (clusters + 1));
        let count = end.saturating_sub(first);
        let extents = layout.extents(first, count).expect("within");
        let mut places = Vec::new();
        for extent in extents {
            let geometry = layout.geometry(extent.chunk);
            prop_assert!(extent.count > 0 && extent.from + extent.count <= geometry.clusters());
            prop_assert!(!layout.is_filler(extent.chunk, extent.index));
            for cluster in extent.from..extent.from + extent.count {
                let within = u64::from(extent.index) * u64::from(geometry.clusters()) + u64::from(cluster);
                places.push(layout.chunk(extent.chunk).0 + within);
            }
        }
        prop_assert_eq!(places, (first..first + count).collect::<Vec<_>>());
    }
}
