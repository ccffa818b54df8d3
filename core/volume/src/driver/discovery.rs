//! What a driver finds out before volumes can be taken over: the cluster's record, its vDisks, and the files of the
//! write buffer.

use alloc::vec::Vec;
use formats::Effect;
use formats::identity::{Folder, Identity};
use formats::message::kv::{KvAnswer, KvQuery};
use formats::registry::{self, ClusterRecord, VdiskRecord};
use glossary::{BufferIdentity, VdiskId};
use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, Effects, FileName, OperationId, Timestamp};

use super::{DELETE_ORPHAN, DriverAsk, LIST_FILES, READ_IDENTITY, VolumeDriver};
use crate::context::Purpose;
use crate::files::LocalFile;
use crate::volume::Volume;

/// The longest identity file that is read, in bytes.
const IDENTITY_MAX: u64 = 4096;

/// How often the write buffer's identity is read before a disk that fails at it is believed to go on failing: a tick
/// apart, so for about a second.
const IDENTITY_TRIES: u32 = 5;

/// Keys of one page of the registry.
const RANGE_PAGE: u32 = 1000;

impl VolumeDriver {
    pub(crate) fn read_cluster(&mut self, now: Timestamp, ask: DriverAsk, effects: &mut Effects<Effect>) {
        let query = KvQuery::Get { key: registry::CLUSTER_KEY.to_vec() };
        self.asks.query(Purpose::Driver(ask), query, now, effects);
    }

    pub(super) fn cluster_read(&mut self, now: Timestamp, answer: &KvAnswer, effects: &mut Effects<Effect>) {
        let Some(cluster) = cluster_of(answer) else {
            let reason = "the registry has no readable record of this cluster".into();
            effects.push(Effect::Halt { reason });
            return;
        };
        self.room.limit = cluster.write_buffer.0;
        self.cluster = Some(cluster);
        self.watch_osds(effects);
        self.read_vdisks(now, registry::VDISK_PREFIX.to_vec(), effects);
    }

    fn read_vdisks(&mut self, now: Timestamp, from: Vec<u8>, effects: &mut Effects<Effect>) {
        let query = KvQuery::Range { prefix: registry::VDISK_PREFIX.to_vec(), from, limit: RANGE_PAGE };
        self.asks.query(Purpose::Driver(DriverAsk::Vdisks), query, now, effects);
    }

    pub(super) fn vdisks_read(&mut self, now: Timestamp, answer: KvAnswer, effects: &mut Effects<Effect>) {
        let KvAnswer::Range { pairs, more } = answer else { return };
        let last = pairs.last().map(|(key, _)| key.clone());
        for (key, value) in pairs {
            if let (Some(vdisk), Some(record)) = (vdisk_of_key(&key), registry::decode::<VdiskRecord>(&value))
                // Management may have made it while this answer was on its way.
                && !self.volumes.contains_key(&vdisk)
            {
                if !record.deleting {
                    self.names.insert(record.name.clone(), vdisk);
                }
                self.volumes.insert(vdisk, Volume::waiting(vdisk, record));
                self.take_over(vdisk, effects);
            }
        }
        if let Some(mut from) = last.filter(|_| more) {
            from.push(0);
            self.read_vdisks(now, from, effects);
        }
    }

    /// Takes a vDisk over, once the files in the write buffer are listed.
    pub(crate) fn take_over(&mut self, vdisk: VdiskId, effects: &mut Effects<Effect>) {
        self.to_take_over.insert(vdisk);
        if !self.listing {
            self.listing = true;
            effects.push(Effect::Disk { operation: LIST_FILES, what: DiskOperation::List });
        }
    }

    pub(super) fn own_disk(
        &mut self,
        now: Timestamp,
        operation: OperationId,
        result: DiskResult,
        effects: &mut Effects<Effect>,
    ) {
        if operation == READ_IDENTITY {
            self.identity_read(now, result, effects);
        } else if operation == LIST_FILES {
            self.listing = false;
            match result {
                Ok(DiskOutcome::Listed(files)) => self.files_listed(now, &files, effects),
                _ => {
                    effects.push(Effect::Halt { reason: "the write buffer's folder can't be listed".into() })
                }
            }
        }
    }

