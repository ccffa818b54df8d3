//! Management's verbs on vDisks, and changes of the cluster's record: one at a time, each a compare-and-set
//! of the whole (O1).

use alloc::format;
use alloc::string::{String, ToString};
use formats::Effect;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, RoleStatus};
use formats::message::kv::{KvAnswer, KvCommand, KvError, KvStep};
use formats::registry::{self, ClusterRecord, DtlRecord, VdiskRecord};
use glossary::{
    ByteCount, CLUSTER_BYTES, Generation, MAX_VDISK_BYTES, NamespaceId, NodeId, SCO_BLOCK, VdiskId, VdiskName,
};
use step::{Effects, Timestamp};

use crate::context::Purpose;
use crate::driver::{DriverAsk, VolumeDriver, send_admin};
use crate::record::{Change, RecordWish};
use crate::volume::Volume;

/// A change of the cluster's record that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A block of SCO numbers for a volume (L5).
    ScoBlock(VdiskId),
    /// A new vDisk.
    Create { node: NodeId, request: u64, name: VdiskName, size: ByteCount },
}

/// The step of the creating sequence that asserts that the name is free.
const NAME_FREE: u32 = 2;

impl VolumeDriver {
    pub(crate) fn admin(
        &mut self,
        now: Timestamp,
        from: NodeId,
        asked: AdminRequest,
        effects: &mut Effects<Effect>,
    ) {
        let AdminRequest { request, body } = asked;
        let refusal = match body {
            AdminBody::Status => {
                let status = AdminAnswer::Status(self.status());
                send_admin(from, request, status, effects);
                return;
            }
            AdminBody::KvGroup(_)
            | AdminBody::KvGroups(_)
            | AdminBody::KvStatusOf { .. }
            | AdminBody::KvLevels
            | AdminBody::KvGroupOf { .. } => Some(AdminAnswer::Failed(
                "a volume driver has no say in the KV's group; ask a KV".to_string(),
            )),
            // Before the registry is read nobody can say that there is no such vDisk.
            _ if self.cluster.is_none() || self.asks_open() => {
                Some(AdminAnswer::NotYet("the volume driver is still starting; try again".to_string()))
            }
            AdminBody::CreateVdisk { name, size } => match self.create_refusal(&name, size) {
                None => {
                    self.wish(now, Wish::Create { node: from, request, name, size }, effects);
                    None
                }
                Some(why) => Some(AdminAnswer::Failed(why)),
            },
            AdminBody::ResizeVdisk { name, size } => self.resize(now, from, request, &name, size, effects),
            AdminBody::DeleteVdisk { name } => self.delete(now, from, request, &name, effects),
            AdminBody::SyncVdisk { name } => self.sync(now, from, request, &name, effects),
        };
        if let Some(refusal) = refusal {
            send_admin(from, request, refusal, effects);
        }
    }

    fn create_refusal(&self, name: &VdiskName, size: ByteCount) -> Option<String> {
        if self.names.contains_key(name) {
            return Some(format!("there is a vDisk named {name} already"));
        }
        size_refusal(size)
    }

    fn resize(
        &mut self,
        now: Timestamp,
        node: NodeId,
        request: u64,
        name: &VdiskName,
        size: ByteCount,
        effects: &mut Effects<Effect>,
    ) -> Option<AdminAnswer> {
        let Some((vdisk, _)) = self.named(name) else {
            return Some(no_vdisk(name));
        };
        if let Some(why) = size_refusal(size) {
            return Some(AdminAnswer::Failed(why));
        }
        self.change_record(now, RecordWish { vdisk, node, request, change: Change::Resize(size) }, effects)
    }

    fn delete(
        &mut self,
        now: Timestamp,
        node: NodeId,
        request: u64,
        name: &VdiskName,
        effects: &mut Effects<Effect>,
    ) -> Option<AdminAnswer> {
        let Some((vdisk, _)) = self.named(name) else {
            return Some(no_vdisk(name));
        };
        self.change_record(now, RecordWish { vdisk, node, request, change: Change::Delete }, effects)
    }

    fn sync(
        &mut self,
        now: Timestamp,
        node: NodeId,
        request: u64,
        name: &VdiskName,
        effects: &mut Effects<Effect>,
    ) -> Option<AdminAnswer> {
        let Some((vdisk, _)) = self.named(name) else {
            return Some(no_vdisk(name));
        };
        let mut taken = false;
        self.with(now, vdisk, effects, |volume, _| taken = volume.push(node, request));
        (!taken).then(|| self.volumes[&vdisk].refusal())
    }

    fn named(&self, name: &VdiskName) -> Option<(VdiskId, &Volume)> {
        let vdisk = *self.names.get(name)?;
        self.volumes.get(&vdisk).map(|volume| (vdisk, volume))
    }

    /// Queues a change of the cluster's record.
    pub(crate) fn wish(&mut self, now: Timestamp, wish: Wish, effects: &mut Effects<Effect>) {
        self.wishes.push_back(wish);
        self.next_wish(now, effects);
    }

