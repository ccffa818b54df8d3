//! Transcripts: a line that starts with `>` is an event, the indented lines below it are its effects, in order.
//!
//! ```text
//! > 9.1 read 0+4096                  gateway 9's request 1
//!     #4 s1 read 0+4096              request 4 to the volume driver, in the first session seen
//! > #4 s1 g5 stable 0 data a*4096    its answer, of generation 5
//!     9.1 data a*4096                the answer to the gateway
//! ```
//! Sessions have the number of their first appearance.

use core::time::Duration;
use std::fmt::Write;

use bytes::Bytes;
use edge::{Config, Edge};
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest, RoleStatus};
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError, EdgeReply, Opening};
use formats::message::guest::{GuestAnswer, GuestBody, GuestError, GuestRequest};
use formats::{Effect, Event, Message, Payload};
use glossary::{ByteCount, ClientId, Generation, NodeId, SessionId, VdiskId, VdiskName};
use step::{Effects, Machine, TimerId, Timestamp};

pub(crate) const DRIVER: NodeId = NodeId(2);

/// An Edge as it comes.
pub(crate) fn config() -> Config {
    Config::new(ClientId(7), DRIVER)
}

/// Runs the events of a transcript against a started Edge and compares.
pub(crate) fn check(config: Config, transcript: &str) {
    let lines = || transcript.lines().map(str::trim_end).filter(|line| !line.trim().is_empty());
    let margin = lines().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let mut script = Script::new(config);
    let mut actual = String::new();
    for line in lines().map(|line| &line[margin..]) {
        let Some(event) = line.strip_prefix("> ") else { continue };
        let _ = writeln!(actual, "{line}");
        for effect in script.play(event) {
            let _ = writeln!(actual, "    {}", effect.trim_end());
        }
    }
    let expected: String = lines().map(|line| format!("{}\n", &line[margin..])).collect();
    assert!(actual == expected, "expected:\n{expected}\nactual:\n{actual}");
}

struct Script {
    edge: Edge,
    now: Timestamp,
    timer: Option<Timestamp>,
    sessions: Vec<SessionId>,
    /// Requests outside sessions, whose numbers are drawn: they are shown from 101 on.
    lists: Vec<u64>,
}

impl Script {
    fn new(config: Config) -> Self {
        let mut edge = Edge::new(config);
        let mut effects = Effects::new();
        edge.step(Timestamp(0), Event::Start { seed: [7; 32] }, &mut effects);
        assert!(effects.is_empty());
        Script { edge, now: Timestamp(0), timer: None, sessions: Vec::new(), lists: Vec::new() }
    }

    fn play(&mut self, event: &str) -> Vec<String> {
        if let Some(time) = event.strip_prefix("wait ") {
            return self.wait(Duration::from_millis(number(time)));
        }
        let event = if event == "turn" { Event::TurnEnd } else { self.message(event) };
        self.step(event)
    }

    fn wait(&mut self, time: Duration) -> Vec<String> {
        let until = self.now.after(time);
        let mut all = Vec::new();
        while let Some(due) = self.timer.filter(|due| *due <= until) {
            self.now = due;
            self.timer = None;
            all.extend(self.step(Event::Timer(TimerId(1))));
        }
        self.now = until;
        all
    }

    fn step(&mut self, event: Event) -> Vec<String> {
        let mut effects = Effects::new();
        self.edge.step(self.now, event, &mut effects);
        effects.drain().filter_map(|effect| self.effect(effect)).collect()
    }

    fn message(&mut self, text: &str) -> Event {
        let (head, rest) = text.split_once(' ').expect("who and what");
        if let Some(request) = head.strip_prefix('#') {
            let reply = self.driver_reply(number(request), rest);
            return Event::Message { from: DRIVER, message: Message::EdgeReply(reply) };
        }
        let (node, request) = head.split_once('.').expect("node.request");
        let (from, request) = (NodeId(number(node) as u32), number(request));
        let message = if rest == "status" {
            Message::Admin(AdminRequest { request, body: AdminBody::Status })
        } else {
            Message::Guest(GuestRequest { request, body: guest_body(rest) })
        };
        Event::Message { from, message }
    }