    pub(super) fn read_identity(effects: &mut Effects<Effect>) {
        let file = FileName::new(format_args!("identity"));
        let what = DiskOperation::Read { file, offset: 0, length: IDENTITY_MAX };
        effects.push(Effect::Disk { operation: READ_IDENTITY, what });
    }

    /// A write buffer without an identity is a fresh one, and whatever the registry knows to be in the one before is
    /// lost. So one that can't be read must not pass for it.
    fn identity_read(&mut self, now: Timestamp, result: DiskResult, effects: &mut Effects<Effect>) {
        self.buffer = match result {
            Ok(DiskOutcome::Read(bytes)) => buffer_identity(&bytes),
            Ok(_) | Err(DiskError::NotFound) => None,
            Err(DiskError::Failed | DiskError::Full | DiskError::Damaged) => {
                self.identity_failures += 1;
                self.identity_again = self.identity_failures < IDENTITY_TRIES;
                if !self.identity_again {
                    let reason = "the write buffer's identity file can't be read: its disk fails; mend it, then start \
                                  again"
                        .into();
                    effects.push(Effect::Halt { reason });
                }
                return;
            }
        };
        self.read_cluster(now, DriverAsk::Cluster, effects);
    }

    fn files_listed(&mut self, now: Timestamp, files: &[(FileName, u64)], effects: &mut Effects<Effect>) {
        let Some(policies) = self.cluster.as_ref().map(|cluster| cluster.policies.clone()) else { return };
        let buffer = self.buffer;
        self.delete_orphans(files, effects);
        for vdisk in core::mem::take(&mut self.to_take_over) {
            let own = files.iter().filter_map(|(name, length)| {
                LocalFile::parse(name).filter(|(of, _)| *of == vdisk).map(|(_, file)| (file, *length))
            });
            let (own, policies) = (own.collect(), policies.clone());
            self.with(now, vdisk, effects, |volume, context| {
                volume.take_over(buffer, policies, own, context)
            });
        }
    }

    /// Files of vDisks that the registry does not know: what a deletion left behind. Only a write buffer whose
    /// identity is the cluster's is cleaned.
    fn delete_orphans(&self, files: &[(FileName, u64)], effects: &mut Effects<Effect>) {
        let own = self.cluster.as_ref().map(|cluster| cluster.buffer) == self.buffer;
        if !own || self.asks_open() {
            return;
        }
        for (file, _) in files {
            if LocalFile::parse(file).is_some_and(|(vdisk, _)| !self.volumes.contains_key(&vdisk)) {
                effects.push(Effect::Disk {
                    operation: DELETE_ORPHAN,
                    what: DiskOperation::Delete { file: *file },
                });
            }
        }
    }
}

/// The identity that a write buffer's folder carries; none where the file is missing or something else.
fn buffer_identity(bytes: &[u8]) -> Option<BufferIdentity> {
    match Identity::decode(bytes).ok()?.folder {
        Folder::WriteBuffer { identity } => Some(identity),
        Folder::Root | Folder::Asd { .. } | Folder::Kv => None,
    }
}

/// The cluster's record in an answer; none where it has none that can be read.
pub(super) fn cluster_of(answer: &KvAnswer) -> Option<ClusterRecord> {
    match answer {
        KvAnswer::Value(Some(bytes)) => registry::decode(bytes),
        _ => None,
    }
}

/// The vDisk of a registry key.
fn vdisk_of_key(key: &[u8]) -> Option<VdiskId> {
    let digits = core::str::from_utf8(key.strip_prefix(registry::VDISK_PREFIX)?).ok()?;
    u64::from_str_radix(digits, 16).ok().map(VdiskId)
}
