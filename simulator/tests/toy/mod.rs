//! A whole block store in one small node, right or wrong in a way that is asked for: it shows that the engine,
//! the guests and the checkers work, and that the checkers find what they are for.
//!
//! Its log is a file of records, one for each change: a header sector (magic, check over all that follows,
//! number, kind, offset, length) and the data, filled up to a sector. A life begins by reading the log up to
//! the first record that doesn't check, writing what came of it to a new file, and deleting the old one.

mod log;
mod machine;

use bytes::Bytes;
use formats::work::{Done, Work};
use glossary::{NodeId, VdiskName};
use simulator::cluster::{Cluster, Gauge, GuestSpec, Layout, NodeSpec, Part};
use simulator::runs::Factory;

pub(crate) use machine::{Bug, Toy};

pub(crate) const SIZE: u64 = 256 << 10;

pub(crate) struct ToyCluster {
    layout: Layout,
    bug: Bug,
}

impl Cluster for ToyCluster {
    type Node = Toy;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn build(&self, _node: NodeId) -> Toy {
        Toy::new(self.bug)
    }

    fn perform(&self, _work: Work) -> Done {
        Done::Impossible
    }

    fn gauges(&self, _node: NodeId, machine: &Toy) -> Vec<Gauge> {
        vec![Gauge { name: "entries in flight", value: machine.in_flight() as u64, bound: 64 }]
    }
}

pub(crate) struct ToyFactory(pub Bug);

impl Factory for ToyFactory {
    type Cluster = ToyCluster;

    fn make(&self, _seed: u64) -> ToyCluster {
        let node = NodeSpec {
            name: "toy".into(),
            part: Part::VolumeDriver,
            host: 0,
            capacity: 1 << 30,
            files: Vec::<(_, Bytes)>::new(),
        };
        let guest = GuestSpec {
            edge: NodeId(0),
            volume_driver: NodeId(0),
            vdisk: VdiskName::new("toy").expect("a name"),
            size_bytes: SIZE,
        };
        let layout = Layout {
            nodes: vec![node],
            guests: vec![guest],
            prologue: Vec::new(),
            askers: (0, Vec::new()),
            groups: 0,
            older: Vec::new(),
            members_away: 0,
            is_replaced: false,
            voters: 0,
            damaged_asds_max: 0,
            can_sync: false,
            tells_rot: false,
        };
        ToyCluster { layout, bug: self.0 }
    }
}
