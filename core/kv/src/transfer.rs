//! A snapshot from one member to another: the one that lacks entries fetches the leader's file piece by piece,
//! restores it, writes it as a snapshot of its own, and begins its log anew upon it.
//!
//! What was fetched is checked as at a start: every batch against its check, and the end against what is there. Its
//! pieces are in memory until then, as a snapshot is at a start.

use alloc::vec::Vec;
use bytes::Bytes;
use consensus::{Member, SnapshotMark, SnapshotOffer};
use formats::Effect;
use formats::message::member::MemberBody;
use step::{Bug, DiskOperation, DiskOutcome, DiskResult, Effects, Function, OrderedMap};

use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::device::Device;
use crate::disk::{Disk, Purpose, snapshot_name};
use crate::group::Group;
use crate::hosted::Hosted;
use crate::recover;
use crate::snapshot::{self, Snapshot};
use crate::state::State;
use crate::unwritten::Anew;

/// Bytes of a piece.
const PIECE_BYTES: u64 = 256 << 10;

/// Pieces that are read for others at once; who asks beyond asks again.
const PIECES_AT_ONCE: usize = 4;

/// Ticks without a piece after which it is asked for again.
const ASK_AGAIN_TICKS: u32 = 10;

/// A piece is asked for so often; then another member may have a snapshot.
const ASKED_MAX: u32 = 8;

/// The newest snapshot that is durable here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) mark: SnapshotMark,
    pub(crate) sequence: u64,
    pub(crate) length: u64,
}

/// A snapshot on its way to this member.
#[derive(Debug)]
pub(crate) struct Transfer<F> {
    from: Member,
    mark: SnapshotMark,
    bytes: Vec<u8>,
    /// The file's number there, and its length; unknown before the first piece.
    file: Option<(u64, u64)>,
    ticks: u32,
    asked: u32,
    /// All is here and restored: the state, and the snapshot of it that is being written.
    arrived: Option<(State<F>, Snapshot)>,
}

