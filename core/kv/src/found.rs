//! Which states a start goes on with: the log says what each group's must stand for, and the table what it holds.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use consensus::{Recovered, SnapshotMark};
use core::mem;
use formats::Effect;
use glossary::GroupId;
use step::{Bug, DiskOperation, Effects, Function};

use crate::disk::{Disk, Purpose};
use crate::recover::Folded;
use crate::refusals::{self, Refusal};
use crate::start::Start;
use crate::state::State;
use crate::table::{self, OfGroup, table_name};

/// A state, if there is one, how it rests in the table, if it does, and what the member of the group begins with.
type Chosen<F> = ((Option<State<F>>, Option<Rest>), Option<Recovered>);

/// What there is of a table.
#[derive(Debug)]
pub(crate) enum Table<F> {
    /// None, or one that nothing was ever committed to.
    None,
    /// It counts.
    Whole {
        /// What it holds of each group.
        groups: BTreeMap<GroupId, OfGroup<F>>,
        /// There is something in it that makes no sense.
        has_waste: bool,
    },
    /// Nobody can tell what holds for all of it. One that nothing can be read of is deleted.
    Lost { is_unreadable: bool },
}

/// How the state of a group rests in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// The generation of its rows.
    pub(crate) generation: u64,
    /// The highest that there ever was.
    pub(crate) last_generation: u64,
    /// Generations that nothing needs.
    pub(crate) stale: Vec<u64>,
    /// The state is not there, though it should be.
    pub(crate) is_lost: bool,
}

impl Default for Rest {
    fn default() -> Self {
        Rest { generation: 1, last_generation: 1, stale: Vec::new(), is_lost: false }
    }
}

impl Rest {
    /// Whether the table has something of it that nothing needs.
    pub(crate) fn is_wasteful(&self) -> bool {
        !self.stale.is_empty()
    }
}

/// What there is of a group beside the root group.
#[derive(Debug)]
pub(crate) struct Found<F> {
    pub(crate) state: State<F>,
    pub(crate) recovered: Recovered,
    pub(crate) rest: Rest,
}

/// What the start found of the table.
#[derive(Debug)]
pub(crate) struct FoundTable {
    /// How the root group's state rests in it.
    pub(crate) rest: Rest,
    /// It must be written anew: it is not what it should be, or is not there.
    pub(crate) rewrites: bool,
    /// Groups that it has something of, and the log nothing.
    pub(crate) strangers: Vec<GroupId>,
}

impl<F: Function> Start<F> {
    /// The log says which states it goes on from. What the root group begins with.
    pub(crate) fn choose_states(
        &mut self,
        mut folded: BTreeMap<GroupId, Folded>,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Result<Option<Recovered>, Refusal> {
        if matches!(self.table, Table::Lost { .. }) {
            let lacks = folded.get(&GroupId::ROOT).and_then(|root| root.lacks.as_ref());
            if self.beginning.first.is_some() && lacks.is_none() {
                return Err(table::damaged(&SnapshotMark::default()));
            }
        }
        let root = folded.remove(&GroupId::ROOT);
        let found = self.choose_state(GroupId::ROOT, root)?;
        if let (state, Some(rest)) = found.0 {
            self.rest = rest;
            self.state = state.unwrap_or_else(|| State::new(self.functions.clone()));
        }
        for (group, folded) in folded {
            let ((state, rest), recovered) = self.choose_state(group, Some(folded))?;
            if let Some(recovered) = recovered {
                let state = state.unwrap_or_else(|| State::new(self.functions.clone()));
                self.others.insert(group, Found { state, recovered, rest: rest.unwrap_or_default() });
            }
        }
        if matches!(self.table, Table::Lost { is_unreadable: true }) {
            self.awaited += 1;
            let file = table_name();
            disk.start(Purpose::Settle(file), DiskOperation::Delete { file }, effects);
        }
        Ok(found.1)
    }

    /// The log says which state of a group it goes on from: that, how it rests in the table, if it does, and what the
    /// member of the group begins with. A state that is not there must be had from another member.
    fn choose_state(&mut self, group: GroupId, folded: Option<Folded>) -> Result<Chosen<F>, Refusal> {
        let held = match &mut self.table {
            Table::Whole { groups, .. } => groups.remove(&group),
            Table::None | Table::Lost { .. } => None,
        };
        let Some(Folded { recovered, has_arrived, lacks }) = folded else {
            // The log says of each group what it goes on from.
            return match held.and_then(|held| held.current) {
                Some(_) if group == GroupId::ROOT => Err(refusals::without_log()),
                _ => Ok(((None, None), None)),
            };
        };
        if let Some(mark) = lacks.as_ref().filter(|_| self.bug != Some(Bug::KvServesDamaged)) {
            if !mark.membership.voters.iter().any(|member| *member != self.me) {
                return Err(table::damaged(mark));
            }
            let last_generation = held.map_or(1, |held| held.last_generation.max(1));
            let rest = Rest { last_generation, is_lost: true, ..Rest::default() };
            return Ok(((None, Some(rest)), Some(recovered)));
        }
        let Some(held) = held else { return Ok(((None, None), Some(recovered))) };
        let (state, rest) = held.choose(has_arrived)?;
        Ok(((state, Some(rest)), Some(recovered)))
    }

    /// What there is of the table.
    pub(crate) fn found_table(&mut self) -> FoundTable {
        let is_any_lost = self.rest.is_lost || self.others.values().any(|found| found.rest.is_lost);
        let (strangers, has_waste) = match &self.table {
            Table::Whole { groups, has_waste } => (groups.keys().copied().collect(), *has_waste),
            Table::None | Table::Lost { .. } => (Vec::new(), true),
        };
        FoundTable { rest: mem::take(&mut self.rest), rewrites: has_waste || is_any_lost, strangers }
    }
}
