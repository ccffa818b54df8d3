//! A KV that is led event by event, and a text of what it wanted.

use super::disk::Disk;
use super::tally::Tally;
use consensus::RaftGroup;
use formats::message::admin::{AdminBody, AdminRequest, KvGroupVerb};
use formats::message::kv::{FunctionId, KvBody, KvCommand, KvQuery, KvRequest, KvStep};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId};
use kv::{Config, Kv};
use std::fmt::Write;
use step::{DiskOperation, DiskResult, Effects, Machine, OperationId, TableChange, TimerId, Timestamp};

/// A KV, what it is told, and what it wants.
pub(crate) struct Script {
    pub(crate) kv: Kv<Tally, RaftGroup>,
    pub(crate) disk: Disk,
    pub(crate) operations: Vec<(OperationId, DiskOperation)>,
    pub(crate) text: String,
}

impl Script {
    pub(crate) fn new(disk: Disk, checkpoint_log_bytes: u64) -> Self {
        Script::filled_ahead(disk, checkpoint_log_bytes, 0)
    }

    /// A KV whose log is filled with so many zeros ahead.
    pub(crate) fn filled_ahead(disk: Disk, checkpoint_log_bytes: u64, log_ahead_bytes: u64) -> Self {
        let functions = [(FunctionId(9), Tally)].into();
        let usual = Config::new(ClusterIdentity([7; 16]), functions);
        // Disks are small here.
        let config = Config { checkpoint_log_bytes, log_ahead_bytes, room_kept: 0, ..usual };
        Script { kv: Kv::new(config), disk, operations: Vec::new(), text: String::new() }
    }

    /// A KV that has started, and keeps so many bytes of its disk free.
    pub(crate) fn with_room_kept(room_kept: u64) -> Self {
        let functions = [(FunctionId(9), Tally)].into();
        let config = Config { room_kept, ..Config::new(ClusterIdentity([7; 16]), functions) };
        let mut script = Script { kv: Kv::new(config), ..Script::new(Disk::default(), 1 << 20) };
        script.event("start", Event::Start { seed: [0; 32] });
        script.run();
        script
    }

    /// The same, which gathers one pair of a checkpoint in a step.
    pub(crate) fn in_pieces() -> Self {
        let functions = [(FunctionId(9), Tally)].into();
        let config = Config { checkpoint_rows: 1, ..Config::new(ClusterIdentity([7; 16]), functions) };
        let mut script = Script { kv: Kv::new(config), ..Script::new(Disk::default(), 1 << 20) };
        script.event("start", Event::Start { seed: [0; 32] });
        script.run();
        let set = |key: u8| KvStep::Set { key: vec![key], value: vec![key] };
        script.command(1, (0..6).map(set).collect());
        script.turn();
        script.run();
        script
    }

    /// Has a checkpoint made, in whose middle nothing else happens: how often its timer ran out, and what it commits.
    pub(crate) fn gather(&mut self) -> (usize, Vec<TableChange>) {
        let body = AdminBody::KvGroup(KvGroupVerb::Snapshot);
        let message = Message::Admin(AdminRequest { request: 90, body });
        self.text.clear();
        self.event("asked", Event::Message { from: NodeId(3), message });
        self.turn();
        let mut timers = 0;
        loop {
            if let Some((_, DiskOperation::Commit { changes, .. })) = self.operations.first() {
                return (timers, changes.clone());
            }
            if self.operations.is_empty() {
                assert!(self.text.contains("timer 4 in"), "nothing would happen any more:\n{}", self.text);
                self.text.clear();
                self.event("timer 4", Event::Timer(TimerId(4)));
                timers += 1;
            } else {
                self.end(None);
            }
            self.turn();
        }
    }

    /// A KV that has started in an empty folder.
    pub(crate) fn started() -> Self {
        let mut script = Script::new(Disk::default(), 1 << 20);
        script.event("start", Event::Start { seed: [0; 32] });
        script.run();
        script.text.clear();
        script
    }