    fn driver_reply(&self, request: u64, text: &str) -> EdgeReply {
        let words: Vec<&str> = text.splitn(5, ' ').collect();
        let [session, generation, "stable", stable, what] = words[..] else { panic!("{text}") };
        let session = match number(&session[1..]) {
            0 => SessionId(0),
            // Of another life.
            99 => SessionId(99),
            index => self.sessions[index as usize - 1],
        };
        let list = request.checked_sub(101).map(|index| self.lists[index as usize]);
        let request = list.unwrap_or(request);
        let generation = Generation(number(&generation[1..]) as u32);
        EdgeReply { session, request, generation, stable: number(stable), body: driver_answer(what) }
    }

    /// One line; nothing for the timer, which is kept.
    fn effect(&mut self, effect: Effect) -> Option<String> {
        match effect {
            Effect::SetTimer { after, .. } => {
                self.timer = Some(self.now.after(after));
                None
            }
            Effect::Send { to, message: Message::GuestReply(reply) } => {
                Some(format!("{}.{} {}", to.0, reply.request, guest_answer(&reply.body)))
            }
            Effect::Send { to: DRIVER, message: Message::Edge(request) } => {
                let (session, body) = (self.session(request.session), self.edge_body(&request.body));
                let number = match request.body {
                    EdgeBody::List => 100 + index_of(&mut self.lists, request.request) as u64,
                    _ => request.request,
                };
                Some(format!("#{number} s{session} {body}"))
            }
            Effect::Send { to, message: Message::AdminReply(AdminReply { request, body }) } => {
                let AdminAnswer::Status(RoleStatus::Edge { remembered, counters }) = body else {
                    panic!("{body:?}")
                };
                let counters = edge::COUNTERS.iter().zip(counters).filter(|(_, value)| *value > 0);
                let counters: Vec<String> =
                    counters.map(|((name, _), value)| format!("{name} {value}")).collect();
                Some(format!("{}.{request} remembers {} bytes; {}", to.0, remembered.0, counters.join(", ")))
            }
            other => panic!("{other:?}"),
        }
    }

    fn session(&mut self, session: SessionId) -> usize {
        if session == SessionId(0) { 0 } else { index_of(&mut self.sessions, session) }
    }

    fn edge_body(&mut self, body: &EdgeBody) -> String {
        let fua = |set: bool| if set { " fua" } else { "" };
        match body {
            EdgeBody::List => "list".into(),
            EdgeBody::Open(Opening { name, newest, first_change, generation, .. }) => {
                let newest = self.session(*newest);
                format!("open {name} after s{newest} first {first_change} g{generation}")
            }
            EdgeBody::Read { offset, length } => format!("read {offset}+{length}"),
            EdgeBody::Write { change, offset, fua: set, payload } => {
                format!("write {change} at {offset} {}{}", data(payload), fua(*set))
            }
            EdgeBody::Discard { change, offset, length, fua: set } => {
                format!("discard {change} at {offset}+{length}{}", fua(*set))
            }
            EdgeBody::Flush => "flush".into(),
            EdgeBody::Extents { offset, length } => format!("extents {offset}+{length}"),
            EdgeBody::Close => "close".into(),
        }
    }
}

