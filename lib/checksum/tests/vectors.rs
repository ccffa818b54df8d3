//! Published vectors, for whichever engine is built in and for the scalar twin.

use checksum::{Crc32c, clusters, crc32c, crc32c_of_zeros, portable};

/// RFC 3720 B.4, with the digests' bytes read in little-endian order, and the catalogue's check value.
fn vectors() -> Vec<(Vec<u8>, u32)> {
    let mut read_10 = vec![0; 48];
    for (at, byte) in
        [(0, 0x01), (1, 0xC0), (16, 0x14), (22, 0x04), (27, 0x14), (31, 0x18), (32, 0x28), (40, 0x02)]
    {
        read_10[at] = byte;
    }
    vec![
        (vec![0; 32], 0x8A91_36AA),
        (vec![0xFF; 32], 0x62A8_AB43),
        ((0..32).collect(), 0x46DD_794E),
        ((0..32).rev().collect(), 0x113F_DB5C),
        (read_10, 0xD996_3A56),
        (b"123456789".to_vec(), 0xE306_9283),
        (Vec::new(), 0),
        // A cluster of zeroes: what a never-written cluster has.
        (vec![0; 4096], 0x98F9_4189),
    ]
}

fn feed(mut check: Crc32c, pieces: &[&[u8]]) -> u32 {
    pieces.iter().for_each(|piece| check.update(piece));
    check.finish()
}

#[test]
fn whole_slices_have_the_published_checks() {
    for (bytes, expected) in vectors() {
        assert_eq!(crc32c(&bytes), expected, "engine, {bytes:02x?}");
        assert_eq!(portable::crc32c(&bytes), expected, "scalar twin, {bytes:02x?}");
    }
}

#[test]
fn pieces_have_the_published_checks() {
    for (bytes, expected) in vectors() {
        for cut in 0..=bytes.len().min(64) {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(feed(Crc32c::new(), &[head, tail]), expected, "cut at {cut}");
            assert_eq!(feed(Crc32c::starting_from(crc32c(head)), &[tail]), expected, "chained at {cut}");
        }
    }
}

#[test]
fn zeros_have_the_checks_of_real_zeros() {
    for length in [0, 1, 7, 32, 4095, 4096, 65_536, 1_000_003] {
        assert_eq!(crc32c_of_zeros(length as u64), crc32c(&vec![0; length]), "{length} zeroes");
    }
    // Too many to make: 2^63 + 5 zeroes in two ways.
    let half = crc32c_of_zeros(1 << 62);
    let whole = checksum::combine(checksum::combine(half, half, 1 << 62), crc32c(&[0; 5]), 5);
    assert_eq!(crc32c_of_zeros((1 << 63) + 5), whole);
}

#[test]
fn clusters_are_checked_one_by_one() {
    let bytes: Vec<u8> = (0..10_000u32).map(|i| i as u8).collect();
    let checks: Vec<u32> = clusters(&bytes, 4096).collect();
    assert_eq!(checks, [crc32c(&bytes[..4096]), crc32c(&bytes[4096..8192]), crc32c(&bytes[8192..])]);
    assert_eq!(clusters(&[], 4096).len(), 0);
}
