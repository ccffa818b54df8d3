//! Formats newer than this program: found before a role opens its files and may take them for damaged.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use formats::journal::Kind;
use formats::sco;
use glossary::OsdId;

use super::layout::Layout;
use crate::failure::Failure;

/// Bytes of a file's beginning that tell: magic and version.
const HEAD_BYTES: usize = 10;

/// The header page of a journal, and where its check is in it.
const PAGE_BYTES: usize = 4096;
const CHECK: std::ops::Range<usize> = 60..64;

/// How many of an ASD's files are looked at, the last by name: checkpoints come before segments, and a newer program
/// begins new ones.
const ASD_FILES: usize = 3;

/// What files begin with, and the version that this program writes and reads.
const KNOWN: [([u8; 8], u16); 7] = [
    (Kind::TLOG.magic, Kind::TLOG.version),
    (Kind::ASD_SEGMENT.magic, Kind::ASD_SEGMENT.version),
    (Kind::ASD_CHECKPOINT.magic, Kind::ASD_CHECKPOINT.version),
    (Kind::KV_LOG.magic, Kind::KV_LOG.version),
    (Kind::KV_SNAPSHOT.magic, Kind::KV_SNAPSHOT.version),
    (Kind::MAP.magic, Kind::MAP.version),
    (sco::HEADER_MAGIC, sco::VERSION),
];

/// Refuses a cluster in which a file has a newer format.
///
/// One ASD's damage must not keep the others from starting: a version of theirs counts when its header's check holds.
/// One whose check does not hold is for the ASD to judge, which does not serve such a file either.
pub(crate) fn check(layout: &Layout, asds: &[OsdId]) -> Result<(), Failure> {
    for folder in [layout.kv(), layout.write_buffer()] {
        files(&folder).iter().try_for_each(|file| check_file(file))?;
    }
    for osd in asds {
        let files = files(&layout.asd(*osd));
        let is_checkpoint = |file: &&PathBuf| file.to_string_lossy().contains("checkpoint");
        let last = files.iter().rev().take(ASD_FILES);
        let told = files.iter().filter(is_checkpoint).chain(last);
        told.filter(|file| is_sound(file)).try_for_each(|file| check_file(file))?;
    }
    Ok(())
}

/// The files of a folder by name. A folder that can't be read is dealt with by who needs it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

/// Whether the check of a journal's header holds.
fn is_sound(path: &Path) -> bool {
    let mut page = [0; PAGE_BYTES];
    if File::open(path).and_then(|mut file| file.read_exact(&mut page)).is_err() {
        return false;
    }
    let told = page[CHECK].to_vec();
    page[CHECK].fill(0);
    told == checksum::crc32c(&page).to_le_bytes()
}

fn check_file(path: &Path) -> Result<(), Failure> {
    let mut head = [0; HEAD_BYTES];
    // What is too short or can't be read is for its role to judge.
    if File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_err() {
        return Ok(());
    }
    let version = u16::from_le_bytes([head[8], head[9]]);
    match KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, known)) if version > *known => Err(Failure::refused(format!(
            "{} has format version {version}, and this program knows up to {known}; use a newer ovs",
            path.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use formats::journal::FileHeader;

    use super::*;

    #[test]
    fn a_header_that_is_damaged_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let kind = Kind { version: 7, ..Kind::ASD_SEGMENT };
        let header = FileHeader { kind, owner: [1; 16], sequence: 1, predecessor: None, label: Vec::new() };
        let mut page = header.encode().0.to_vec();
        fs::write(&path, &page).unwrap();
        assert!(is_sound(&path) && check_file(&path).is_err());
        page[8] ^= 0x40;
        fs::write(&path, &page).unwrap();
        assert!(!is_sound(&path));
        assert!(!is_sound(&folder.path().join("nothing")));
    }

    #[test]
    fn only_newer_versions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (magic, known) in KNOWN {
            for (version, is_fine) in [(known, true), (known + 1, false), (0x6300, false)] {
                fs::write(&path, [&magic[..], &version.to_le_bytes()].concat()).unwrap();
                assert_eq!(check_file(&path).is_ok(), is_fine, "{magic:?} {version}");
            }
        }
        for other in [&b""[..], b"OVSTLOG\0", b"something else that is long"] {
            fs::write(&path, other).unwrap();
            assert_eq!(check_file(&path), Ok(()));
        }
        assert_eq!(check_file(&folder.path().join("nothing")), Ok(()));
    }
}
