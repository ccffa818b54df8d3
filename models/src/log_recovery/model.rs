//! What can happen next.

use stateright::{Model, Property};

use super::bytes::{End, Mark, WRITES};
use super::disk::{Fates, Location};
use super::recovery::{Found, recover};
use super::state::{State, Writer};
use super::{Rule, Rules, Verdict};

/// Crashes in a run.
const CRASHES: u8 = 2;
/// How often the log may move on to a new file, starts not counted.
const MOVES: u8 = 2;
/// Checkpoints in a run.
const CHECKPOINTS: u8 = 2;

/// The model, under some rules.
#[derive(Clone, Debug)]
pub struct LogRecovery {
    /// The rules that the program obeys.
    pub rules: Rules,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A record is written. After a crash variant 0 sends again what was at this place of the log before.
    Append {
        /// Which record.
        variant: u8,
    },
    /// The same, but it lands on another page.
    AppendMisdirected {
        /// Where it lands.
        at: Location,
    },
    /// A FLUSH.
    Flush,
    /// A FLUSH whose sync fails.
    FlushFails,
    /// The log moves on to a new file.
    MoveOn,
    /// A checkpoint is written.
    WriteCheckpoint,
    /// The checkpoint is synced.
    SyncCheckpoint,
    /// The process dies and starts again.
    Kill {
        /// A page that rots meanwhile.
        rot: Option<Rot>,
    },
    /// The power fails and returns.
    CutPower {
        /// What persists of what was not synced.
        persists: Fates,
        /// A page that rots meanwhile.
        rot: Option<Rot>,
    },
}

/// A page that rots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rot {
    /// Which.
    pub at: Location,
    /// Whether its header stays good.
    pub only_body: bool,
}

impl Model for LogRecovery {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self.rules)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.verdict.is_some() {
            return;
        }
        let (spent, writer) = (&state.spent, &state.writer);
        if usize::from(spent.writes) < WRITES && state.has_page() {
            let variants = if spent.crashes == 0 { 1 } else { 2 };
            actions.extend((0..variants).map(|variant| Action::Append { variant }));
            if spent.faults == 0 {
                let elsewhere = Location::all().filter(|at| *at != state.next_location());
                actions.extend(elsewhere.map(|at| Action::AppendMisdirected { at }));
            }
        }
        if state.history.flushed < state.history.count {
            actions.push(Action::Flush);
            if spent.faults == 0 {
                actions.push(Action::FlushFails);
            }
        }
        // One place stays free for the next start, which can't wait for a checkpoint.
        if spent.moves < MOVES && writer.end.mark.page > 1 && state.free_files().count() > 1 {
            actions.push(Action::MoveOn);
        }
        let has_closed_files = writer.live.iter().any(|live| *live != 0 && *live < writer.end.mark.sequence);
        if spent.checkpoints < CHECKPOINTS && has_closed_files && !state.disk.has_dirty_checkpoint() {
            actions.push(Action::WriteCheckpoint);
        }
        if state.disk.has_dirty_checkpoint() {
            actions.push(Action::SyncCheckpoint);
        }
        let fates = state.disk.fates();
        for rot in rots(state) {
            actions.push(Action::Kill { rot });
            actions.extend(fates.iter().map(|persists| Action::CutPower { persists: *persists, rot }));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Append { variant } => state.append(self.rules, variant, None),
            Action::AppendMisdirected { at } => misdirect(self.rules, &mut state, at),
            Action::Flush => {
                if self.rules.hold(Rule::FlushAfterSync) {
                    state.sync();
                }
                state.history.flushed = state.history.count;
            }
            Action::FlushFails => self.fail_sync(&mut state),
            Action::MoveOn => self.move_on(&mut state),
            Action::WriteCheckpoint => {
                state.write_checkpoint(self.rules);
                state.spent.checkpoints += 1;
            }
            Action::SyncCheckpoint => {
                state.disk.sync_checkpoints();
                state.free_covered();
            }
            Action::Kill { rot } => self.crash(&mut state, None, rot),
            Action::CutPower { persists, rot } => self.crash(&mut state, Some(persists), rot),
        }
        if state.verdict.is_none() && !state.reads_are_right(self.rules) {
            state.verdict = Some(Verdict::WrongRead);
        }
        // Nothing follows an end, so all runs that end alike may be one state.
        Some(state.verdict.map_or(state, |verdict| state.ended(verdict)))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        use Verdict::{FalseAlarm, FlushedIsLost, NoRoom, NotABeginning, WrittenIsLost, WrongRead};
        vec![
            Property::always(FlushedIsLost.text(), |_, state: &State| state.verdict != Some(FlushedIsLost)),
            Property::always(WrittenIsLost.text(), |_, state: &State| state.verdict != Some(WrittenIsLost)),
            Property::always(NotABeginning.text(), |_, state: &State| state.verdict != Some(NotABeginning)),
            Property::always(FalseAlarm.text(), |_, state: &State| state.verdict != Some(FalseAlarm)),
            Property::always(WrongRead.text(), |_, state: &State| state.verdict != Some(WrongRead)),
            Property::always(NoRoom.text(), |_, state: &State| state.verdict != Some(NoRoom)),
            Property::sometimes(Verdict::Halted.text(), |_, state: &State| {
                state.verdict == Some(Verdict::Halted)
            }),
            Property::sometimes(Verdict::Offline.text(), |_, state: &State| {
                state.verdict == Some(Verdict::Offline)
            }),
            Property::sometimes(Verdict::Survived.text(), |_, state: &State| {
                state.verdict == Some(Verdict::Survived) && usize::from(state.history.flushed) == WRITES
            }),
        ]
    }
}

