//! The table on the disk: its keys, and what a start finds in it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use bytes::Bytes;
use consensus::SnapshotMark;
use formats::kv_table::{GroupHead, TABLE_VERSION, TableHead, TableKey, decode_head, table_version};
use formats::message::kv::FunctionId;
use glossary::GroupId;
use step::{DiskError, FileName, Function, TableChange};

use crate::found::Rest;
use crate::recover::Stands;
use crate::refusals::{ADVICE, Refusal};
use crate::state::State;

/// The table's name.
pub(crate) fn table_name() -> FileName {
    FileName::new(format_args!("table"))
}

/// The key of a row.
pub(crate) fn row_key(group: GroupId, generation: u64, row: &[u8]) -> Bytes {
    TableKey::Row { group, generation, row }.encode().into()
}

/// Deletes all rows of a generation.
pub(crate) fn delete_generation(group: GroupId, generation: u64) -> TableChange {
    TableChange::DeletePrefix { prefix: row_key(group, generation, &[]) }
}

/// Deletes all that there is of a group.
pub(crate) fn delete_group(group: GroupId) -> [TableChange; 3] {
    let first = TableKey::Row { group, generation: 0, row: &[] }.encode();
    // Without the generation.
    let prefix = Bytes::copy_from_slice(&first[..first.len() - size_of::<u64>()]);
    let delete = |key: TableKey<'_>| TableChange::Delete { key: key.encode().into() };
    [delete(TableKey::Group(group)), delete(TableKey::Arrived(group)), TableChange::DeletePrefix { prefix }]
}

/// What to tell when the table can't be written.
pub(crate) fn failure(error: DiskError) -> String {
    format!(
        "the disk under the KV's table failed ({error:?}): what was answered is synced in the log, but nothing more is \
         written; check the disk, then start again, and the table is read anew"
    )
}

/// A state that the table holds.
#[derive(Debug)]
pub(crate) struct Held<F> {
    pub(crate) head: GroupHead,
    pub(crate) state: State<F>,
}

/// What the table holds of a group.
#[derive(Debug)]
pub(crate) struct OfGroup<F> {
    /// Its head, and the state, unless it is damaged.
    pub(crate) current: Option<(GroupHead, Option<State<F>>)>,
    /// A state that another member gave, if it is whole.
    pub(crate) arrived: Option<Held<F>>,
    /// The highest generation that was seen.
    pub(crate) last_generation: u64,
}

impl<F> Default for OfGroup<F> {
    fn default() -> Self {
        OfGroup { current: None, arrived: None, last_generation: 0 }
    }
}

impl<F: Function> OfGroup<F> {
    /// What its states stand for, as far as they are whole.
    pub(crate) fn stands(&self) -> Stands {
        let whole = |(head, state): &(GroupHead, Option<State<F>>)| state.as_ref().map(|_| head.mark.clone());
        Stands {
            mark: self.current.as_ref().and_then(whole),
            arrived: self.arrived.as_ref().map(|held| held.head.mark.clone()),
        }
    }

    /// The state that the log goes on from, and how it rests: that which arrived, or that which was there.
    pub(crate) fn choose(self, has_arrived: bool) -> Result<(Option<State<F>>, Rest), Refusal> {
        let mut rest = Rest { last_generation: self.last_generation.max(1), ..Rest::default() };
        match (self.arrived, has_arrived) {
            (Some(arrived), true) => {
                rest.generation = arrived.head.generation;
                rest.stale.extend(self.current.map(|(head, _)| head.generation));
                return Ok((Some(arrived.state), rest));
            }
            (arrived, _) => rest.stale.extend(arrived.map(|arrived| arrived.head.generation)),
        }
        match self.current {
            Some((head, Some(state))) => {
                rest.generation = head.generation;
                Ok((Some(state), rest))
            }
            // What the log says nothing of can't be had anew.
            Some((head, None)) => Err(damaged(&head.mark)),
            None => {
                rest.generation = rest.last_generation + 1;
                rest.last_generation += 1;
                Ok((None, rest))
            }
        }
    }
}

/// The table, as far as it was read. Heads come before rows.
#[derive(Debug)]
pub(crate) struct Loading<F> {
    functions: BTreeMap<FunctionId, F>,
    head: Option<TableHead>,
    heads: BTreeMap<(GroupId, bool), GroupHead>,
    /// By group and generation: the state, unless a row of it is damaged.
    states: BTreeMap<(GroupId, u64), Option<State<F>>>,
    /// Something is there that nobody needs, or that makes no sense.
    has_waste: bool,
    pub(crate) rows: u64,
    /// Behind it, the rest was not read yet.
    pub(crate) after: Option<Bytes>,
    last_generations: BTreeMap<GroupId, u64>,
}

