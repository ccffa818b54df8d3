//! The scalar twin: CRC-32C by tables, eight bytes a step. It serves bare metal and is the oracle for the rest.

use crate::ALL_ONES;
use crate::polynomial::POLYNOMIAL;

/// How many bytes one step takes; one table for each.
const STEP_BYTES: usize = 8;

/// `TABLES[i][b]` is the register after byte `b` and `i` zero bytes, from an empty register.
static TABLES: [[u32; 256]; STEP_BYTES] = tables();

/// [`crate::crc32c`] without SIMD.
pub fn crc32c(bytes: &[u8]) -> u32 {
    update(ALL_ONES, bytes) ^ ALL_ONES
}

/// Moves the shift register (all ones before the first byte, XORed with all ones after the last) over `bytes`.
pub fn update(state: u32, bytes: &[u8]) -> u32 {
    let (steps, rest) = bytes.as_chunks::<STEP_BYTES>();
    let state = steps.iter().fold(state, |state, step| advance(state, *step));
    rest.iter().fold(state, |state, byte| {
        let index = (state ^ u32::from(*byte)) & 0xFF;
        TABLES[0][index as usize] ^ (state >> 8)
    })
}

/// One step: the register meets the first four bytes, then each byte's contribution is looked up.
fn advance(state: u32, step: [u8; STEP_BYTES]) -> u32 {
    let word = u64::from_le_bytes(step) ^ u64::from(state);
    word.to_le_bytes()
        .iter()
        .zip(TABLES.iter().rev())
        .fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)])
}

const fn tables() -> [[u32; 256]; STEP_BYTES] {
    let mut tables = [[0; 256]; STEP_BYTES];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            register = if register & 1 == 1 { (register >> 1) ^ POLYNOMIAL } else { register >> 1 };
            bit += 1;
        }
        tables[0][byte] = register;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < STEP_BYTES {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[zeros - 1][byte];
            tables[zeros][byte] = tables[0][(before & 0xFF) as usize] ^ (before >> 8);
            byte += 1;
        }
        zeros += 1;
    }
    tables
}
