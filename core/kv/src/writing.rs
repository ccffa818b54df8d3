//! What goes into the log next: what groups want written, or, in a file that begins anew, all that counts.

use alloc::vec::Vec;
use core::time::Duration;
use formats::Effect;
use formats::kv_store::encode_records;
use step::{Bug, Effects, Function};

use crate::counters::{Counter, Counters};
use crate::device::{MARK_TIMER, Mark};
use crate::disk::Disk;
use crate::group::Group;
use crate::log::Writing;
use crate::serving::{Serving, note};
use crate::unwritten::Anew;

/// A sync that nothing follows for so long is followed by a mark.
const MARK_AFTER: Duration = Duration::from_millis(200);

impl<F: Function, C: Group> Serving<F, C> {
    /// Writes what is to be written, where the log can.
    pub(crate) fn write_next(
        &mut self,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        if !self.device.log.is_ready() {
            return;
        }
        if self.device.log.is_writing() {
            self.device.log.write_again(disk, effects);
        } else if let Some(anew) = self.anew() {
            if self.is_place_for(&anew) {
                self.write(Some(anew), disk, counters, effects);
            } else {
                self.device.log.rotate(disk, effects);
            }
        } else if self.is_due() || self.device.mark == Mark::Now {
            self.write(None, disk, counters, effects);
        } else if self.device.mark == Mark::Due {
            self.device.mark = Mark::Waiting;
            effects.push(Effect::SetTimer { timer: MARK_TIMER, after: MARK_AFTER });
        }
    }

    /// Whether something is to be written for which somebody waits.
    fn is_due(&self) -> bool {
        self.touched.iter().any(|group| self.groups[group].replica.is_due())
    }

    /// Whether the log must begin anew in a file of its own, and with what.
    fn anew(&self) -> Option<Anew> {
        let device = &self.device;
        if device.is_beginning() {
            let begins = self.groups.values().filter_map(|hosted| hosted.replica.begins());
            return Some(Anew { upon: begins.filter_map(|begins| begins.upon).max(), install: None });
        }
        // One that is wanted while another is under way comes after it.
        let is_due = device.checkpoint_due && !device.is_arriving() && !device.is_table_busy;
        is_due.then(|| Anew { upon: Some(device.log.sequence()), install: None })
    }

    /// Whether the log can begin anew in the file that is open: it is behind the checkpoint, and has nothing yet.
    fn is_place_for(&self, anew: &Anew) -> bool {
        let log = &self.device.log;
        log.is_fresh() && anew.upon.is_none_or(|upon| upon <= log.sequence())
    }

    /// Whether the next batch goes to another file.
    pub(crate) fn is_rotating(&self) -> bool {
        self.anew().is_some_and(|anew| !self.is_place_for(&anew))
    }

    /// Writes what all groups have to say.
    fn write(
        &mut self,
        anew: Option<Anew>,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        if self.device.mark == Mark::Waiting {
            effects.push(Effect::ClearTimer(MARK_TIMER));
        }
        self.device.mark = Mark::Settled;
        let mut batch = self.take_unwritten(anew.as_ref());
        let device = &mut self.device;
        batch.begins = anew.and_then(|anew| anew.upon).map(|_| device.log.sequence());
        let (grown, reserve) = (device.log.grown, device.reserve(false));
        let may_fill = device.room.is_ample(device.log.ahead, reserve);
        let used = device.log.write(batch, may_fill, disk, effects);
        counters.add(Counter::LogBytes, device.log.grown - grown);
        if device.room.used(used, reserve) {
            device.room.look(disk, effects);
        }
    }

    /// A batch of all that groups want written; what nobody waits for goes along.
    fn take_unwritten(&mut self, anew: Option<&Anew>) -> Writing {
        let mut batch = Writing { is_mark: anew.is_none(), ..Writing::default() };
        if anew.is_some() {
            self.device.leaving = self.device.dropped.len();
        }
        let mut body = Vec::new();
        for (group, hosted) in &mut self.groups {
            let is_left_out = anew.is_none() || hosted.replica.has(Bug::KvCutForgetsGroups);
            if is_left_out && !self.touched.contains(group) {
                continue;
            }
            let taken = hosted.take_unwritten(anew);
            let is_mixed_up = anew.is_none() && hosted.replica.has(Bug::KvGroupMixedUp);
            let whose = batch.through.last().filter(|_| is_mixed_up).map_or(*group, |(before, _)| *before);
            body = encode_records(body, whose, &taken.records);
            batch.through.extend(taken.through.map(|number| (*group, number)));
            batch.is_mark &= !taken.is_due;
            note(hosted, &mut self.device);
        }
        batch.body = body.into();
        batch
    }
}
