//! A backup of the KV: the pairs of its groups, each group's as they were at one index, in a file of their own.
//!
//! The file is a journal ([`crate::journal`]) of one file with sequence 1, owned by the cluster that it was taken of; its
//! label is a byte, 1 for whole maps and 0 for users' keys. The bodies of its batches are [`BackupPart`]s in postcard:
//! pairs of one group, changes of what came before, and that group's end. Version 1 ends there. Version 2 goes on with
//! other groups, by name, and ends with a part that says so. Without its end a file is no backup. It says nothing of
//! sessions, members or logs: it is restored by commands, into a cluster of any version that reads this one.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use glossary::ClusterIdentity;
use serde::{Deserialize, Serialize};

use crate::journal::{FileHeader, HeaderError, Kind, Mark, PAGE, Writer, scan};

/// The key that says that a restore is under way, and of what: what is in the map is a part. No text begins like it.
pub const UNDER_WAY: &[u8] = b"\xff\xffrestore under way";

/// The number of the one file.
const SEQUENCE: u64 = 1;

/// The version of files that hold one group.
const ONE_GROUP: u16 = 1;

/// One batch of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupPart {
    /// Pairs, behind all before them in the order of keys.
    Pairs(Vec<(Vec<u8>, Vec<u8>)>),
    /// What changed while the pairs were read: new values, or none.
    Changes(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// All has been said of this group.
    End {
        /// The index of the last command that the backup holds of it.
        index: u64,
    },
    /// What follows is of another group (version 2).
    Group {
        /// Its name.
        name: String,
    },
    /// All has been said of all groups (version 2).
    All,
}

/// Makes a backup's bytes, part by part.
#[derive(Debug)]
pub struct BackupWriter(Writer);

impl BackupWriter {
    /// Begins a backup of whole maps of a cluster, or of users' keys alone, and gives the file's first bytes. One of a
    /// single group can be read by programs that know no others.
    pub fn begin(cluster: ClusterIdentity, is_whole: bool, has_groups: bool) -> (Self, Bytes) {
        let version = if has_groups { Kind::KV_BACKUP.version } else { ONE_GROUP };
        let (owner, label) = (cluster.0, vec![u8::from(is_whole)]);
        let kind = Kind { version, ..Kind::KV_BACKUP };
        let header = FileHeader { kind, owner, sequence: SEQUENCE, predecessor: None, label };
        let (writer, page) = Writer::begin(&header);
        (BackupWriter(writer), page)
    }

    /// The bytes of the next part.
    pub fn part(&mut self, part: &BackupPart) -> Vec<Bytes> {
        let body = postcard::to_allocvec(part).expect("parts encode");
        self.0.batch(Mark::default(), vec![body.into()])
    }
}

/// A backup that was read, and is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The cluster that it was taken of.
    pub cluster: ClusterIdentity,
    /// Whether it holds the cluster's own records too, and keys as they are in the map; else users' keys, as they name
    /// them.
    pub is_whole: bool,
    /// The root group, or the one group that it was taken of.
    pub first: Section,
    /// Other groups, by name.
    pub groups: BTreeMap<String, Section>,
}

/// What a backup holds of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The index of the last command that it holds.
    pub index: u64,
    /// All pairs.
    pub pairs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Why a file is no backup to restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// It is something else.
    #[error("this is no backup of a KV")]
    Foreign,
    /// A newer program wrote it.
    #[error("the backup has format version {0}, which a newer program wrote; restore it with that program")]
    Newer(u16),
    /// Bytes in it have changed.
    #[error("the backup is damaged at byte {0}; take another one")]
    Damaged(u64),
    /// Its end is missing.
    #[error(
        "the backup ends at byte {0} before it is complete: its making was interrupted, or it was cut off"
    )]
    Incomplete(u64),
}

impl Backup {
    /// Reads a backup's file, all of it.
    pub fn read(bytes: &Bytes) -> Result<Self, BackupError> {
        let page = bytes.get(..PAGE as usize).filter(|page| page.starts_with(&Kind::KV_BACKUP.magic));
        let page = page.ok_or(BackupError::Foreign)?;
        let (header, _) = FileHeader::decode(page, Kind::KV_BACKUP).map_err(header_error)?;
        let found = scan(bytes, Kind::KV_BACKUP, &header.owner, SEQUENCE)
            .map_err(|found| header_error(found.error))?;
        let mut backup = Backup {
            cluster: ClusterIdentity(header.owner),
            is_whole: header.label != [0],
            first: Section::default(),
            groups: BTreeMap::new(),
        };
        let mut section = Some(&mut backup.first);
        for batch in &found.batches {
            let nonsense = BackupError::Damaged(batch.position);
            let part = postcard::from_bytes(&batch.body).map_err(|_| nonsense)?;
            match (part, section.as_mut()) {
                (BackupPart::Pairs(pairs), Some(section)) => section.pairs.extend(pairs),
                (BackupPart::Changes(changes), Some(section)) => {
                    changes.into_iter().for_each(|change| section.change(change));
                }
                (BackupPart::End { index }, Some(ending)) => {
                    ending.index = index;
                    section = None;
                    if header.kind.version == ONE_GROUP {
                        return Ok(backup);
                    }
                }
                (BackupPart::Group { name }, None) => section = Some(backup.groups.entry(name).or_default()),
                (BackupPart::All, None) => return Ok(backup),
                _ => return Err(nonsense),
            }
        }
        // A batch that is there and doesn't check is damage; where nothing is, it was cut off.
        let is_cut = bytes.len() as u64 <= found.end;
        Err(if is_cut { BackupError::Incomplete(found.end) } else { BackupError::Damaged(found.end) })
    }

