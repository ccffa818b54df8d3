//! An Edge in memory, for tests and for measuring what the gateway itself costs.
//!
//! It has vDisks `disk`, `full` (every change: no space), `broken` (everything: I/O error), and `slow`, whose
//! requests wait until somebody asks to sync it. A status is the list of what was asked since the last one.

use std::collections::BTreeMap;

use bytes::Bytes;
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest};
use formats::message::guest::{GuestAnswer, GuestBody, GuestError, GuestReply, GuestRequest};
use formats::payload::slice_pieces;
use formats::work::{Done, Work};
use formats::{Effect, Event, Message, Payload};
use glossary::{ByteCount, CLUSTER_BYTES, NodeId, VdiskId, VdiskName};
use io::NodeSpec;
use step::{Effects, Machine, Timestamp};

pub(crate) const EDGE: NodeId = NodeId(1);

/// Size of every vDisk.
pub(crate) const SIZE: u64 = 8 << 30;

const NAMES: [&str; 4] = ["disk", "full", "broken", "slow"];
const FULL: VdiskId = VdiskId(1);
const BROKEN: VdiskId = VdiskId(2);
const SLOW: VdiskId = VdiskId(3);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volumes {
    /// Clusters with their checksums, by vDisk and address.
    clusters: BTreeMap<(VdiskId, u64), (Bytes, u32)>,
    waiting: Vec<(NodeId, GuestRequest)>,
    /// What was asked, when somebody wants to know.
    asked: Option<Vec<String>>,
}

impl Machine for Volumes {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, _now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        match event {
            Event::Message { from, message: Message::Guest(request) } => self.guest(from, request, effects),
            Event::Message { from, message: Message::Admin(AdminRequest { request, body }) } => {
                let body = match body {
                    AdminBody::Status => {
                        let asked = self.asked.replace(Vec::new()).unwrap_or_default();
                        AdminAnswer::Failed(asked.join(", "))
                    }
                    _ => {
                        let waiting = std::mem::take(&mut self.waiting);
                        let count = waiting.len();
                        for (node, GuestRequest { request, body }) in waiting {
                            let body = self.carry_out(body);
                            effects.push(reply(node, request, body));
                        }
                        AdminAnswer::Failed(count.to_string())
                    }
                };
                let message = Message::AdminReply(AdminReply { request, body });
                effects.push(Effect::Send { to: from, message });
            }
            _ => {}
        }
    }
}

impl Volumes {
    /// An Edge that takes note of what it is asked, or doesn't.
    pub(crate) fn spec(notes: bool) -> NodeSpec<Volumes> {
        let machine = Volumes { asked: notes.then(Vec::new), ..Volumes::default() };
        NodeSpec {
            id: EDGE,
            name: "edge".into(),
            shard: 0,
            folder: None,
            past_page_cache: false,
            machine,
            tap: None,
        }
    }

    fn guest(&mut self, node: NodeId, request: GuestRequest, effects: &mut Effects<Effect>) {
        if let Some(asked) = &mut self.asked {
            asked.extend(describe(&request.body));
        }
        if vdisk_of(&request.body) == Some(SLOW) {
            self.waiting.push((node, request));
        } else {
            let body = self.carry_out(request.body);
            effects.push(reply(node, request.request, body));
        }
    }

    fn carry_out(&mut self, body: GuestBody) -> GuestAnswer {
        let changes = matches!(body, GuestBody::Write { .. } | GuestBody::Discard { .. });
        match body {
            GuestBody::List => {
                let name = |name: &str| (VdiskName::new(name).expect("a name"), ByteCount(SIZE));
                GuestAnswer::Vdisks(NAMES.map(name).to_vec())
            }
            GuestBody::Attach { name } => match NAMES.iter().position(|known| *known == name.as_str()) {
                Some(index) => GuestAnswer::Attached { vdisk: VdiskId(index as u64), size: ByteCount(SIZE) },
                None => GuestAnswer::Failed(GuestError::NotFound),
            },
            body if vdisk_of(&body) == Some(BROKEN) => {
                GuestAnswer::Failed(GuestError::Io("it is broken".into()))
            }
            body if changes && vdisk_of(&body) == Some(FULL) => GuestAnswer::Failed(GuestError::NoSpace),
            GuestBody::Read { vdisk, offset, length } => GuestAnswer::Data(self.read(vdisk, offset, length)),
            GuestBody::Write { vdisk, offset, payload, .. } => {
                assert!(payload.verify(), "checksums are computed where data enters");
                self.write(vdisk, offset, &payload);
                GuestAnswer::Done
            }
            GuestBody::Discard { vdisk, offset, length, .. } => {
                self.discard(vdisk, offset, length);
                GuestAnswer::Done
            }
            GuestBody::Flush { .. } => GuestAnswer::Done,
            GuestBody::Extents { vdisk, offset, length } => self.extents(vdisk, offset, length),
        }
    }

    fn cluster(&self, vdisk: VdiskId, address: u64) -> Payload {
        match self.clusters.get(&(vdisk, address)) {
            None => Payload::zeros(1),
            Some((bytes, crc)) => Payload::with_crcs(vec![bytes.clone()], vec![*crc]).expect("a cluster"),
        }
    }

