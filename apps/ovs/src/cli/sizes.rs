//! Sizes and vDisks as people type them.

use glossary::{ByteCount, CLUSTER_BYTES, MAX_VDISK_BYTES, VdiskName};

/// The units that sizes may carry, with their bytes as a power of two.
const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// The smallest and the largest SCO.
const SCO_BYTES: std::ops::RangeInclusive<u64> = 4 << 20..=128 << 20;

/// A size: a whole number of bytes, or of KiB, MiB, GiB or TiB.
pub(crate) fn size(text: &str) -> Result<ByteCount, String> {
    let unit = UNITS.iter().find_map(|&(unit, bits)| Some((text.strip_suffix(unit)?, bits)));
    let (digits, bits) = unit.unwrap_or((text, 0));
    let digits = digits.strip_suffix(' ').unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a size is a number of bytes or of KiB, MiB, GiB or TiB, such as 4096 or 10GiB".into());
    }
    let number: Option<u64> = digits.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << bits));
    bytes.map(ByteCount).ok_or_else(|| "a size has to be below 16 EiB".into())
}

/// The size of a vDisk.
pub(crate) fn vdisk_size(text: &str) -> Result<ByteCount, String> {
    let size = size(text)?;
    match size.0 {
        0 => Err("a vDisk of no size holds nothing".into()),
        bytes if bytes > MAX_VDISK_BYTES => Err("a vDisk has at most 64 TiB".into()),
        bytes if bytes % CLUSTER_BYTES != 0 => Err("the size of a vDisk is a multiple of 4 KiB".into()),
        _ => Ok(size),
    }
}

/// The size of SCOs.
pub(crate) fn sco_size(text: &str) -> Result<ByteCount, String> {
    let size = size(text)?;
    match size.0 {
        bytes if !SCO_BYTES.contains(&bytes) => Err("SCOs have from 4MiB to 128MiB".into()),
        bytes if bytes % CLUSTER_BYTES != 0 => Err("the size of SCOs is a multiple of 4 KiB".into()),
        _ => Ok(size),
    }
}

/// The name of a vDisk.
pub(crate) fn vdisk_name(text: &str) -> Result<VdiskName, String> {
    VdiskName::new(text).map_err(|error| error.to_string())
}

/// A vDisk to make, as `NAME:SIZE`.
pub(crate) fn new_vdisk(text: &str) -> Result<(VdiskName, ByteCount), String> {
    let (name, size) =
        text.split_once(':').ok_or("a vDisk is given by name and size, such as disk1:10GiB")?;
    Ok((vdisk_name(name)?, vdisk_size(size)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_typed() {
        for (text, bytes) in [
            ("4096", 4096),
            ("0", 0),
            ("1KiB", 1 << 10),
            ("512MiB", 512 << 20),
            ("10GiB", 10 << 30),
            ("10 GiB", 10 << 30),
            ("64TiB", 64 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(ByteCount(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_what_is_one() {
        for text in
            ["", "GiB", "10GB", "10G", "-1", "+1", "1.5GiB", "ten", "10gib", "10  GiB", "0x10", "\u{661}"]
        {
            assert!(size(text).expect_err(text).contains("10GiB"), "{text}");
        }
        for text in ["18446744073709551616", "16777216TiB", "99999999999999999999999TiB"] {
            assert!(size(text).expect_err(text).contains("16 EiB"), "{text}");
        }
    }

    #[test]
    fn vdisks_have_whole_clusters_and_bounds() {
        assert_eq!(vdisk_size("64TiB"), Ok(ByteCount(64 << 40)));
        assert_eq!(vdisk_size("4096"), Ok(ByteCount(4096)));
        for text in ["0", "1000", "65TiB", "70368744181760"] {
            assert!(vdisk_size(text).is_err(), "{text}");
        }
        assert_eq!(sco_size("4MiB"), Ok(ByteCount(4 << 20)));
        assert_eq!(sco_size("128MiB"), Ok(ByteCount(128 << 20)));
        for text in ["2MiB", "256MiB", "4194305", "0"] {
            assert!(sco_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_vdisk_is_a_name_and_a_size() {
        let name = VdiskName::new("disk1").expect("a name");
        assert_eq!(new_vdisk("disk1:10GiB"), Ok((name, ByteCount(10 << 30))));
        for text in ["disk1", "disk1:", ":1GiB", "x:0", "a/b:1GiB", "a@b:1GiB", "x:1GiB:2"] {
            assert!(new_vdisk(text).is_err(), "{text}");
        }
    }
}
