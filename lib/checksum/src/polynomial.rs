//! What a check says about bytes that are not at hand. Appending a zero byte multiplies the register by x^8
//! modulo the polynomial, so appending `n` of them multiplies it by x^(8n), found in about log2(n) products.

use crate::ALL_ONES;

/// 0x1EDC6F41, reflected: bit 31 is the coefficient of x^0.
pub(crate) const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// `BYTE_POWERS[i]` is x^(8 * 2^i), one for each bit of a length in bytes.
static BYTE_POWERS: [u32; 64] = byte_powers();

/// The CRC-32C of the concatenation of two parts, from their checks and the second's length in bytes.
pub fn combine(first: u32, second: u32, second_length: u64) -> u32 {
    multiply(zeros(second_length), first) ^ second
}

/// The CRC-32C of `length` zero bytes.
pub fn crc32c_of_zeros(length: u64) -> u32 {
    multiply(zeros(length), ALL_ONES) ^ ALL_ONES
}

/// x^(8 * length): what `length` zero bytes multiply the register by.
fn zeros(length: u64) -> u32 {
    let chosen = BYTE_POWERS.iter().enumerate().filter(|(bit, _)| (length >> bit) & 1 == 1);
    chosen.fold(ONE, |product, (_, power)| multiply(product, *power))
}

/// The product of two polynomials modulo [`POLYNOMIAL`].
const fn multiply(left: u32, right: u32) -> u32 {
    let mut product = 0;
    let mut shifted = right;
    let mut bit = ONE;
    while bit != 0 {
        if left & bit != 0 {
            product ^= shifted;
        }
        shifted = if shifted & 1 == 1 { (shifted >> 1) ^ POLYNOMIAL } else { shifted >> 1 };
        bit >>= 1;
    }
    product
}

const fn byte_powers() -> [u32; 64] {
    let mut powers = [0; 64];
    powers[0] = ONE >> 8;
    let mut bit = 1;
    while bit < 64 {
        powers[bit] = multiply(powers[bit - 1], powers[bit - 1]);
        bit += 1;
    }
    powers
}
