//! Impossible requests are refused by name, and a refusal writes nothing.

use erasure::{Codec, Error, ReedSolomon, Shape};

fn codec() -> ReedSolomon {
    ReedSolomon::new(Shape::new(2, 2).expect("a small shape"))
}

const ONE: &[u8] = &[1, 2, 3];
const TWO: &[u8] = &[4, 5, 6];

/// Reconstructs with strips of 3 bytes for `wanted`, expecting `error` and untouched output.
fn refuse(present: &[(usize, &[u8])], wanted: &[usize], out_length: usize, error: Error) {
    let mut out = vec![vec![0xA5; out_length]; wanted.len()];
    let mut targets: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
    assert_eq!(codec().reconstruct(present, wanted, &mut targets), Err(error));
    assert!(out.concat().iter().all(|byte| *byte == 0xA5), "a refusal wrote");
}

#[test]
fn impossible_shapes() {
    for (data, parity) in [(0, 1), (0, 0), (30, 3), (1, 32), (33, 0), (usize::MAX, 1), (1, usize::MAX)] {
        assert_eq!(Shape::new(data, parity), Err(Error::ImpossibleShape { data, parity }));
    }
    for (data, parity) in [(1, 0), (32, 0), (1, 31), (31, 1), (16, 16)] {
        let shape = Shape::new(data, parity).unwrap();
        assert_eq!((shape.data(), shape.parity(), shape.strips()), (data, parity, data + parity));
        assert_eq!(ReedSolomon::new(shape).shape(), shape);
    }
}

#[test]
fn wrong_counts() {
    let mut parity = [0xA5; 3];
    let wrong = codec().encode(&[ONE, TWO], &mut [&mut parity]);
    assert_eq!(wrong, Err(Error::StripCount { expected: 2, got: 1 }));
    let wrong = codec().encode(&[ONE], &mut [&mut parity]);
    assert_eq!(wrong, Err(Error::StripCount { expected: 2, got: 1 }));
    let wrong = codec().reconstruct(&[(0, ONE), (1, TWO)], &[2, 3], &mut [&mut parity]);
    assert_eq!(wrong, Err(Error::StripCount { expected: 2, got: 1 }));
    assert_eq!(parity, [0xA5; 3]);
}

#[test]
fn too_few_strips() {
    refuse(&[(0, ONE)], &[1], 3, Error::TooFewStrips { needed: 2, got: 1 });
    refuse(&[], &[1], 3, Error::TooFewStrips { needed: 2, got: 0 });
}

#[test]
fn unequal_lengths() {
    let (mut short, mut whole) = ([0xA5; 2], [0xA5; 3]);
    let wrong = codec().encode(&[ONE, TWO], &mut [&mut whole, &mut short]);
    assert_eq!(wrong, Err(Error::UnequalLengths { index: 3, expected: 3, got: 2 }));
    let wrong = codec().encode(&[ONE, &TWO[1..]], &mut [&mut whole, &mut short]);
    assert_eq!(wrong, Err(Error::UnequalLengths { index: 1, expected: 3, got: 2 }));
    assert_eq!((short, whole), ([0xA5; 2], [0xA5; 3]));
    refuse(&[(0, ONE), (3, &TWO[1..])], &[1], 3, Error::UnequalLengths { index: 3, expected: 3, got: 2 });
    refuse(&[(0, ONE), (3, TWO)], &[1], 4, Error::UnequalLengths { index: 1, expected: 3, got: 4 });
}

#[test]
fn wrong_numbers() {
    refuse(&[(0, ONE), (4, TWO)], &[1], 3, Error::UnknownStrip { index: 4, strips: 4 });
    refuse(&[(0, ONE), (1, TWO)], &[7], 3, Error::UnknownStrip { index: 7, strips: 4 });
    refuse(&[(1, ONE), (1, TWO)], &[0], 3, Error::DuplicateStrip { index: 1 });
    refuse(&[(0, ONE), (1, TWO)], &[2, 2], 3, Error::DuplicateStrip { index: 2 });
}

#[test]
fn without_parity_strips_are_only_copied() {
    let codec = ReedSolomon::new(Shape::new(2, 0).unwrap());
    codec.encode(&[ONE, TWO], &mut []).unwrap();
    let mut out = [0; 3];
    codec.reconstruct(&[(1, TWO), (0, ONE)], &[1], &mut [&mut out]).unwrap();
    assert_eq!(out, TWO);
    let lost = codec.reconstruct(&[(1, TWO)], &[0], &mut [&mut out]);
    assert_eq!(lost, Err(Error::TooFewStrips { needed: 2, got: 1 }));
}

#[test]
fn empty_strips_are_strips() {
    let (mut one, mut two) = ([], []);
    codec().encode(&[&[], &[]], &mut [&mut one, &mut two]).unwrap();
    codec().reconstruct(&[(2, &[]), (3, &[])], &[0, 1], &mut [&mut one, &mut two]).unwrap();
}