    pub(crate) fn event(&mut self, title: &str, event: Event) {
        let mut effects = Effects::new();
        self.kv.step(Timestamp(0), event, &mut effects);
        // Most turns end without more.
        if title == "turn ends" && effects.is_empty() {
            return;
        }
        writeln!(self.text, "> {title}").expect("text");
        for effect in effects.drain() {
            let line = match effect {
                Effect::Disk { operation, what } => {
                    let line = describe(&what);
                    self.operations.push((operation, what));
                    line
                }
                Effect::Send { to, message: Message::KvReply(reply) } => {
                    format!("{to} gets {}: {:?}", reply.request, reply.body)
                }
                Effect::SetTimer { timer, after } => format!("timer {} in {after:?}", timer.0),
                Effect::ClearTimer(timer) => format!("no timer {}", timer.0),
                Effect::Halt { reason } => format!("halt: {reason}"),
                other => format!("{other:?}"),
            };
            writeln!(self.text, "    {line}").expect("text");
        }
    }

    /// Ends the oldest operation, as the disk does or as told.
    pub(crate) fn end(&mut self, result: Option<DiskResult>) {
        let (operation, what) = self.operations.remove(0);
        let title = describe(&what);
        let done = self.disk.run(what);
        let result = result.unwrap_or(done);
        let title = match &result {
            Ok(_) => format!("done: {title}"),
            Err(error) => format!("{error:?}: {title}"),
        };
        self.event(&title, Event::Disk { operation, result });
    }

    pub(crate) fn turn(&mut self) {
        self.event("turn ends", Event::TurnEnd);
    }

    /// Ends operations until there are none.
    pub(crate) fn run(&mut self) {
        while !self.operations.is_empty() {
            self.end(None);
            self.turn();
        }
    }

    pub(crate) fn ask(&mut self, request: u64, body: KvBody) {
        let message = Message::Kv(KvRequest { request, body });
        self.event(&format!("asked {request}"), Event::Message { from: NodeId(3), message });
    }

    /// Sets key `k`, as the command of session 1 whose number is the request's.
    pub(crate) fn set(&mut self, request: u64, value: &[u8]) {
        let step = KvStep::Set { key: b"k".to_vec(), value: value.to_vec() };
        self.command(request, vec![step]);
    }

    pub(crate) fn command(&mut self, request: u64, steps: Vec<KvStep>) {
        let command = KvCommand::Sequence(steps);
        self.ask(request, KvBody::Command { session: 1, sequence: request, answered_below: 1, command });
    }

    pub(crate) fn get(&mut self, request: u64) {
        self.ask(request, KvBody::Query(KvQuery::Get { key: b"k".to_vec() }));
    }

    pub(crate) fn check(&mut self, expected: &str) {
        assert!(self.text == expected, "--- it is\n{}--- it should be\n{expected}", self.text);
    }
}

fn describe(what: &DiskOperation) -> String {
    match what {
        DiskOperation::List => "list".to_string(),
        DiskOperation::Create { file } => format!("create {file}"),
        DiskOperation::Delete { file } => format!("delete {file}"),
        DiskOperation::Read { file, offset, length } => format!("read {file} at {offset}, {length}"),
        DiskOperation::Write { file, offset, pieces } => {
            format!("write {file} at {offset}, {}", pieces.concat().len())
        }
        DiskOperation::WriteThrough { file, offset, pieces } => {
            format!("write through {file} at {offset}, {}", pieces.concat().len())
        }
        DiskOperation::Sync { file } => format!("sync {file}"),
        DiskOperation::Space => "space".to_string(),
        DiskOperation::Commit { table, changes } => format!("commit {table}, {}", changes.len()),
        DiskOperation::ReadOn { table, after, .. } => format!("read on {table} after {after:?}"),
    }
}
