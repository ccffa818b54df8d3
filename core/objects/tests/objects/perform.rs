//! The work off the event loop, held against whole containers.

use bytes::Bytes;
use formats::Payload;
use formats::fragment::{Plaintext, decode};
use formats::work::{Done, Encode, Reconstruct, Work};
use glossary::{AttemptId, FragmentId, ObjectId};
use objects::perform;
use proptest::prelude::*;

use crate::world::data;

fn encode(k: u8, m: u8, block_clusters: u16, fragment_clusters: u32, payload: Payload) -> Encode {
    let attempts = (0..u64::from(k) + u64::from(m)).map(|n| AttemptId(100 + n)).collect();
    let (object, chunk) = (ObjectId([5; 32]), 2);
    Encode { k, m, object, chunk, attempts, block_clusters, fragment_clusters, data: payload }
}

fn containers(encode: Encode) -> Vec<Bytes> {
    match perform(Work::Encode(encode)) {
        Done::Encoded(containers) => {
            assert!(containers.iter().all(Payload::verify), "containers come with their checksums");
            containers.iter().map(Payload::contiguous).collect()
        }
        other => panic!("not encoded: {other:?}"),
    }
}

fn plaintexts(containers: &[Bytes]) -> Vec<Plaintext> {
    containers.iter().map(|container| decode(container).expect("it is whole").1).collect()
}

#[test]
fn data_is_shared_and_damage_is_refused() {
    let bytes = data(8, 1);
    let request = encode(2, 1, 2, 4, Payload::entering(bytes.clone()));
    let Done::Encoded(containers) = perform(Work::Encode(request.clone())) else { panic!("not encoded") };
    // Head, then clusters and checksums by turns: the clusters are those that came, not copies.
    assert_eq!(containers[1].pieces().len(), 5);
    assert_eq!(containers[1].pieces()[1].as_ptr(), bytes[4 * 4096..].as_ptr());
    assert_eq!(containers[2].pieces().len(), 2);
    let mut wrong = request.data.crcs().to_vec();
    wrong[7] ^= 1;
    let payload = Payload::with_crcs(vec![bytes], wrong).expect("as many");
    assert_eq!(perform(Work::Encode(Encode { data: payload, ..request })), Done::Damaged);
}

#[test]
fn nonsense_is_told_rather_than_crashed_on() {
    let good = encode(2, 1, 2, 4, Payload::entering(data(8, 1)));
    let nonsense = [
        Encode { k: 0, ..good.clone() },
        Encode { k: 200, m: 200, ..good.clone() },
        Encode { attempts: Vec::new(), ..good.clone() },
        Encode { block_clusters: 0, ..good.clone() },
        Encode { fragment_clusters: 0, ..good.clone() },
        Encode { fragment_clusters: 3, ..good.clone() },
        Encode { data: Payload::default(), ..good.clone() },
        Encode { data: Payload::entering(vec![0; 100].into()), ..good },
    ];
    for request in nonsense {
        assert_eq!(perform(Work::Encode(request)), Done::Impossible);
    }
    let strip = |index| (index, Bytes::from_static(b"strip"));
    let good = Reconstruct { k: 2, m: 1, present: vec![strip(0), strip(2)], wanted: vec![1] };
    assert!(matches!(perform(Work::Reconstruct(good.clone())), Done::Reconstructed(_)));
    let nonsense = [
        Reconstruct { k: 0, ..good.clone() },
        Reconstruct { present: Vec::new(), ..good.clone() },
        Reconstruct { present: vec![strip(0)], ..good.clone() },
        Reconstruct { present: vec![strip(0), strip(0)], ..good.clone() },
        Reconstruct { present: vec![strip(0), strip(3)], ..good.clone() },
        Reconstruct { present: vec![strip(0), (2, Bytes::from_static(b"str"))], ..good.clone() },
        Reconstruct { wanted: vec![3], ..good.clone() },
        Reconstruct { wanted: vec![1; 1000], ..good },
    ];
    for request in nonsense {
        assert_eq!(perform(Work::Reconstruct(request)), Done::Impossible);
    }
}

proptest! {
    #[test]
    fn any_k_fragments_give_back_any_other(
        k in 1_u8..6,
        m in 0_u8..4,
        block_clusters in 1_u16..4,
        fragment_clusters in 1_u32..6,
        clusters in 1_u64..30,
        cuts in prop::collection::vec(1_usize..20_000, 0..4),
        lost: u64,
    ) {
        let clusters = clusters.min(u64::from(k) * u64::from(fragment_clusters));
        let bytes = data(clusters as usize, lost);
        let whole = Payload::entering(bytes.clone());
        let (mut pieces, mut at) = (Vec::new(), 0);
        for cut in cuts {
            let end = (at + cut).min(bytes.len());
            pieces.push(bytes.slice(at..end));
            at = end;
        }
        pieces.push(bytes.slice(at..));
        let payload = Payload::with_crcs(pieces, whole.crcs().to_vec()).expect("as many");
        let request = encode(k, m, block_clusters, fragment_clusters, payload);
        let containers = containers(request.clone());
        let plain = plaintexts(&containers);
        let mut readable = Vec::new();
        for (index, container) in (0..).zip(&containers) {
            let (header, plain) = decode(container).expect("whole");
            let attempt = request.attempts[usize::from(index)];
            prop_assert_eq!(header.id, FragmentId { object: request.object, chunk: 2, index, attempt });
            let clusters = plain.clusters(0, fragment_clusters).expect("all");
            if index < k {
                prop_assert!(clusters.verify());
                readable.extend_from_slice(&clusters.contiguous());
            }
        }
        prop_assert_eq!(&readable[..bytes.len()], &bytes[..]);
        prop_assert!(readable[bytes.len()..].iter().all(|byte| *byte == 0));
        // Choose k of them by the bits of `lost`, and get back the rest.
        let mut order: Vec<u8> = (0..k + m).collect();
        order.sort_by_key(|index| lost.rotate_left(u32::from(*index) * 7));
        let (present, wanted) = order.split_at(usize::from(k));
        let present = present.iter().map(|i| (*i, plain[usize::from(*i)].bytes().clone())).collect();
        let done = perform(Work::Reconstruct(Reconstruct { k, m, present, wanted: wanted.to_vec() }));
        let expected = wanted.iter().map(|i| plain[usize::from(*i)].bytes().clone()).collect();
        prop_assert_eq!(done, Done::Reconstructed(expected));
    }
}
