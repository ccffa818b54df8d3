//! The names of a volume driver's files.

use glossary::{Generation, ScoId, TlogId, VdiskId};
use step::FileName;

/// A file of the write buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LocalFile {
    Sco(ScoId),
    Tlog(TlogId),
    Map(u64),
}

impl LocalFile {
    pub(crate) fn name(self, vdisk: VdiskId) -> FileName {
        let mut text = Text { bytes: [0; FileName::MAX_BYTES], length: 0 };
        text.push(b"d");
        text.number(vdisk.0, 10, 1);
        match self {
            LocalFile::Sco(sco) => {
                text.push(b".sco-");
                text.number(sco.0, 16, 12);
            }
            LocalFile::Tlog(tlog) => {
                text.push(b".tlog-");
                text.number(sequence_of_tlog(tlog), 16, 16);
            }
            LocalFile::Map(number) => {
                text.push(b".map-");
                text.number(number, 16, 1);
            }
        }
        text.name()
    }

    /// What a name stands for, and whose it is; `None` for names that are none of ours.
    pub(crate) fn parse(name: &FileName) -> Option<(VdiskId, LocalFile)> {
        let (vdisk, rest) = name.as_str().strip_prefix('d')?.split_once('.')?;
        let vdisk = VdiskId(vdisk.parse().ok()?);
        let (kind, number) = rest.split_once('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let file = match kind {
            "sco" => LocalFile::Sco(ScoId(number)),
            "tlog" => LocalFile::Tlog(tlog_of_sequence(number)),
            "map" => LocalFile::Map(number),
            _ => return None,
        };
        (file.name(vdisk) == *name).then_some((vdisk, file))
    }
}

/// A name in the making. A guest's write names two files: by the general machinery of formatting, that costs a third of
/// what the write alone does.
struct Text {
    bytes: [u8; FileName::MAX_BYTES],
    length: usize,
}

impl Text {
    fn push(&mut self, text: &[u8]) {
        self.bytes[self.length..self.length + text.len()].copy_from_slice(text);
        self.length += text.len();
    }

    /// A number with at least `digits` digits.
    fn number(&mut self, mut number: u64, radix: u64, digits: usize) {
        let mut text = [b'0'; 20];
        let mut first = text.len();
        while number > 0 {
            first -= 1;
            text[first] = b"0123456789abcdef"[(number % radix) as usize];
            number /= radix;
        }
        self.push(&text[first.min(text.len() - digits)..]);
    }

    fn name(&self) -> FileName {
        let text = core::str::from_utf8(&self.bytes[..self.length]).expect("composed names are ASCII");
        FileName::parse(text).expect("composed names are plain, and fit")
    }
}

/// The sequence of a TLog's journal file: generations in the high half, so that it is never used again.
pub(crate) fn sequence_of_tlog(tlog: TlogId) -> u64 {
    u64::from(tlog.generation.0) << 32 | u64::from(tlog.sequence)
}

/// The TLog of a journal file's sequence.
pub(crate) fn tlog_of_sequence(sequence: u64) -> TlogId {
    TlogId { generation: Generation((sequence >> 32) as u32), sequence: sequence as u32 }
}

/// The owner that a volume's journals carry.
pub(crate) fn journal_owner(vdisk: VdiskId) -> [u8; 16] {
    let mut owner = *b"vdisk\0\0\0........";
    owner[8..].copy_from_slice(&vdisk.0.to_le_bytes());
    owner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_they_are_shown() {
        for (vdisk, number) in [(1, 1), (10, 0xabc), (1_234_567, 0x1234_5678_9abc_def0), (1 << 23, u64::MAX)]
        {
            let sco = ScoId(number);
            let tlog = tlog_of_sequence(number);
            let shown = [
                (LocalFile::Sco(sco), FileName::new(format_args!("d{vdisk}.sco-{sco}"))),
                (LocalFile::Tlog(tlog), FileName::new(format_args!("d{vdisk}.tlog-{tlog}"))),
                (LocalFile::Map(number), FileName::new(format_args!("d{vdisk}.map-{number:x}"))),
            ];
            shown.into_iter().for_each(|(file, name)| assert_eq!(file.name(VdiskId(vdisk)), name));
        }
    }

    #[test]
    fn names_come_back() {
        let tlog = TlogId { generation: Generation(3), sequence: 1 };
        for file in [LocalFile::Sco(ScoId(0xabc)), LocalFile::Tlog(tlog), LocalFile::Map(17)] {
            assert_eq!(LocalFile::parse(&file.name(VdiskId(12))), Some((VdiskId(12), file)));
        }
        for odd in ["identity", "d1.sco-", "dx.sco-1", "d1.sco-1", "d1.log-1"] {
            assert_eq!(LocalFile::parse(&FileName::parse(odd).expect("a name")), None, "{odd}");
        }
    }
}
