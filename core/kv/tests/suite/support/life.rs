//! One life of a KV alone with its disk, and files as older programs left them.

use super::disk::Disk;
use super::tally::Tally;
use bytes::Bytes;
use consensus::RaftGroup;
use formats::journal::{FileHeader, Kind, Mark, Writer};
use formats::message::admin::{AdminBody, AdminRequest, KvGroupVerb};
use formats::message::kv::{KvAnswer, KvBody, KvRequest};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId};
use kv::{Config, Kv};
use step::{DiskOperation, Effects, FileName, Machine, OperationId, Timestamp};

pub(crate) const CLUSTER: ClusterIdentity = ClusterIdentity([7; 16]);

/// Puts a synced file on the disk, the first of its kind.
pub(crate) fn put_file(disk: &mut Disk, name: &str, kind: Kind, bodies: Vec<Vec<u8>>) {
    let header = FileHeader { kind, owner: CLUSTER.0, sequence: 2, predecessor: None, label: Vec::new() };
    let (mut writer, page) = Writer::begin(&header);
    let mut pieces = vec![page];
    for body in bodies {
        pieces.extend(writer.batch(Mark::default(), vec![Bytes::from(body)]));
    }
    let file = FileName::parse(name).expect("a name");
    for what in [
        DiskOperation::Create { file },
        DiskOperation::Write { file, offset: 0, pieces },
        DiskOperation::Sync { file },
    ] {
        disk.run(what).expect("there is room");
    }
}

pub(crate) struct Life {
    pub(crate) kv: Kv<Tally, RaftGroup>,
    pub(crate) disk: Disk,
    pub(crate) operations: Vec<(OperationId, DiskOperation)>,
    answers: Vec<KvAnswer>,
}

impl Life {
    pub(crate) fn begin(disk: Disk, config: Config<Tally>) -> Life {
        let mut life = Life { kv: Kv::new(config), disk, operations: Vec::new(), answers: Vec::new() };
        life.step(Event::Start { seed: [0; 32] });
        life
    }

    fn step(&mut self, event: Event) {
        let mut effects = Effects::new();
        self.kv.step(Timestamp(0), event, &mut effects);
        for effect in effects.drain() {
            match effect {
                Effect::Disk { operation, what } => self.operations.push((operation, what)),
                Effect::Send { message: Message::KvReply(reply), .. } => self.answers.push(reply.body),
                Effect::Halt { reason } => panic!("{reason}"),
                _ => {}
            }
        }
    }

    /// Ends the oldest operation; whether there was one.
    pub(crate) fn run_one(&mut self) -> bool {
        if self.operations.is_empty() {
            return false;
        }
        let (operation, what) = self.operations.remove(0);
        let result = self.disk.run(what);
        self.step(Event::Disk { operation, result });
        self.step(Event::TurnEnd);
        true
    }

    /// Tells it, and lets it do what follows.
    pub(crate) fn tell(&mut self, message: Message) {
        self.step(Event::Message { from: NodeId(3), message });
        self.step(Event::TurnEnd);
        while self.run_one() {}
    }

    pub(crate) fn ask(&mut self, body: KvBody) -> KvAnswer {
        self.tell(Message::Kv(KvRequest { request: 1, body }));
        self.answers.pop().expect("it is answered")
    }

    /// Has a checkpoint made.
    pub(crate) fn checkpoint(&mut self) {
        let body = AdminBody::KvGroup(KvGroupVerb::Snapshot);
        self.tell(Message::Admin(AdminRequest { request: 1, body }));
    }
}