    /// Asks for the first change that waits, unless one is under way.
    pub(crate) fn next_wish(&mut self, now: Timestamp, effects: &mut Effects<Effect>) {
        let (Some(wish), Some(cluster)) = (self.wishes.front(), &self.cluster) else { return };
        if self.wish_asked {
            return;
        }
        self.wish_asked = true;
        let command = wish_command(wish, cluster, self.config.node);
        self.asks.command(Purpose::Driver(DriverAsk::Wish), command, now, effects);
    }

    pub(crate) fn wish_answered(&mut self, now: Timestamp, answer: &KvAnswer, effects: &mut Effects<Effect>) {
        self.wish_asked = false;
        match answer {
            KvAnswer::Done(_) => {
                let wish = self.wishes.pop_front().expect("the first wish was under way");
                let old = self.cluster.take().expect("wishes need the cluster's record");
                let new = changed_cluster(&wish, &old);
                self.cluster = Some(new);
                self.fulfil(now, wish, &old, effects);
                self.next_wish(now, effects);
            }
            KvAnswer::Failed(KvError::Assert { step: NAME_FREE, .. }) => {
                if let Some(Wish::Create { node, request, name, .. }) = self.wishes.pop_front() {
                    let why = format!("there is a vDisk named {name} already");
                    send_admin(node, request, AdminAnswer::Failed(why), effects);
                }
                self.next_wish(now, effects);
            }
            // Somebody else changed the record: read it, then ask again.
            _ => {
                self.wish_asked = true;
                self.read_cluster(now, DriverAsk::ClusterAgain, effects);
                self.wish_asked = false;
            }
        }
    }

    fn fulfil(&mut self, now: Timestamp, wish: Wish, old: &ClusterRecord, effects: &mut Effects<Effect>) {
        match wish {
            Wish::ScoBlock(vdisk) => {
                let first = old.next_sco;
                self.with(now, vdisk, effects, |volume, context| volume.sco_block_taken(first, context));
            }
            Wish::Create { node, request, name, size } => {
                let vdisk = old.next_vdisk;
                let record = new_record(&name, size, old, self.config.node);
                self.names.insert(name, vdisk);
                self.volumes.insert(vdisk, Volume::waiting(vdisk, record));
                self.take_over(vdisk, effects);
                send_admin(node, request, AdminAnswer::Done, effects);
            }
        }
    }

    fn status(&self) -> RoleStatus {
        let mut vdisks: alloc::vec::Vec<_> =
            self.volumes.values().filter(|volume| !volume.is_leaving()).map(Volume::status).collect();
        vdisks.sort_by(|a, b| a.name.cmp(&b.name));
        RoleStatus::VolumeDriver {
            vdisks,
            buffered: ByteCount(self.volumes.values().map(Volume::buffered).sum()),
            buffer_limit: ByteCount(self.room.limit),
            counters: self.counters.values().to_vec(),
        }
    }
}

fn no_vdisk(name: &VdiskName) -> AdminAnswer {
    AdminAnswer::Failed(format!("there is no vDisk named {name}"))
}

fn size_refusal(size: ByteCount) -> Option<String> {
    if size.0 == 0 {
        return Some("a vDisk needs a size above 0".to_string());
    }
    if !size.0.is_multiple_of(CLUSTER_BYTES) {
        return Some(format!("a vDisk's size is a multiple of 4 KiB; {} is not", size.0));
    }
    (size.0 > MAX_VDISK_BYTES).then(|| format!("a vDisk has at most 64 TiB; {size} is more"))
}

fn changed_cluster(wish: &Wish, old: &ClusterRecord) -> ClusterRecord {
    let mut new = old.clone();
    match wish {
        Wish::ScoBlock(_) => new.next_sco += SCO_BLOCK,
        Wish::Create { .. } => new.next_vdisk.0 += 1,
    }
    new
}

fn wish_command(wish: &Wish, old: &ClusterRecord, owner: NodeId) -> KvCommand {
    let key = registry::CLUSTER_KEY.to_vec();
    let mut steps = alloc::vec![
        KvStep::Assert { key: key.clone(), value: Some(registry::encode(old)) },
        KvStep::Set { key, value: registry::encode(&changed_cluster(wish, old)) },
    ];
    if let Wish::Create { name, size, .. } = wish {
        let (vdisk, name_key) = (old.next_vdisk, registry::name_key(name));
        let record = registry::encode(&new_record(name, *size, old, owner));
        steps.extend([
            KvStep::Assert { key: name_key.clone(), value: None },
            KvStep::Set { key: name_key, value: registry::encode(&vdisk) },
            KvStep::Set { key: registry::vdisk_key(vdisk), value: record },
        ]);
    }
    KvCommand::Sequence(steps)
}

fn new_record(name: &VdiskName, size: ByteCount, cluster: &ClusterRecord, owner: NodeId) -> VdiskRecord {
    VdiskRecord {
        name: name.clone(),
        size,
        sco_size: cluster.sco_size,
        namespace: NamespaceId(cluster.next_vdisk.0),
        owner,
        generation: Generation(0),
        buffer: None,
        dtl: DtlRecord::Off,
        deleting: false,
    }
}
