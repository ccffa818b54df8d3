//! What will go wrong in a run, drawn before it starts. The table in [`crate::disk`] says what may hit whom.

use core::time::Duration;

use glossary::NodeId;

use super::fault::{DiskFault, Fault};
use crate::Random;
use crate::cluster::{Layout, Part};
use crate::disk::Crash;
use crate::network::Weather;

/// The troubles of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The usual weather.
    pub weather: Weather,
    /// Each trouble, with the number of guest operations after which it comes; in that order.
    pub faults: Vec<(u64, Fault)>,
    /// ASDs that may get damaged data.
    pub damageable: Vec<NodeId>,
}

/// Crashes that every run has.
pub const CRASHES_MIN: u64 = 3;

/// Kinds of other faults that every run has.
pub const KINDS_MIN: usize = 3;

/// The faults other than crashes that can be drawn, and how often they are.
const KINDS: [(Draw, u32); 15] = [
    (Draw::Pause, 3),
    (Draw::Storm, 4),
    (Draw::Partition, 3),
    (Draw::OneWay, 2),
    (Draw::Pair, 2),
    (Draw::SlowLink, 2),
    (Draw::SlowDisk, 3),
    (Draw::Member, 3),
    (Draw::Reads, 1),
    (Draw::Write, 2),
    (Draw::Sync, 2),
    (Draw::Full, 1),
    (Draw::Rot, 3),
    (Draw::Lose, 2),
    (Draw::Misdirect, 2),
];

/// How often in 10,000 a table rots in a run, and how many voters a group must have for that: at no time are fewer than
/// one other members.
const TABLE_ROT: u64 = 3_000;
const VOTERS_THAT_HEAL: usize = 2;

/// How often in 10,000 clocks leap in a run, how often at most, and how far. A read waits ten minutes for what may come back:
/// all leaps together are shorter than that by more than anything is away.
const LEAPS: u64 = 6_000;
const LEAPS_MAX: u64 = 3;
const LEAP_MILLIS: [(u64, u64); 4] = [(10, 100), (100, 1_000), (1_000, 15_000), (15_000, 180_000)];

/// Kinds that strike for certain: every run has [`KINDS_MIN`] of them.
const CERTAIN: usize = 7;

#[derive(Clone, Copy, Debug)]
enum Draw {
    Pause,
    Storm,
    Partition,
    OneWay,
    /// Two nodes can't talk, and everybody else can talk with both.
    Pair,
    /// A member of the KV's group is away for longer than the others wait for it.
    Member,
    SlowLink,
    SlowDisk,
    Reads,
    Write,
    Sync,
    Full,
    Rot,
    Lose,
    Misdirect,
}

impl Plan {
    /// Draws the troubles of a run of so many guest operations.
    pub fn draw(layout: &Layout, operations: u64, seed: u64) -> Self {
        let mut random = Random::stream(seed, "plan");
        let weather = if random.chance(3_000) { Weather::STORM } else { Weather::CALM };
        let mut damageable = layout.of(Part::Asd);
        random.shuffle(&mut damageable);
        damageable.truncate(layout.damaged_asds_max);
        let mut drawer = Drawer { layout, damageable: &damageable, random };
        let mut faults = Vec::new();
        let crashes = CRASHES_MIN + drawer.random.below(5);
        for index in 0..crashes {
            // The first two see to it that each run has both.
            let how = match index {
                0 => Crash::Process,
                1 => Crash::Power,
                _ => *drawer.random.pick(&[Crash::Process, Crash::Power]),
            };
            faults.push(drawer.crash(how));
        }
        let mut certain: Vec<Draw> = KINDS[..CERTAIN].iter().map(|(kind, _)| *kind).collect();
        drawer.random.shuffle(&mut certain);
        certain.truncate(KINDS_MIN);
        for _ in 0..drawer.random.between(2, 6) {
            let weights = KINDS.map(|(_, weight)| weight);
            certain.push(KINDS[drawer.random.weighted(&weights)].0);
        }
        certain.extend(vec![Draw::Member; layout.members_away]);
        faults.extend(certain.into_iter().flat_map(|kind| drawer.other(kind)));
        let mut random = drawer.random;
        let mut faults: Vec<_> = faults
            .into_iter()
            .map(|fault| (random.between(operations / 20, operations * 9 / 10), fault))
            .collect();
        faults.extend(table_rot(layout, operations, Random::stream(seed, "table rot")));
        faults.extend(leaps(layout, operations, Random::stream(seed, "clock leaps")));
        faults.sort_by_key(|(after, _)| *after);
        Plan { weather, faults, damageable }
    }
}