/// A table that was read.
#[derive(Debug)]
pub(crate) struct Loaded<F> {
    /// What holds for all of it; none where that is damaged, or nothing was ever committed.
    pub(crate) head: Option<TableHead>,
    pub(crate) groups: BTreeMap<GroupId, OfGroup<F>>,
    /// The next checkpoint writes all anew: what is there is not what it should be.
    pub(crate) has_waste: bool,
    /// There is something in it.
    pub(crate) has_rows: bool,
}

impl<F> Default for Loaded<F> {
    fn default() -> Self {
        Loaded { head: None, groups: BTreeMap::new(), has_waste: false, has_rows: false }
    }
}

impl<F: Function> Loading<F> {
    pub(crate) fn new(functions: BTreeMap<FunctionId, F>) -> Self {
        Loading {
            functions,
            head: None,
            heads: BTreeMap::new(),
            states: BTreeMap::new(),
            has_waste: false,
            rows: 0,
            after: None,
            last_generations: BTreeMap::new(),
        }
    }

    /// Takes a pair of the table.
    pub(crate) fn take(&mut self, key: &Bytes, value: &Bytes, owner: &[u8; 16]) -> Result<(), Refusal> {
        self.after = Some(key.clone());
        self.rows += 1;
        let meant = TableKey::decode(key);
        match meant {
            Some(TableKey::Head) => self.take_head(value, owner)?,
            Some(of @ (TableKey::Group(group) | TableKey::Arrived(group))) => {
                match decode_head::<GroupHead>(of, value) {
                    Some(head) => {
                        self.see(group, head.generation);
                        let is_current = matches!(of, TableKey::Group(_));
                        let place = (group, head.generation);
                        self.states.insert(place, Some(State::new(self.functions.clone())));
                        self.heads.insert((group, is_current), head);
                    }
                    None => self.has_waste = true,
                }
            }
            Some(TableKey::Row { group, generation, row }) => {
                match self.states.get_mut(&(group, generation)) {
                    Some(held) => {
                        let is_whole = held.as_mut().is_some_and(|state| state.restore_row(row, value));
                        if !is_whole {
                            *held = None;
                        }
                    }
                    None => {
                        self.has_waste = true;
                        self.see(group, generation);
                    }
                }
            }
            None => self.has_waste = true,
        }
        Ok(())
    }

    fn see(&mut self, group: GroupId, generation: u64) {
        let last = self.last_generations.entry(group).or_default();
        *last = generation.max(*last);
    }

    fn take_head(&mut self, value: &Bytes, owner: &[u8; 16]) -> Result<(), Refusal> {
        match table_version(value) {
            Some(version) if version > TABLE_VERSION => {
                return Err(format!(
                    "the KV's table has version {version}, which a newer program wrote; nothing was changed; start that \
                     program"
                ));
            }
            _ => {}
        }
        let head = decode_head::<TableHead>(TableKey::Head, value);
        if head.as_ref().is_some_and(|head| head.owner != *owner) {
            return Err(format!("the KV's table belongs to another cluster; {ADVICE}"));
        }
        self.head = head;
        Ok(())
    }

    /// All was read.
    pub(crate) fn finish(mut self) -> Loaded<F> {
        let mut groups: BTreeMap<GroupId, OfGroup<F>> = BTreeMap::new();
        for ((group, is_current), head) in core::mem::take(&mut self.heads) {
            let state = self.states.remove(&(group, head.generation)).flatten();
            let state = state.and_then(|mut state| state.finish_restore(&head).then_some(state));
            let of_group = groups.entry(group).or_default();
            if is_current {
                of_group.current = Some((head, state));
            } else {
                of_group.arrived = state.map(|state| Held { head, state });
            }
        }
        for (group, last) in self.last_generations {
            groups.entry(group).or_default().last_generation = last;
        }
        Loaded { head: self.head, groups, has_waste: self.has_waste, has_rows: self.rows > 0 }
    }
}

/// What to say of a state that is damaged where nobody can give it anew.
pub(crate) fn damaged(mark: &SnapshotMark) -> Refusal {
    format!(
        "the KV's table is damaged: the state up to entry {} that its log goes on from is not whole, and this member has \
         no other that could give it; {ADVICE}",
        mark.index
    )
}
