//! The bytes of ISA-L itself, for the codec, its scalar twin and the oracle.

mod oracle;

use erasure::{Codec, ReedSolomon, Shape};

const VECTORS: &str = include_str!("../testdata/isa-l.txt");

/// The data of the vectors, as the file's head describes it.
fn data_strips(count: usize, length: usize) -> Vec<Vec<u8>> {
    let byte = |strip: u32, at: u32| {
        let mixed = strip.wrapping_mul(0x9E37_79B1).wrapping_add(at + 1).wrapping_mul(0x85EB_CA6B);
        (mixed >> 24) as u8
    };
    (0..count as u32).map(|strip| (0..length as u32).map(|at| byte(strip, at)).collect()).collect()
}

fn parity_of(codec: &impl Codec, data: &[Vec<u8>]) -> Vec<Vec<u8>> {
    // Garbage, so that a strip left unwritten shows.
    let mut parity = vec![vec![0xA5; data[0].len()]; codec.shape().parity()];
    let strips: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut targets: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    codec.encode(&strips, &mut targets).expect("the strips fit the shape");
    parity
}

fn all_parities(shape: Shape, length: usize) -> [(&'static str, Vec<Vec<u8>>); 3] {
    let data = data_strips(shape.data(), length);
    let slow = oracle::encode(&oracle::Field::new(), &data, shape.parity()).split_off(shape.data());
    [
        ("codec", parity_of(&ReedSolomon::new(shape), &data)),
        ("scalar twin", parity_of(&ReedSolomon::portable(shape), &data)),
        ("oracle", slow),
    ]
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn parity_is_that_of_isa_l() {
    let mut checked = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let numbers: Vec<usize> =
            fields[1..fields.len() - 1].iter().map(|field| field.parse().unwrap()).collect();
        let shape = Shape::new(numbers[0], numbers[1]).unwrap();
        for (who, parity) in all_parities(shape, numbers[2]) {
            match fields[0] {
                "hash" => assert_eq!(format!("{:016x}", fnv1a(&parity.concat())), fields[4], "{who}: {line}"),
                "strip" => assert_eq!(parity[numbers[3] - shape.data()], unhex(fields[5]), "{who}: {line}"),
                other => panic!("unknown vector {other}"),
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 3 * (138 + 16), "vectors in the file, each checked three times");
}

#[test]
fn one_strip_of_data_is_replicated() {
    let data = data_strips(1, 100);
    let codec = ReedSolomon::new(Shape::new(1, 3).unwrap());
    assert_eq!(parity_of(&codec, &data), [data[0].clone(), data[0].clone(), data[0].clone()]);
}
