//! The engine against the scalar twin and against bit-by-bit division, over any bytes and any cuts.

use checksum::{Crc32c, combine, crc32c, portable};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};

/// The definition, one bit at a time, sharing nothing with the crate.
fn long_division(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            let quotient_bit = register & 1;
            register = (register >> 1) ^ (quotient_bit * 0x82F6_3B78);
        }
    }
    !register
}

/// The check of `bytes` after the bytes of `check`.
fn chained(check: u32, bytes: &[u8]) -> u32 {
    let mut chain = Crc32c::starting_from(check);
    chain.update(bytes);
    chain.finish()
}

proptest! {
    #[test]
    fn both_engines_divide(bytes in vec(any::<u8>(), 0..9000), skip in 0usize..16) {
        // Skipping moves the start off its alignment.
        let bytes = &bytes[skip.min(bytes.len())..];
        let expected = long_division(bytes);
        prop_assert_eq!(crc32c(bytes), expected);
        prop_assert_eq!(portable::crc32c(bytes), expected);
    }

    #[test]
    fn any_start_gives_the_same_on_both_engines(start in any::<u32>(), bytes in vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(chained(start, &bytes), !portable::update(!start, &bytes));
    }

    #[test]
    fn cuts_do_not_matter(pieces in vec(vec(any::<u8>(), 0..300), 0..8)) {
        let whole = crc32c(&pieces.concat());
        let mut fed = Crc32c::new();
        let mut combined = 0;
        for piece in &pieces {
            fed.update(piece);
            combined = combine(combined, crc32c(piece), piece.len() as u64);
        }
        prop_assert_eq!(fed.finish(), whole);
        prop_assert_eq!(combined, whole);
    }

    #[test]
    fn a_chain_remembers_its_past(past in any::<u32>(), other in any::<u32>(), bytes in vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(chained(past, &bytes) == chained(other, &bytes), past == other);
    }
}

/// Why [`Crc32c::starting_from`] warns: the check of anything followed by its own check is one constant.
#[test]
fn a_check_fed_to_itself_forgets() {
    let forget = |bytes: &[u8]| {
        let check = crc32c(bytes);
        chained(check, &check.to_le_bytes())
    };
    assert_eq!(forget(b"one past"), forget(b"another"));
}