impl<F> Transfer<F> {
    /// Whether all pieces are here.
    fn is_complete(&self) -> bool {
        self.arrived.is_some() || self.file.is_some_and(|(_, length)| self.bytes.len() as u64 == length)
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// The leader offers a snapshot.
    pub(crate) fn on_offered(&mut self, offer: SnapshotOffer, effects: &mut Effects<Effect>) {
        let SnapshotOffer { from, mark } = offer;
        match &mut self.transfer {
            // A new leader has the same one.
            Some(transfer) if transfer.mark == mark && transfer.arrived.is_none() => {
                (transfer.from, transfer.bytes, transfer.file) = (from, Vec::new(), None);
            }
            Some(_) => return,
            None => {
                let (bytes, file) = (Vec::new(), None);
                let transfer = Transfer { from, mark, bytes, file, ticks: 0, asked: 0, arrived: None };
                self.transfer = Some(transfer);
            }
        }
        self.ask_for_piece(effects);
    }

    fn ask_for_piece(&mut self, effects: &mut Effects<Effect>) {
        if let Some(transfer) = &mut self.transfer {
            (transfer.ticks, transfer.asked) = (0, transfer.asked + 1);
            let offset = transfer.bytes.len() as u64;
            let (to, body) = (transfer.from, MemberBody::Fetch { mark: transfer.mark.clone(), offset });
            self.replica.send(to, body, effects);
        }
    }

    /// Time passes: a piece may have been lost.
    pub(crate) fn tick_transfer(&mut self, effects: &mut Effects<Effect>) {
        let Some(transfer) = &mut self.transfer else { return };
        transfer.ticks += 1;
        if transfer.is_complete() || transfer.ticks < ASK_AGAIN_TICKS {
            return;
        }
        if transfer.asked < ASKED_MAX { self.ask_for_piece(effects) } else { self.give_up() }
    }

    fn give_up(&mut self) {
        if let Some(transfer) = self.transfer.take() {
            self.replica.group.snapshot_failed(&transfer.mark);
        }
    }

    /// What another member says of a snapshot.
    pub(crate) fn on_transfer(
        &mut self,
        from: Member,
        body: MemberBody,
        device: &mut Device,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) {
        match body {
            MemberBody::Fetch { mark, offset } => self.on_fetch(from, (mark, offset), device, disk, effects),
            MemberBody::Piece { mark, sequence, offset, length, bytes } => {
                let Some(transfer) = self
                    .transfer
                    .as_mut()
                    .filter(|transfer| transfer.mark == mark && !transfer.is_complete())
                else {
                    return;
                };
                let file = *transfer.file.get_or_insert((sequence, length));
                let is_next = transfer.from == from && offset == transfer.bytes.len() as u64;
                let fits = offset.saturating_add(bytes.len() as u64) <= length;
                if !is_next || !fits || file != (sequence, length) || bytes.is_empty() {
                    return;
                }
                transfer.bytes.extend_from_slice(&bytes);
                transfer.asked = 0;
                if !transfer.is_complete() {
                    self.ask_for_piece(effects);
                }
            }
            MemberBody::NoSnapshot { mark } => {
                let is_it = |transfer: &Transfer<F>| transfer.mark == mark && transfer.from == from;
                if self.transfer.as_ref().is_some_and(|transfer| is_it(transfer) && !transfer.is_complete()) {
                    self.give_up();
                }
            }
            MemberBody::Consensus(_) | MemberBody::Addressed { .. } | MemberBody::Standing(_) => {}
        }
    }

    fn on_fetch(
        &mut self,
        from: Member,
        (mark, offset): (SnapshotMark, u64),
        device: &mut Device,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) {
        match &device.held {
            Some(held) if held.mark == mark && offset < held.length => {
                if device.pieces < PIECES_AT_ONCE {
                    device.pieces += 1;
                    let (file, length) =
                        (snapshot_name(held.sequence), PIECE_BYTES.min(held.length - offset));
                    let purpose = Purpose::Piece { to: from, sequence: held.sequence, offset };
                    disk.start(purpose, DiskOperation::Read { file, offset, length }, effects);
                }
            }
            _ => {
                // It stands for less than what the log begins with in memory: a newer one is made, and offered.
                self.wants_snapshot = true;
                self.replica.send(from, MemberBody::NoSnapshot { mark }, effects);
            }
        }
    }

    /// A piece was read for another member.
    pub(crate) fn on_piece_read(
        &mut self,
        (to, sequence, offset): (Member, u64, u64),
        result: DiskResult,
        device: &mut Device,
        effects: &mut Effects<Effect>,
    ) {
        device.pieces -= 1;
        let Some(held) = device.held.as_ref().filter(|held| held.sequence == sequence) else { return };
        let mark = held.mark.clone();
        let body = match result {
            Ok(DiskOutcome::Read(bytes)) if !bytes.is_empty() => {
                let (length, bytes) = (held.length, bytes.to_vec());
                MemberBody::Piece { mark, sequence, offset, length, bytes }
            }
            _ => MemberBody::NoSnapshot { mark },
        };
        self.replica.send(to, body, effects);
    }

    /// Restores what is here whole, and begins to write it; not while a snapshot of this member's own is written.
    pub(crate) fn restore_transfer(
        &mut self,
        config: &Config<F>,
        device: &mut Device,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) {
        let is_busy = device.snapshot.is_some() || device.log.is_beginning();
        let Some(transfer) = self.transfer.as_mut().filter(|transfer| !is_busy && transfer.arrived.is_none())
        else {
            return;
        };
        if !transfer.is_complete() {
            return;
        }
        let bytes = Bytes::from(core::mem::take(&mut transfer.bytes));
        let (sequence, length) = transfer.file.expect("it is complete");
        let mut state = State::new(config.functions.clone());
        state.plant(config.bug);
        let whole = recover::restore(&bytes, &config.cluster.0, sequence, &mut state);
        if whole != Ok(Some(Some(transfer.mark.clone()))) {
            self.give_up();
            return;
        }
        transfer.file = Some((sequence, length));
        state.map.freeze();
        let (number, what) = (device.log.reserve(), (transfer.mark.clone(), state.index));
        let written = Snapshot::begin(
            Purpose::Arriving,
            config.cluster.0,
            number,
            what,
            state.sessions.records(),
            disk,
            effects,
        );
        transfer.arrived = Some((state, written));
    }

    /// An operation on the snapshot that arrived ended.
    pub(crate) fn on_arriving(
        &mut self,
        result: DiskResult,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), alloc::string::String> {
        let Some(Transfer { mark, arrived: Some((state, written)), .. }) = &mut self.transfer else {
            return Ok(());
        };
        let is_taken = match written.on_done(result, &mut state.map, disk, effects) {
            snapshot::Progress::None => return Ok(()),
            snapshot::Progress::Failed(error) => return Err(crate::log::failure(error)),
            snapshot::Progress::Durable => self.replica.group.snapshot_arrived(mark),
            snapshot::Progress::Full => {
                counters.add(Counter::SnapshotsGivenUp, 1);
                false
            }
        };
        if !is_taken {
            let file = snapshot_name(written.sequence());
            self.give_up();
            disk.start(Purpose::Forget, DiskOperation::Delete { file }, effects);
            return Ok(());
        }
        self.pump(counters, effects)
    }

    /// The group installs the snapshot that arrived: it is the state from here on.
    pub(crate) fn install(&mut self, mark: &SnapshotMark, counters: &mut Counters) {
        let transfer = self.transfer.take().filter(|transfer| transfer.mark == *mark);
        let (mut state, written) =
            transfer.and_then(|transfer| transfer.arrived).expect("the group installs what arrived");
        state.map.thaw();
        if self.replica.has(Bug::KvInstallKeepsOld) {
            for (key, value) in self.state.map.pairs() {
                if state.map.get(key).is_none() {
                    state.map.restore(key.to_vec(), value.to_vec());
                }
            }
        }
        self.state = state;
        self.pass_to(mark.index);
        counters.add(Counter::Installed, 1);
        let (sequence, length) = (written.sequence(), written.length());
        self.installed = Some(Held { mark: mark.clone(), sequence, length });
        self.replica.begin_with(Anew { upon: Some(sequence), install: Some(mark.clone()) });
    }
}