    /// Pairs of all groups together.
    pub fn len(&self) -> usize {
        self.first.pairs.len() + self.groups.values().map(|section| section.pairs.len()).sum::<usize>()
    }

    /// Whether it holds no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Section {
    fn change(&mut self, (key, value): (Vec<u8>, Option<Vec<u8>>)) {
        match value {
            Some(value) => self.pairs.insert(key, value),
            None => self.pairs.remove(&key),
        };
    }
}

fn header_error(error: HeaderError) -> BackupError {
    match error {
        HeaderError::Newer(version) => BackupError::Newer(version),
        HeaderError::Foreign => BackupError::Foreign,
        HeaderError::Damaged => BackupError::Damaged(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterIdentity = ClusterIdentity([7; 16]);

    fn written(parts: &[BackupPart]) -> Vec<u8> {
        let has_groups = parts.contains(&BackupPart::All);
        let (mut writer, page) = BackupWriter::begin(CLUSTER, false, has_groups);
        let mut bytes = page.to_vec();
        for part in parts {
            writer.part(part).iter().for_each(|piece| bytes.extend_from_slice(piece));
        }
        bytes
    }

    fn pair(key: u8, value: u8) -> (Vec<u8>, Vec<u8>) {
        (vec![key], vec![value])
    }

    fn parts() -> Vec<BackupPart> {
        vec![
            BackupPart::Pairs(vec![pair(1, 1), pair(2, 2)]),
            BackupPart::Pairs(vec![pair(3, 3)]),
            BackupPart::Changes(vec![(vec![1], None), (vec![2], Some(vec![9])), (vec![4], Some(vec![4]))]),
            BackupPart::End { index: 12 },
        ]
    }

    #[test]
    fn a_backup_reads_as_what_was_there_at_its_end() {
        let backup = Backup::read(&written(&parts()).into()).expect("whole");
        assert_eq!((backup.cluster, backup.is_whole, backup.first.index), (CLUSTER, false, 12));
        assert_eq!(backup.first.pairs, [pair(2, 9), pair(3, 3), pair(4, 4)].into());
        assert!(backup.groups.is_empty());
    }

    /// The same with other groups behind it.
    fn parts_of_groups() -> Vec<BackupPart> {
        let group = |name: &str| BackupPart::Group { name: name.into() };
        let mut all = parts();
        all.extend([group("a"), BackupPart::Pairs(vec![pair(1, 7)]), BackupPart::End { index: 5 }]);
        all.extend([group("b"), BackupPart::End { index: 3 }, BackupPart::All]);
        all
    }

    #[test]
    fn each_group_has_what_is_its_own() {
        let parts = parts_of_groups();
        let backup = Backup::read(&written(&parts).into()).expect("whole");
        assert_eq!(backup.first.pairs, [pair(2, 9), pair(3, 3), pair(4, 4)].into());
        let section = |index, pairs: &[_]| Section { index, pairs: pairs.iter().cloned().collect() };
        let groups = [("a".into(), section(5, &[pair(1, 7)])), ("b".into(), section(3, &[]))];
        assert_eq!((backup.len(), backup.groups), (4, groups.into()));
        // Parts that no group has a place for.
        for (from, to) in [(3, 4), (4, 5), (6, 7)] {
            let mut wrong = parts.clone();
            wrong.drain(from..to);
            let read = Backup::read(&written(&wrong).into());
            assert!(matches!(read, Err(BackupError::Damaged(_))), "without {from}: {read:?}");
        }
    }

    #[test]
    fn every_flipped_byte_that_counts_is_found_and_every_cut() {
        for parts in [parts(), parts_of_groups()] {
            flip_and_cut(&parts);
        }
    }

    fn flip_and_cut(parts: &[BackupPart]) {
        let whole = written(parts);
        let expected = Backup::read(&whole.clone().into());
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            // Bytes behind a body are padding, and count for nothing.
            let read = Backup::read(&bytes.into());
            assert!(read.is_err() || read == expected, "byte {at}");
        }
        let ends: Vec<_> = (0..whole.len()).step_by(97).chain([PAGE as usize - 1, PAGE as usize]).collect();
        for end in ends {
            let read = Backup::read(&whole[..end].to_vec().into());
            assert!(read.is_err() || read == expected, "cut at {end}");
        }
        let last = PAGE * (parts.len() as u64 - 1);
        let cut = whole[..(PAGE + last) as usize].to_vec();
        assert_eq!(Backup::read(&cut.clone().into()), Err(BackupError::Incomplete(cut.len() as u64)));
    }

    #[test]
    fn other_files_and_newer_ones_are_told_apart() {
        assert_eq!(Backup::read(&Bytes::from_static(b"dear")), Err(BackupError::Foreign));
        assert_eq!(Backup::read(&vec![0; 9000].into()), Err(BackupError::Foreign));
        let kind = Kind { version: Kind::KV_BACKUP.version + 1, ..Kind::KV_BACKUP };
        let header =
            FileHeader { kind, owner: [7; 16], sequence: SEQUENCE, predecessor: None, label: Vec::new() };
        let (_, page) = Writer::begin(&header);
        assert_eq!(Backup::read(&page), Err(BackupError::Newer(kind.version)));
    }
}