/// A table rots in some runs whose group has others that have the same.
fn table_rot(layout: &Layout, operations: u64, mut random: Random) -> Option<(u64, Fault)> {
    if layout.voters < VOTERS_THAT_HEAL || !random.chance(TABLE_ROT) {
        return None;
    }
    let members = layout.of(Part::Kv);
    let node = *random.pick(&members[..layout.voters]);
    let (places, down) = (random.between(1, 4) as u32, random.microseconds(1_000, 2_000_000));
    // Late, so that there is a checkpoint.
    Some((random.between(operations / 3, operations * 9 / 10), Fault::TableRot { node, places, down }))
}

/// Clocks leap in many runs: those of a node or of everything on its machine, most often where the KV is, whose members
/// know by their clocks alone that another is away.
fn leaps(layout: &Layout, operations: u64, random: Random) -> Vec<(u64, Fault)> {
    let mut drawer = Drawer { layout, damageable: &[], random };
    if !drawer.random.chance(LEAPS) {
        return Vec::new();
    }
    let times = drawer.random.between(1, LEAPS_MAX);
    let leaps = (0..times).map(|_| {
        let node = drawer.node_of([1, 3, 1, 1, 6]);
        let host = layout.on_host(layout.node(node).host);
        let random = &mut drawer.random;
        let nodes = if random.coin() { host } else { vec![node] };
        let (low, high) = *random.pick(&LEAP_MILLIS);
        let by = Duration::from_millis(random.between(low, high));
        let stall = Duration::from_millis(if random.coin() { random.between(1, 400) } else { 0 });
        (random.between(operations / 20, operations * 9 / 10), Fault::Leap { nodes, by, stall })
    });
    leaps.collect()
}

struct Drawer<'a> {
    layout: &'a Layout,
    damageable: &'a [NodeId],
    random: Random,
}