    fn read(&self, vdisk: VdiskId, offset: u64, length: u64) -> Payload {
        let (first, end) = (offset / CLUSTER_BYTES, (offset + length).div_ceil(CLUSTER_BYTES));
        if offset.is_multiple_of(CLUSTER_BYTES) && length == CLUSTER_BYTES {
            return self.cluster(vdisk, first);
        }
        let clusters: Vec<Payload> = (first..end).map(|address| self.cluster(vdisk, address)).collect();
        let pieces: Vec<Bytes> = clusters.iter().flat_map(|cluster| cluster.pieces().to_vec()).collect();
        let pieces = slice_pieces(&pieces, (offset % CLUSTER_BYTES) as usize, length as usize);
        if offset.is_multiple_of(CLUSTER_BYTES) && length.is_multiple_of(CLUSTER_BYTES) {
            let crcs = clusters.iter().map(|cluster| cluster.crcs()[0]).collect();
            return Payload::with_crcs(pieces, crcs).expect("a checksum for each cluster");
        }
        Payload::entering(pieces.concat().into())
    }

    fn write(&mut self, vdisk: VdiskId, offset: u64, payload: &Payload) {
        let bytes = payload.contiguous();
        if offset.is_multiple_of(CLUSTER_BYTES) && payload.clusters().is_some() {
            for (index, crc) in (0_usize..).zip(payload.crcs()) {
                let cluster = bytes.slice(index << 12..(index + 1) << 12);
                self.clusters.insert((vdisk, (offset >> 12) + index as u64), (cluster, *crc));
            }
            return;
        }
        let (first, end) = (offset >> 12, (offset + bytes.len() as u64).div_ceil(CLUSTER_BYTES));
        let mut all = self.read(vdisk, first << 12, (end - first) << 12).contiguous().to_vec();
        all[(offset - (first << 12)) as usize..][..bytes.len()].copy_from_slice(&bytes);
        self.write(vdisk, first << 12, &Payload::entering(all.into()));
    }

    fn discard(&mut self, vdisk: VdiskId, offset: u64, length: u64) {
        let inner = (offset.div_ceil(CLUSTER_BYTES), (offset + length) >> 12);
        let known: Vec<u64> = self.known(vdisk, offset >> 12, (offset + length).div_ceil(CLUSTER_BYTES));
        for address in known {
            if (inner.0..inner.1).contains(&address) {
                self.clusters.remove(&(vdisk, address));
            } else {
                let from = offset.max(address << 12);
                let to = (offset + length).min((address + 1) << 12);
                self.write(vdisk, from, &Payload::entering(vec![0; (to - from) as usize].into()));
            }
        }
    }

    fn extents(&self, vdisk: VdiskId, offset: u64, length: u64) -> GuestAnswer {
        let mut extents = Vec::new();
        let mut at = offset;
        for address in self.known(vdisk, offset >> 12, (offset + length).div_ceil(CLUSTER_BYTES)) {
            let (from, to) = ((address << 12).max(offset), ((address + 1) << 12).min(offset + length));
            extents.extend([(from - at, false), (to - from, true)]);
            at = to;
        }
        extents.push((offset + length - at, false));
        extents.retain(|(length, _)| *length > 0);
        GuestAnswer::Extents(extents)
    }

    fn known(&self, vdisk: VdiskId, from: u64, to: u64) -> Vec<u64> {
        self.clusters.range((vdisk, from)..(vdisk, to)).map(|((_, address), _)| *address).collect()
    }
}

/// There is no work to do.
pub(crate) fn perform(_: Work) -> Done {
    Done::Impossible
}

fn reply(to: NodeId, request: u64, body: GuestAnswer) -> Effect {
    Effect::Send { to, message: Message::GuestReply(GuestReply { request, body }) }
}

fn vdisk_of(body: &GuestBody) -> Option<VdiskId> {
    match body {
        GuestBody::List | GuestBody::Attach { .. } => None,
        GuestBody::Read { vdisk, .. }
        | GuestBody::Write { vdisk, .. }
        | GuestBody::Discard { vdisk, .. }
        | GuestBody::Flush { vdisk }
        | GuestBody::Extents { vdisk, .. } => Some(*vdisk),
    }
}

fn describe(body: &GuestBody) -> Option<String> {
    let fua = |set: &bool| if *set { " fua" } else { "" };
    Some(match body {
        GuestBody::List | GuestBody::Attach { .. } => return None,
        GuestBody::Read { offset, length, .. } => format!("read {offset}+{length}"),
        GuestBody::Write { offset, fua: set, payload, .. } => {
            format!("write {offset}+{}{}", payload.len(), fua(set))
        }
        GuestBody::Discard { offset, length, fua: set, .. } => {
            format!("discard {offset}+{length}{}", fua(set))
        }
        GuestBody::Flush { .. } => "flush".into(),
        GuestBody::Extents { offset, length, .. } => format!("extents {offset}+{length}"),
    })
}
