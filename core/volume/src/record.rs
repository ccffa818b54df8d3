//! Management's changes of a vDisk's record: one at a time with those of the vDisk itself, each a compare-and-set of the
//! whole (O1). One that comes while another is under way waits for it.

use alloc::format;
use alloc::string::String;
use formats::Effect;
use formats::message::admin::AdminAnswer;
use formats::message::kv::{KvAnswer, KvCommand, KvStep};
use formats::registry::{self, VdiskRecord};
use glossary::{ByteCount, NodeId, VdiskId};
use step::{Effects, Timestamp};

use crate::context::Purpose;
use crate::driver::{DriverAsk, VolumeDriver, send_admin};

/// How management changes a vDisk's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is given so many bytes.
    Resize(ByteCount),
    /// It is deleted.
    Delete,
}

/// A change that management asked for, by a request of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordWish {
    pub(crate) vdisk: VdiskId,
    pub(crate) node: NodeId,
    pub(crate) request: u64,
    pub(crate) change: Change,
}

/// A change that the registry is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordChange {
    wish: RecordWish,
    new: VdiskRecord,
}

impl VolumeDriver {
    /// Asks the registry for a change, now or when the one before it is settled. Gives the answer when it can't be.
    pub(crate) fn change_record(
        &mut self,
        now: Timestamp,
        wish: RecordWish,
        effects: &mut Effects<Effect>,
    ) -> Option<AdminAnswer> {
        let volume = &self.volumes[&wish.vdisk];
        if volume.record_is_changing() {
            self.record_wishes.push(wish);
            return None;
        }
        let Some(old) = volume.record_to_change(wish.change == Change::Delete).cloned() else {
            return Some(volume.refusal());
        };
        let new = match changed(&old, wish.change) {
            Ok(new) => new,
            Err(why) => return Some(AdminAnswer::Failed(why)),
        };
        let key = registry::vdisk_key(wish.vdisk);
        let mut steps = alloc::vec![
            KvStep::Assert { key: key.clone(), value: Some(registry::encode(&old)) },
            KvStep::Set { key, value: registry::encode(&new) },
        ];
        if new.deleting {
            steps.push(KvStep::Delete { key: registry::name_key(&new.name) });
        }
        self.with(now, wish.vdisk, effects, |volume, _| volume.hold_record(true));
        let ask = DriverAsk::Record(RecordChange { wish, new });
        self.asks.command(Purpose::Driver(ask), KvCommand::Sequence(steps), now, effects);
        None
    }

    pub(crate) fn record_answered(
        &mut self,
        now: Timestamp,
        change: RecordChange,
        answer: &KvAnswer,
        effects: &mut Effects<Effect>,
    ) {
        let RecordChange { wish: RecordWish { vdisk, node, request, .. }, new } = change;
        self.with(now, vdisk, effects, |volume, _| volume.hold_record(false));
        if !matches!(answer, KvAnswer::Done(_)) {
            let why = format!("the KV did not take the change ({answer:?}); try again");
            send_admin(node, request, AdminAnswer::Failed(why), effects);
            return;
        }
        if new.deleting {
            self.names.retain(|_, named| *named != vdisk);
            self.with(now, vdisk, effects, |volume, context| volume.delete(new, context));
        } else {
            self.with(now, vdisk, effects, |volume, _| volume.record_changed(new));
        }
        send_admin(node, request, AdminAnswer::Done, effects);
    }

    /// Asks for the next change of a vDisk's record that waits, if nothing is under way any more.
    pub(crate) fn next_record_wish(&mut self, now: Timestamp, vdisk: VdiskId, effects: &mut Effects<Effect>) {
        while self.volumes.get(&vdisk).is_some_and(|volume| !volume.record_is_changing()) {
            let Some(index) = self.record_wishes.iter().position(|wish| wish.vdisk == vdisk) else { return };
            let wish = self.record_wishes.remove(index);
            let (node, request) = (wish.node, wish.request);
            if let Some(refusal) = self.change_record(now, wish, effects) {
                send_admin(node, request, refusal, effects);
            }
        }
    }
}

/// The record after a change, or why it can't be.
fn changed(old: &VdiskRecord, change: Change) -> Result<VdiskRecord, String> {
    let mut new = old.clone();
    match change {
        Change::Resize(size) if size < old.size => {
            return Err(format!("vDisk {} has {}; a vDisk can grow, never shrink", old.name, old.size));
        }
        Change::Resize(size) => new.size = size,
        Change::Delete => new.deleting = true,
    }
    Ok(new)
}