impl Drawer<'_> {
    fn node_of(&mut self, weights: [u32; 5]) -> NodeId {
        const PARTS: [Part; 5] = [Part::Edge, Part::VolumeDriver, Part::Objects, Part::Asd, Part::Kv];
        let weights: Vec<u32> = PARTS
            .iter()
            .zip(weights)
            .map(|(&part, weight)| if self.layout.of(part).is_empty() { 0 } else { weight })
            .collect();
        let part = PARTS[self.random.weighted(&weights)];
        *self.random.pick(&self.layout.of(part))
    }

    /// A node with a disk that matters.
    fn node_with_disk(&mut self) -> NodeId {
        self.node_of([0, 4, 0, 4, 2])
    }

    fn all(&self) -> Vec<NodeId> {
        (0..self.layout.nodes.len() as u32).map(NodeId).collect()
    }

    fn crash(&mut self, how: Crash) -> Fault {
        let node = self.node_of([2, 5, 1, 2, 2]);
        let with: Vec<NodeId> = match how {
            // A process is one node, or everything, as `up` runs it.
            Crash::Process if self.random.chance(8_500) => Vec::new(),
            Crash::Power if self.random.chance(5_000) => self.layout.on_host(self.layout.node(node).host),
            Crash::Power if self.random.chance(3_000) => self.layout.of(Part::Asd),
            _ => self.all(),
        };
        let with = with.into_iter().filter(|&other| other != node).collect();
        let effects = self.random.below(60) as u32;
        let down = *self.random.pick(&[(1, 20), (50, 500), (1_000, 5_000)]);
        let down = Duration::from_millis(self.random.between(down.0, down.1));
        Fault::Crash { node, how, with, effects, down }
    }

    fn other(&mut self, kind: Draw) -> Option<Fault> {
        let lasts = Duration::from_millis(self.random.between(2, 400));
        let disk = |node: NodeId, what: DiskFault| Some(Fault::Disk { node, what });
        let is_alone = self.layout.nodes.len() < 2;
        match kind {
            Draw::Partition | Draw::OneWay | Draw::Pair | Draw::SlowLink if is_alone => None,
            Draw::Member if self.layout.of(Part::Kv).len() < 2 => None,
            Draw::Member => Some(self.member_away()),
            Draw::Pair => {
                let mut all = self.all();
                let members = self.layout.of(Part::Kv);
                if members.len() > 1 && self.random.coin() {
                    all = members;
                }
                self.random.shuffle(&mut all);
                let (from, to) = (vec![all[0]], vec![all[1]]);
                Some(Fault::Partition { from, to, one_way: self.random.chance(3_000), lasts: lasts * 8 })
            }
            Draw::Pause => Some(Fault::Pause { node: self.node_of([1, 1, 1, 1, 1]), lasts }),
            Draw::Storm => Some(Fault::Storm { weather: Weather::STORM, lasts }),
            Draw::Partition | Draw::OneWay => {
                let (from, to) = self.halves();
                Some(Fault::Partition { from, to, one_way: matches!(kind, Draw::OneWay), lasts })
            }
            Draw::SlowLink => {
                let (from, to) = self.halves();
                let by = Duration::from_millis(self.random.between(1, 50));
                Some(Fault::SlowLink { from, to, by, lasts })
            }
            Draw::SlowDisk => {
                let factor = self.random.between(3, 100) as u32;
                disk(self.node_with_disk(), DiskFault::Slow(factor, lasts))
            }
            Draw::Reads => disk(self.node_with_disk(), DiskFault::Reads(lasts)),
            Draw::Full => {
                // So little that files meet it, or so much that who looks sees it before.
                let left = *self.random.pick(&[0, 16, 128, 1024]) << 10;
                disk(self.node_of([0, 4, 0, 4, 4]), DiskFault::Full(left, lasts))
            }
            Draw::Write => disk(self.node_with_disk(), DiskFault::Write),
            Draw::Sync => disk(self.node_with_disk(), DiskFault::Sync),
            Draw::Rot => self.damage(DiskFault::Rot),
            Draw::Lose => self.damage(DiskFault::Lose),
            Draw::Misdirect => self.damage(DiskFault::Misdirect),
        }
    }

    /// Elections take a second: what lasts shorter is over before the group notices.
    fn member_away(&mut self) -> Fault {
        let members = self.layout.of(Part::Kv);
        let node = *self.random.pick(&members);
        let lasts = Duration::from_millis(self.random.between(500, 6_000));
        match self.random.below(4) {
            0 => Fault::Pause { node, lasts },
            // It hears and isn't heard, or is heard and hears not, or neither.
            way => {
                let others: Vec<NodeId> = self.all().into_iter().filter(|&other| other != node).collect();
                let (from, to) = if way == 1 { (others, vec![node]) } else { (vec![node], others) };
                Fault::Partition { from, to, one_way: way != 3, lasts }
            }
        }
    }

    fn damage(&mut self, what: DiskFault) -> Option<Fault> {
        if self.damageable.is_empty() {
            return None;
        }
        Some(Fault::Disk { node: *self.random.pick(self.damageable), what })
    }

    /// A cut through the cluster: one node from the rest, or any two parts.
    fn halves(&mut self) -> (Vec<NodeId>, Vec<NodeId>) {
        let mut all = self.all();
        if self.random.coin() {
            let alone = self.node_of([1, 2, 2, 2, 2]);
            return (vec![alone], all.into_iter().filter(|&node| node != alone).collect());
        }
        self.random.shuffle(&mut all);
        let cut = self.random.between(1, all.len() as u64 - 1) as usize;
        let rest = all.split_off(cut);
        (all, rest)
    }
}