impl LogRecovery {
    fn fail_sync(&self, state: &mut State) {
        state.spent.faults += 1;
        if self.rules.hold(Rule::FailedSyncIsFinal) {
            state.verdict = Some(Verdict::Offline);
        } else {
            state.disk.fail_sync(state.writer.file);
        }
    }

    fn move_on(&self, state: &mut State) {
        if self.rules.hold(Rule::ClosedIsSynced) {
            state.sync();
        }
        let file = state.free_files().next().expect("the action is offered when there is a free place");
        state.create_file(file, state.writer.end.mark.sequence + 1);
        state.spent.moves += 1;
    }

    /// The program dies, by itself or with its machine, and starts again.
    fn crash(&self, state: &mut State, persists: Option<Fates>, rot: Option<Rot>) {
        if let Some(persists) = persists {
            state.disk.cut_power(persists);
        }
        if let Some(rot) = rot {
            state.disk.rot(rot.at, rot.only_body);
            strike(state, rot.at);
            state.spent.faults += 1;
        }
        state.spent.crashes += 1;
        let found = recover(self.rules, &state.disk.cache);
        state.verdict = state.history.judge(&state.disk.cache, found.as_ref(), persists.is_some());
        let Some(found) = found.filter(|_| state.verdict.is_none()) else { return };
        state.history.continue_from(&found);
        if state.spent.crashes == CRASHES {
            state.verdict = Some(Verdict::Survived);
        } else {
            self.start(state, &found);
        }
    }

    /// What a start does with what it found, before it takes new entries. A crash in the midst of it comes to
    /// the same as one before, or as one after with the new header lost.
    fn start(&self, state: &mut State, found: &Found) {
        let highest = state.disk.cache.highest_sequence();
        let End { mark, .. } = found.end;
        state.writer = Writer { file: 0, begin: found.end, end: found.end, synced: mark, live: found.live };
        if self.rules.hold(Rule::KeptIsSynced) {
            state.sync();
            state.disk.sync_checkpoints();
        }
        let last = found.live.iter().position(|live| *live == mark.sequence);
        if let Some(file) = last.filter(|_| !self.rules.hold(Rule::NewFileAfterStart)) {
            let header = state.disk.cache.files[file].header.expect("the file was found by its header");
            state.writer.file = file;
            state.writer.begin = header.predecessor;
            return;
        }
        let Some(free) = state.free_files().next() else {
            state.verdict = Some(Verdict::NoRoom);
            return;
        };
        let used = if self.rules.hold(Rule::SequenceIsNew) { highest } else { mark.sequence };
        state.create_file(free, used + 1);
    }
}

/// The pages that may rot during a crash, and none: pages of files that are needed, and synced.
fn rots(state: &State) -> Vec<Option<Rot>> {
    let mut rots = vec![None];
    if state.spent.faults > 0 {
        return rots;
    }
    for at in Location::all().filter(|at| state.writer.live[at.file] != 0 && !state.disk.is_dirty(*at)) {
        let file = &state.disk.cache.files[at.file];
        let header = at.page.checked_sub(1).map(|index| file.pages[index].header);
        match header {
            None => rots.push(Some(Rot { at, only_body: false })),
            // What an older log left on the page is not of the log.
            Some(Some(header)) if header.sequence == state.writer.live[at.file] => {
                rots.extend([false, true].map(|only_body| Some(Rot { at, only_body })));
            }
            Some(_) => {}
        }
    }
    rots
}

fn misdirect(rules: Rules, state: &mut State, at: Location) {
    let missed = state.next_location();
    strike(state, at);
    state.append(rules, 0, Some(at));
    state.history.strike(Mark { sequence: state.writer.live[missed.file], page: missed.page as u8 });
    state.spent.faults += 1;
}

/// Notes that a fault destroyed a page, if it is one of the log's.
fn strike(state: &mut State, at: Location) {
    let sequence = state.writer.live[at.file];
    if sequence != 0 {
        state.history.strike(Mark { sequence, page: at.page as u8 });
    }
}
