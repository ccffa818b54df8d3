//! Names of files in an ASD's folder. Files of other names are not its business.

use step::FileName;

/// One of the two places where checkpoints alternate (PROTOCOLS F10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    A,
    B,
}

impl Place {
    pub(crate) const BOTH: [Place; 2] = [Place::A, Place::B];

    pub(crate) fn other(self) -> Place {
        match self {
            Place::A => Place::B,
            Place::B => Place::A,
        }
    }

    pub(crate) fn file(self) -> FileName {
        match self {
            Place::A => FileName::new(format_args!("checkpoint-a")),
            Place::B => FileName::new(format_args!("checkpoint-b")),
        }
    }
}

/// The file that an ASD's folder is made with: there is no log yet. It goes once there is one, so a folder without both
/// has lost its log.
pub fn new_file() -> FileName {
    FileName::new(format_args!("new"))
}

/// The highest sequence of a segment. They count up from 1, so a higher one was not made by us.
pub(crate) const MAX_SEQUENCE: u64 = u64::MAX / 2;

pub(crate) fn segment_file(sequence: u64) -> FileName {
    FileName::new(format_args!("segment-{sequence:016x}"))
}

/// The sequence of the segment that a file is, when it is one.
pub(crate) fn parse_segment(file: FileName) -> Option<u64> {
    let digits = file.as_str().strip_prefix("segment-")?;
    let sequence = u64::from_str_radix(digits, 16).ok()?;
    (1..=MAX_SEQUENCE).contains(&sequence).then_some(sequence).filter(|s| file == segment_file(*s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_back() {
        assert_eq!(segment_file(0x2a).as_str(), "segment-000000000000002a");
        assert_eq!(parse_segment(segment_file(0x2a)), Some(0x2a));
        for text in
            ["segment-2a", "segment-000000000000002A", "segment-0000000000000000", "segment-ffffffffffffffff"]
        {
            assert_eq!(FileName::parse(text).and_then(parse_segment), None, "{text}");
        }
    }
}
