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
        match self {
            LocalFile::Sco(sco) => FileName::new(format_args!("d{}.sco-{sco}", vdisk.0)),
            LocalFile::Tlog(tlog) => FileName::new(format_args!("d{}.tlog-{tlog}", vdisk.0)),
            LocalFile::Map(number) => FileName::new(format_args!("d{}.map-{number:x}", vdisk.0)),
        }
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
