//! A state from one member to another: the one that lacks entries fetches the leader's page by page, commits it beside its
//! own, and begins its log anew upon it. A page follows upon a key, so what broke off goes on where it was.
//!
//! Every row carries its check, and the head at the end their sums. The member that gives keeps its state as it was, in
//! memory, while it is asked; what changes meanwhile is kept twice.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use consensus::{Member, Role, SnapshotMark, SnapshotOffer};
use formats::Effect;
use formats::kv_table::{GroupHead, TableKey, encode_head};
use formats::message::member::MemberBody;
use step::{Bug, DiskError, DiskOperation, DiskResult, Effects, Function, OrderedMap, TableChange};

use crate::counters::{Counter, Counters};
use crate::device::Device;
use crate::disk::{Disk, Purpose};
use crate::group::Group;
use crate::hosted::Hosted;
use crate::rows::{Frozen, Rows};
use crate::state::State;
use crate::table::{delete_generation, row_key, table_name};
use crate::unwritten::Anew;

/// A page has no further row once it has so many bytes.
const PAGE_BYTES: u64 = 256 << 10;

/// Ticks without a page after which it is asked for again.
const ASK_AGAIN_TICKS: u32 = 10;

/// A page is asked for so often; then another member may have a state to give.
const ASKED_MAX: u32 = 8;

/// Ticks after which a state is kept no longer that nobody asks for: all that an asker takes until it gives up.
const FROZEN_TICKS: u32 = ASK_AGAIN_TICKS * ASKED_MAX;

/// What is changed meanwhile costs so many bytes at most; then who asks begins anew.
const FROZEN_BYTES_MAX: u64 = 256 << 20;

/// A state on its way to this member.
#[derive(Debug)]
pub(crate) struct Transfer<F> {
    pub(crate) from: Member,
    /// What it stands for; what it must stand for at least until the first page came, where any will do.
    pub(crate) mark: SnapshotMark,
    is_exact: bool,
    /// It takes the place of one that is damaged, without a word to the group.
    pub(crate) heals: bool,
    /// The last row that came.
    after: Vec<u8>,
    rows: Rows,
    pub(crate) state: State<F>,
    /// All is here, and is what it should be.
    pub(crate) is_complete: bool,
    ticks: u32,
    asked: u32,
    /// The generation under which it was committed, or is.
    generation: Option<u64>,
}

/// Why a page is no part of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    /// Pages don't follow each other, or don't add up.
    Nonsense,
    /// A row is none that this program reads.
    Unreadable,
}

impl<F: Function> Transfer<F> {
    pub(crate) fn new(from: Member, mark: SnapshotMark, state: State<F>, heals: bool) -> Self {
        Transfer {
            from,
            mark,
            is_exact: !heals,
            heals,
            after: Vec::new(),
            rows: Vec::new(),
            state,
            is_complete: false,
            ticks: 0,
            asked: 0,
            generation: None,
        }
    }

    /// Whether it rests in the table beside the state that counts, or is about to.
    pub(crate) fn is_in_table(&self) -> bool {
        self.generation.is_some()
    }

