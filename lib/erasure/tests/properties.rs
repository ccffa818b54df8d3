//! Any k strips give back all others; ranges are codes of their own; oracle, SIMD and scalar code agree.

mod oracle;

use erasure::{Codec, ReedSolomon, Shape};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, proptest};

/// A shape, its data, an order of all strips (the first k are present) and a range of the strips.
#[derive(Clone, Debug)]
struct Case {
    shape: Shape,
    data: Vec<Vec<u8>>,
    order: Vec<usize>,
    range: std::ops::Range<usize>,
}

fn cases() -> impl Strategy<Value = Case> {
    (1usize..=20, 0usize..=6, 0usize..300).prop_flat_map(|(data, parity, length)| {
        let strips = prop::collection::vec(prop::collection::vec(any::<u8>(), length), data);
        let order = Just((0..data + parity).collect::<Vec<_>>()).prop_shuffle();
        (strips, order, 0..=length, 0..=length).prop_map(move |(strips, order, one, other)| Case {
            shape: Shape::new(data, parity).expect("a small shape"),
            data: strips,
            order,
            range: one.min(other)..one.max(other),
        })
    })
}

fn encode(codec: &ReedSolomon, data: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut strips = data.to_vec();
    strips.resize(codec.shape().strips(), vec![0xA5; data[0].len()]);
    let (data, parity) = strips.split_at_mut(codec.shape().data());
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    codec.encode(&data, &mut parity).expect("the strips fit the shape");
    strips
}

fn reconstruct(codec: &ReedSolomon, present: &[(usize, &[u8])], wanted: &[usize]) -> Vec<Vec<u8>> {
    let mut out = vec![vec![0xA5; present[0].1.len()]; wanted.len()];
    let mut targets: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
    codec.reconstruct(present, wanted, &mut targets).expect("k strips are present");
    out
}

/// Strips longer than what is encoded at a time, and no multiple of it.
#[test]
fn long_strips_are_the_same_code() {
    for (data, parity) in [(1, 2), (4, 2), (10, 6)] {
        let byte = |strip: usize, at: usize| (at * 31 + (at >> 8) * 7 + strip * 13) as u8;
        let length = 2 * (256 << 10) / (data + parity) + 4097;
        let strips: Vec<Vec<u8>> =
            (0..data).map(|strip| (0..length).map(|at| byte(strip, at)).collect()).collect();
        let expected = oracle::encode(&oracle::Field::new(), &strips, parity);
        let shape = Shape::new(data, parity).expect("a small shape");
        assert!(encode(&ReedSolomon::new(shape), &strips) == expected, "{data}+{parity}");
    }
}

proptest! {
    #[test]
    fn all_engines_agree(case in cases()) {
        let expected = oracle::encode(&oracle::Field::new(), &case.data, case.shape.parity());
        prop_assert_eq!(&encode(&ReedSolomon::new(case.shape), &case.data), &expected);
        prop_assert_eq!(&encode(&ReedSolomon::portable(case.shape), &case.data), &expected);
    }

    #[test]
    fn any_k_strips_give_all(case in cases()) {
        let codec = ReedSolomon::new(case.shape);
        let strips = encode(&codec, &case.data);
        let (kept, lost) = case.order.split_at(case.shape.data());
        let present: Vec<(usize, &[u8])> = kept.iter().map(|index| (*index, strips[*index].as_slice())).collect();
        let expected: Vec<Vec<u8>> = lost.iter().map(|index| strips[*index].clone()).collect();
        prop_assert_eq!(&reconstruct(&codec, &present, lost), &expected);
        prop_assert_eq!(&reconstruct(&ReedSolomon::portable(case.shape), &present, lost), &expected);
        // Everything at once, what is present included.
        prop_assert_eq!(&reconstruct(&codec, &present, &case.order)[case.shape.data()..], &expected[..]);

        let known: Vec<(usize, Vec<u8>)> = present.iter().map(|(index, strip)| (*index, strip.to_vec())).collect();
        prop_assert_eq!(&oracle::solve(&oracle::Field::new(), case.shape.data(), &known), &case.data);
    }

    #[test]
    fn more_strips_than_needed_do_no_harm(case in cases()) {
        let codec = ReedSolomon::new(case.shape);
        let strips = encode(&codec, &case.data);
        let lost = *case.order.last().unwrap();
        let others = case.order.iter().filter(|index| **index != lost || case.shape.parity() == 0);
        let present: Vec<(usize, &[u8])> = others.map(|index| (*index, strips[*index].as_slice())).collect();
        prop_assert_eq!(&reconstruct(&codec, &present, &[lost])[0], &strips[lost]);
    }

    #[test]
    fn a_range_is_rebuilt_from_ranges(case in cases()) {
        let codec = ReedSolomon::new(case.shape);
        let strips = encode(&codec, &case.data);
        let (kept, lost) = case.order.split_at(case.shape.data());
        let range = case.range;
        let present: Vec<(usize, &[u8])> =
            kept.iter().map(|index| (*index, &strips[*index][range.clone()])).collect();
        for index in lost {
            prop_assert_eq!(&reconstruct(&codec, &present, &[*index])[0], &strips[*index][range.clone()]);
        }
    }
}

/// Every choice of k strips, in the shapes that policies use most and in one that ISA-L's other matrix fails in.
#[test]
fn every_choice_of_strips_is_enough() {
    for (data, parity) in [(1, 2), (2, 2), (4, 2), (5, 4), (8, 3), (6, 8)] {
        let codec = ReedSolomon::new(Shape::new(data, parity).unwrap());
        let bytes = |strip: usize| vec![strip as u8 ^ 0x5A, 1 << (strip % 8), 0xFF];
        let strips = encode(&codec, &(0..data).map(bytes).collect::<Vec<_>>());
        let chosen = (0u32..1 << strips.len()).filter(|set| set.count_ones() as usize == data);
        for set in chosen {
            let is_kept = |index: &usize| set >> index & 1 == 1;
            let present: Vec<(usize, &[u8])> =
                (0..strips.len()).filter(is_kept).map(|index| (index, strips[index].as_slice())).collect();
            let all: Vec<usize> = (0..strips.len()).collect();
            assert_eq!(reconstruct(&codec, &present, &all), strips, "{data}+{parity}, strips {set:b}");
        }
    }
}