fn index_of<T: PartialEq>(seen: &mut Vec<T>, item: T) -> usize {
    let known = seen.iter().position(|one| *one == item);
    known.unwrap_or_else(|| {
        seen.push(item);
        seen.len() - 1
    }) + 1
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn range(text: &str) -> (u64, u64) {
    let (offset, length) = text.split_once('+').expect("offset+length");
    (number(offset), number(length))
}

fn guest_body(text: &str) -> GuestBody {
    let words: Vec<&str> = text.split(' ').collect();
    let vdisk = VdiskId(7);
    let fua = words.last() == Some(&"fua");
    match words[..] {
        ["list"] => GuestBody::List,
        ["attach", name] => GuestBody::Attach { name: VdiskName::new(name).expect("a name") },
        ["read", at] => GuestBody::Read { vdisk, offset: range(at).0, length: range(at).1 },
        ["extents", at] => GuestBody::Extents { vdisk, offset: range(at).0, length: range(at).1 },
        ["discard", at, ..] => GuestBody::Discard { vdisk, offset: range(at).0, length: range(at).1, fua },
        ["write", offset, bytes, ..] => {
            GuestBody::Write { vdisk, offset: number(offset), fua, payload: payload(&[bytes]) }
        }
        ["flush"] => GuestBody::Flush { vdisk },
        _ => panic!("{text}"),
    }
}

fn driver_answer(text: &str) -> EdgeAnswer {
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["done"] => EdgeAnswer::Done,
        ["opened", vdisk, size, "applied", applied] => EdgeAnswer::Opened {
            vdisk: VdiskId(number(&vdisk[1..])),
            size: ByteCount(number(size)),
            applied: number(applied),
        },
        ["vdisks", name, size] => {
            EdgeAnswer::Vdisks(vec![(VdiskName::new(name).expect("a name"), ByteCount(number(size)))])
        }
        ["data", ref bytes @ ..] => EdgeAnswer::Data(payload(bytes)),
        ["damaged", ref bytes @ ..] => {
            let right = payload(bytes);
            let crcs = right.crcs().iter().map(|crc| crc ^ 1).collect();
            EdgeAnswer::Data(Payload::with_crcs(right.pieces().to_vec(), crcs).expect("fits"))
        }
        ["extents", ref runs @ ..] => {
            EdgeAnswer::Extents(runs.iter().map(|run| (number(&run[1..]), run.starts_with('+'))).collect())
        }
        ["failed", error, ref why @ ..] => EdgeAnswer::Failed(match error {
            "not-found" => EdgeError::NotFound,
            "no-session" => EdgeError::NoSession,
            // A session that is not this Edge's; or none.
            "not-newest" => EdgeError::NotNewest { newest: SessionId(number(why[0])) },
            "out-of-bounds" => EdgeError::OutOfBounds,
            "no-space" => EdgeError::NoSpace,
            "io" => EdgeError::Io(why.join(" ")),
            _ => panic!("{text}"),
        }),
        _ => panic!("{text}"),
    }
}

fn guest_answer(answer: &GuestAnswer) -> String {
    match answer {
        GuestAnswer::Vdisks(vdisks) => {
            let vdisks: Vec<String> =
                vdisks.iter().map(|(name, size)| format!("{name} {}", size.0)).collect();
            format!("vdisks {}", vdisks.join(", "))
        }
        GuestAnswer::Attached { vdisk, size } => format!("attached v{vdisk} {}", size.0),
        GuestAnswer::Data(payload) => {
            assert!(payload.verify(), "the Edge checks what it hands out");
            format!("data {}", data(payload))
        }
        GuestAnswer::Extents(runs) => {
            let runs: Vec<String> = runs
                .iter()
                .map(|(bytes, data)| format!("{}{bytes}", if *data { '+' } else { '-' }))
                .collect();
            format!("extents {}", runs.join(" "))
        }
        GuestAnswer::Done => "done".into(),
        GuestAnswer::Failed(GuestError::NotFound) => "not found".into(),
        GuestAnswer::Failed(GuestError::OutOfBounds) => "out of bounds".into(),
        GuestAnswer::Failed(GuestError::NoSpace) => "no space".into(),
        GuestAnswer::Failed(GuestError::Io(why)) => format!("error: {why}"),
    }
}

/// `a*3 b*2` stands for `aaabb`.
fn payload(runs: &[&str]) -> Payload {
    let mut bytes = Vec::new();
    for run in runs {
        let (byte, count) = run.split_once('*').expect("byte*count");
        bytes.resize(bytes.len() + number(count) as usize, byte.as_bytes()[0]);
    }
    Payload::entering(Bytes::from(bytes))
}

fn data(payload: &Payload) -> String {
    let bytes = payload.contiguous();
    let runs = bytes.chunk_by(|a, b| a == b).map(|run| format!("{}*{}", run[0] as char, run.len()));
    let runs: Vec<String> = runs.collect();
    runs.join(" ")
}