    /// Takes a page that follows what is here.
    fn take(&mut self, rows: Rows, head: Option<Box<GroupHead>>) -> Result<(), Unfit> {
        for (key, value) in &rows {
            if *key <= self.after {
                return Err(Unfit::Nonsense);
            }
            if !self.state.restore_row(key, value) {
                return Err(Unfit::Unreadable);
            }
            self.after.clone_from(key);
        }
        self.rows.extend(rows);
        let Some(head) = head else { return Ok(()) };
        self.is_complete = self.state.finish_restore(&head) && head.mark == self.mark;
        if self.is_complete { Ok(()) } else { Err(Unfit::Nonsense) }
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// The leader offers a state.
    pub(crate) fn on_offered(&mut self, offer: SnapshotOffer, effects: &mut Effects<Effect>) {
        let SnapshotOffer { from, mark } = offer;
        match &mut self.transfer {
            // A new leader has the same one: it goes on where it was.
            Some(transfer) if transfer.mark == mark && !transfer.heals => {
                if transfer.generation.is_some() {
                    return;
                }
                transfer.from = from;
            }
            // What can't be fetched now is offered again, and heard then. (What heals is of no use to a group that is so far
            // ahead.)
            Some(transfer) if !transfer.heals => return self.replica.group.snapshot_failed(&mark),
            _ if self.installed => return self.replica.group.snapshot_failed(&mark),
            _ => self.transfer = Some(Transfer::new(from, mark, self.fresh_state(), false)),
        }
        self.ask_for_page(effects);
    }

    /// A state without anything, that hosts what this one does.
    pub(crate) fn fresh_state(&self) -> State<F> {
        let mut state = State::new(self.state.functions.clone());
        state.sessions.is_blind = self.state.sessions.is_blind;
        state
    }

    pub(crate) fn ask_for_page(&mut self, effects: &mut Effects<Effect>) {
        if let Some(transfer) = self.transfer.as_mut().filter(|transfer| !transfer.is_complete) {
            (transfer.ticks, transfer.asked) = (0, transfer.asked + 1);
            let (mark, is_exact, after) = (transfer.mark.clone(), transfer.is_exact, transfer.after.clone());
            self.replica.send(transfer.from, MemberBody::FetchPage { mark, is_exact, after }, effects);
        }
    }

    /// Time passes: a page may have been lost, or nobody asks any more.
    pub(crate) fn tick_transfer(&mut self, effects: &mut Effects<Effect>) {
        self.tick_frozen();
        let Some(transfer) = &mut self.transfer else { return };
        transfer.ticks += 1;
        if transfer.is_complete || transfer.ticks < ASK_AGAIN_TICKS {
            return;
        }
        if transfer.asked < ASKED_MAX { self.ask_for_page(effects) } else { self.give_up() }
    }

    pub(crate) fn give_up(&mut self) {
        if let Some(transfer) = self.transfer.take() {
            self.stale.extend(transfer.generation);
            if !transfer.heals {
                self.replica.group.snapshot_failed(&transfer.mark);
            }
        }
    }

    /// What another member says of a state.
    pub(crate) fn on_transfer(&mut self, from: Member, body: MemberBody, effects: &mut Effects<Effect>) {
        match body {
            MemberBody::FetchPage { mark, is_exact, after } => {
                self.on_fetch(from, (mark, is_exact), after, effects);
            }
            MemberBody::Page { mark, after, rows, head } => {
                self.on_page(from, mark, &after, rows, head, effects);
            }
            // A file that an older program asks for: there are none any more.
            MemberBody::Fetch { mark, .. } => {
                self.replica.send(from, MemberBody::NoSnapshot { mark }, effects);
            }
            MemberBody::NoSnapshot { mark } => {
                let is_it = |transfer: &Transfer<F>| transfer.mark == mark && transfer.from == from;
                if self.transfer.as_ref().is_some_and(|transfer| is_it(transfer) && !transfer.is_complete) {
                    self.give_up();
                }
            }
            _ => {}
        }
    }

    fn on_page(
        &mut self,
        from: Member,
        mark: SnapshotMark,
        after: &[u8],
        rows: Rows,
        head: Option<Box<GroupHead>>,
        effects: &mut Effects<Effect>,
    ) {
        let Some(transfer) = self.transfer.as_mut().filter(|transfer| !transfer.is_complete) else { return };
        let is_first = !transfer.is_exact && mark.index >= transfer.mark.index;
        if transfer.from != from || transfer.after != after || !(transfer.mark == mark || is_first) {
            return;
        }
        (transfer.mark, transfer.is_exact) = (mark, true);
        let taken = transfer.take(rows, head);
        self.unreadable = (taken == Err(Unfit::Unreadable)).then_some(from);
        if taken.is_err() {
            self.give_up();
            return;
        }
        transfer.asked = 0;
        self.ask_for_page(effects);
    }

    fn on_fetch(
        &mut self,
        from: Member,
        (mark, is_exact): (SnapshotMark, bool),
        after: Vec<u8>,
        effects: &mut Effects<Effect>,
    ) {
        let suits = |frozen: &Frozen| match is_exact {
            true => frozen.head.mark == mark,
            false => frozen.head.mark.index >= mark.index,
        };
        if !self.frozen.as_ref().is_some_and(suits) {
            self.freeze();
        }
        let body = match self.frozen.as_mut().filter(|frozen| suits(frozen)) {
            Some(frozen) => {
                frozen.idle = 0;
                let mark = frozen.head.mark.clone();
                let (rows, is_all) = frozen.page(&self.state.map, &after, PAGE_BYTES);
                let head = is_all.then(|| Box::new(frozen.head.clone()));
                MemberBody::Page { mark, after, rows, head }
            }
            // Another one can be had, and is offered at the next heartbeat.
            None => {
                self.replica.group.report_snapshot(from, false);
                MemberBody::NoSnapshot { mark }
            }
        };
        self.replica.send(from, body, effects);
    }

    /// Keeps the state as it is now for others, unless one is kept that somebody fetches.
    pub(crate) fn freeze(&mut self) {
        let is_asked = self.frozen.as_ref().is_some_and(|frozen| frozen.idle < ASK_AGAIN_TICKS);
        if is_asked || self.healing.is_some() {
            return;
        }
        let Some(mark) = self.replica.mark().filter(|mark| *mark != SnapshotMark::default()) else { return };
        self.frozen = Some(Frozen::new(&mut self.state, mark.clone()));
        if self.leadership().role == Role::Leader {
            // Who lacks entries is offered this one from now on. The log's files have what is forgotten in memory.
            self.replica.on_state_kept(&mark);
        }
    }

    fn tick_frozen(&mut self) {
        let Some(frozen) = &mut self.frozen else { return };
        frozen.idle += 1;
        if frozen.idle > FROZEN_TICKS || self.state.map.frozen_bytes() > Some(FROZEN_BYTES_MAX) {
            self.frozen = None;
            self.state.map.thaw();
        }
    }

    /// Commits what is here whole beside what there is, as soon as the table is free.
    pub(crate) fn commit_transfer(
        &mut self,
        device: &mut Device,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) {
        let is_busy = device.is_table_busy || device.log.is_beginning();
        let is_ready = |transfer: &&mut Transfer<F>| {
            transfer.is_complete && !transfer.heals && transfer.generation.is_none()
        };
        let Some(transfer) = self.transfer.as_mut().filter(is_ready).filter(|_| !is_busy) else { return };
        self.last_generation += 1;
        let (group, generation) = (self.replica.of(), self.last_generation);
        transfer.generation = Some(generation);
        let mut changes = vec![delete_generation(group, generation)];
        for (key, value) in core::mem::take(&mut transfer.rows) {
            changes.push(TableChange::Set { key: row_key(group, generation, &key), value: value.into() });
        }
        let key = TableKey::Arrived(group);
        let head = transfer.state.head(transfer.mark.clone(), generation);
        changes.push(TableChange::Set { key: key.encode().into(), value: encode_head(key, &head).into() });
        device.is_table_busy = true;
        let what = DiskOperation::Commit { table: table_name(), changes };
        disk.start(Purpose::Arriving(group), what, effects);
    }

    /// The state that arrived is committed, or was not.
    pub(crate) fn on_arriving(
        &mut self,
        result: DiskResult,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        let Some(transfer) = &self.transfer else { return Ok(()) };
        let is_taken = match result {
            Ok(_) => self.replica.group.snapshot_arrived(&transfer.mark),
            Err(DiskError::Full) => {
                counters.add(Counter::CheckpointsGivenUp, 1);
                false
            }
            Err(error) => return Err(crate::table::failure(error)),
        };
        if !is_taken {
            self.give_up();
            return Ok(());
        }
        self.pump(counters, effects)
    }

    /// The group installs the state that arrived: it is the state from here on.
    pub(crate) fn install(&mut self, mark: &SnapshotMark, counters: &mut Counters) {
        let transfer = self.transfer.take().filter(|transfer| transfer.mark == *mark);
        let transfer = transfer.expect("the group installs what arrived");
        let generation = transfer.generation.expect("what arrived was committed");
        let mut state = transfer.state;
        if self.replica.has(Bug::KvInstallKeepsOld) {
            for (key, value) in self.state.map.pairs() {
                if state.map.get(key).is_none() {
                    state.map.restore(key.to_vec(), value.to_vec());
                }
            }
        }
        (self.state, self.frozen, self.healing) = (state, None, None);
        self.replica.is_mute = false;
        self.stale.push(self.generation);
        self.generation = generation;
        self.pass_to(mark.index);
        counters.add(Counter::Installed, 1);
        self.installed = true;
        self.replica.begin_with(Anew { upon: Some(0), install: Some(mark.clone()) });
    }
}
