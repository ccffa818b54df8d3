//! A few members in one place, whose messages travel when the test says so.

use std::collections::BTreeMap;

use consensus::{
    Config, Consensus, Entry, Member, Membership, Message, Outgoing, Persist, RaftGroup, ReadAnswer,
    Recovered, Role, SnapshotOffer, SnapshotWanted,
};

/// What a leader may propose.
pub(crate) const UNCOMMITTED_BYTES: u64 = 40_000;

/// A few members. Writes are durable at once unless a test holds them.
pub(crate) struct Group {
    pub(crate) members: BTreeMap<u64, RaftGroup>,
    /// Messages under way: from, to, what.
    pub(crate) wire: Vec<(u64, u64, Message)>,
    pub(crate) persists: BTreeMap<u64, Vec<Persist>>,
    pub(crate) committed: BTreeMap<u64, Vec<Entry>>,
    pub(crate) reads: Vec<ReadAnswer>,
    pub(crate) is_snapshot_needed: bool,
    pub(crate) wanted: Vec<SnapshotWanted>,
    pub(crate) offered: Option<SnapshotOffer>,
    /// Whose writes are not durable before the test says so.
    pub(crate) slow: Vec<u64>,
}

impl Group {
    /// Voters from 1.
    pub(crate) fn of(voters: u64) -> Group {
        let genesis = Membership::of_voters((1..=voters).map(Member));
        let mut group = Group {
            members: BTreeMap::new(),
            wire: Vec::new(),
            persists: BTreeMap::new(),
            committed: BTreeMap::new(),
            reads: Vec::new(),
            is_snapshot_needed: false,
            wanted: Vec::new(),
            offered: None,
            slow: Vec::new(),
        };
        for id in 1..=voters {
            group.add(id, Recovered::genesis(genesis.clone()));
        }
        group
    }

    pub(crate) fn add(&mut self, id: u64, recovered: Recovered) {
        let config = Config {
            message_bytes_max: 300,
            command_bytes_max: 200,
            uncommitted_bytes_max: UNCOMMITTED_BYTES,
            ..Config::new(Member(id), 1)
        };
        self.members.insert(id, RaftGroup::new(config, recovered, None).expect("good settings"));
    }

    pub(crate) fn at(&mut self, id: u64) -> &mut RaftGroup {
        self.members.get_mut(&id).expect("a member")
    }

    /// Does what a member wants done.
    pub(crate) fn settle(&mut self, id: u64) {
        while let Some(ready) = self.at(id).take_ready() {
            let send = |Outgoing { to, message }| (id, to.0, message);
            self.wire.extend(ready.send.into_iter().map(send));
            self.committed.entry(id).or_default().extend(ready.committed);
            self.reads.extend(ready.reads);
            self.is_snapshot_needed |= ready.snapshot_needed;
            self.wanted.extend(ready.snapshots_wanted);
            self.offered = ready.snapshot_offered.or(self.offered.take());
            if let Some(persist) = ready.persist {
                let number = persist.number;
                self.persists.entry(id).or_default().push(persist);
                if !self.slow.contains(&id) {
                    self.at(id).persisted(number);
                }
            }
        }
    }

    /// Everything written so far by a member is durable.
    pub(crate) fn sync(&mut self, id: u64) {
        let number = self.persists[&id].last().expect("it wrote").number;
        self.at(id).persisted(number);
        self.settle(id);
    }

    /// Takes a message off the wire.
    pub(crate) fn take(&mut self, what: impl Fn(u64, u64, &Message) -> bool) -> (u64, u64, Message) {
        let at = self.wire.iter().position(|(from, to, message)| what(*from, *to, message));
        self.wire.remove(at.unwrap_or_else(|| panic!("not on the wire: {:?}", self.wire)))
    }

    pub(crate) fn deliver(&mut self, (from, to, message): (u64, u64, Message)) {
        if let Some(member) = self.members.get_mut(&to) {
            // What is refused is tested elsewhere.
            let _ = member.receive(Member(from), message);
            self.settle(to);
        }
    }

    /// Delivers until nothing is under way.
    pub(crate) fn quiesce(&mut self) {
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.settle(id);
        }
        while !self.wire.is_empty() {
            let first = self.wire.remove(0);
            self.deliver(first);
        }
    }

    /// Makes a member lead.
    pub(crate) fn elect(&mut self, id: u64) {
        self.at(id).campaign();
        self.quiesce();
        assert_eq!(self.at(id).status().leadership.role, Role::Leader);
    }

    /// Passes ticks everywhere, delivering after each.
    pub(crate) fn tick(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.members.values_mut().for_each(Consensus::tick);
            self.quiesce();
        }
    }
}
