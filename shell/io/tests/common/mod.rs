//! A machine that obeys words, for tests of the executor. Each test program uses a part of this.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses a part; a test that panics fails")]

use std::time::Duration;

use bytes::Bytes;
use formats::message::guest::{GuestAnswer, GuestBody, GuestReply};
use formats::message::kv::{KvAnswer, KvBody, KvQuery, KvReply, KvRequest};
use formats::work::{Done, Reconstruct, Work};
use formats::{Effect, Event, Message};
use glossary::NodeId;
use io::{Builder, NodeSpec, Runtime, Settings};
use step::{DiskOperation, DiskOutcome, Effects, FileName, JobId, Machine, OperationId, TimerId, Timestamp};

/// Long enough for any machine; nothing waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Obeys words that come as KV queries, and answers when the turn ends:
///
/// - `echo X`: X
/// - `relay N X`: what node N answers to X
/// - `bounce N COUNT`: sends itself and node N COUNT messages, one upon the other
/// - `save F X`: creates file F, writes X, syncs; `done`
/// - `fill F`: creates file F and writes 8 MiB to it, several times at once; `begun`
/// - `load F`: what file F holds
/// - `timers T…`: sets timers of T milliseconds, named by their place; their order
/// - `move`: sets a timer to now, and clears it upon another that runs out as early; `cleared`
/// - `work`: does work off the loop; `worked`
/// - `halt`, `panic`: ends
/// - `surprises`: events that this life didn't ask for
///
/// Writes of guests are answered with what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Toy {
    answers: Vec<(NodeId, u64, Vec<u8>)>,
    echoes: Vec<(NodeId, Message)>,
    relayed: Vec<(NodeId, u64)>,
    jobs: Vec<(NodeId, u64)>,
    saving: Vec<Saving>,
    loading: Vec<(NodeId, u64)>,
    filling: usize,
    timers: Option<(NodeId, u64, usize, Vec<String>)>,
    next: u64,
    surprises: Vec<String>,
    started: usize,
    owed_turn_end: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Saving {
    who: (NodeId, u64),
    file: FileName,
    bytes: Bytes,
    steps: u64,
}

const FILL: u64 = 1 << 40;
const LOAD: u64 = 1 << 41;

pub(crate) fn question(request: u64, words: &str) -> Message {
    let body = KvBody::Query(KvQuery::Get { key: words.as_bytes().to_vec() });
    Message::Kv(KvRequest { request, body })
}

pub(crate) fn answer(message: Message) -> String {
    match message {
        Message::KvReply(KvReply { body: KvAnswer::Value(Some(value)), .. }) => {
            String::from_utf8(value).unwrap()
        }
        other => panic!("no answer of a toy: {other:?}"),
    }
}

impl Machine for Toy {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, _now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        if let Event::TurnEnd = event {
            assert!(std::mem::take(&mut self.owed_turn_end), "a turn ends when something came");
            return self.on_turn_end(effects);
        }
        self.owed_turn_end = true;
        match event {
            Event::Start { seed } => {
                assert_ne!(seed, [0; 32]);
                self.started += 1;
            }
            Event::Message { from, message } => self.on_message(from, message, effects),
            Event::Disk { operation, result } => self.on_disk(operation, result, effects),
            Event::Worked { job, result } => {
                match usize::try_from(job.0).ok().and_then(|job| self.jobs.get(job)) {
                    Some((to, request)) => {
                        assert_eq!(result, Done::Reconstructed(vec![]));
                        self.answers.push((*to, *request, b"worked".to_vec()));
                    }
                    None => self.surprises.push(format!("{job:?}")),
                }
            }
            Event::Timer(timer) => self.on_timer(timer, effects),
            Event::TurnEnd => unreachable!("handled above"),
        }
    }
}

impl Toy {
    fn on_turn_end(&mut self, effects: &mut Effects<Effect>) {
        for (to, request, value) in self.answers.drain(..) {
            let body = KvAnswer::Value(Some(value));
            effects.push(Effect::Send { to, message: Message::KvReply(KvReply { request, body }) });
        }
        for (to, message) in self.echoes.drain(..) {
            effects.push(Effect::Send { to, message });
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, effects: &mut Effects<Effect>) {
        assert_eq!(self.started, 1, "the start comes first, once");
        match message {
            Message::Kv(KvRequest { request, body: KvBody::Query(KvQuery::Get { key }) }) => {
                let words = String::from_utf8(key).unwrap();
                self.obey((from, request), &words, effects);
            }
            Message::KvReply(KvReply { request, body: KvAnswer::Value(Some(value)) }) => {
                match self.relayed.get(request as usize) {
                    Some((to, request)) => self.answers.push((*to, *request, value)),
                    None => self.surprises.push(String::from_utf8(value).unwrap()),
                }
            }
            Message::Guest(guest) => {
                let GuestBody::Write { payload, .. } = guest.body else { panic!("toys are written to") };
                assert!(payload.verify());
                let reply = GuestReply { request: guest.request, body: GuestAnswer::Data(payload) };
                self.echoes.push((from, Message::GuestReply(reply)));
            }
            other => panic!("toys don't know {other:?}"),
        }
    }

    fn obey(&mut self, who: (NodeId, u64), words: &str, effects: &mut Effects<Effect>) {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let send = |to, request, words: &str| Effect::Send { to, message: question(request, words) };
        match verb {
            "echo" => self.answers.push((who.0, who.1, rest.into())),
            "relay" => {
                effects.push(send(NodeId(first.parse().unwrap()), self.relayed.len() as u64, more));
                self.relayed.push(who);
            }
            "bounce" => {
                let (peer, left): (u32, u64) = (first.parse().unwrap(), more.parse().unwrap());
                let words =
                    if left == 0 { "echo over".into() } else { format!("bounce {} {}", peer ^ 3, left - 1) };
                effects.push(send(NodeId(peer), self.relayed.len() as u64, &words));
                self.relayed.push(who);
            }
            "save" => self.save(who, first, more, effects),
            "fill" => self.fill(who, first, effects),
            "load" => {
                let operation = OperationId(LOAD + self.loading.len() as u64);
                let file = FileName::parse(first).unwrap();
                let what = DiskOperation::Read { file, offset: 0, length: 100 };
                effects.push(Effect::Disk { operation, what });
                self.loading.push(who);
            }
            "timers" | "move" => self.set_timers(who, verb, rest, effects),
            "work" => {
                let work = Reconstruct { k: 1, m: 0, present: vec![], wanted: vec![] };
                let job = JobId(self.jobs.len() as u64);
                effects.push(Effect::Work { job, work: Work::Reconstruct(work) });
                self.jobs.push(who);
            }
            "halt" => {
                effects.push(send(who.0, 0, "before"));
                effects.push(Effect::Halt { reason: "told to".into() });
                effects.push(send(who.0, 0, "after"));
            }
            "panic" => panic!("told to"),
            "surprises" => self.answers.push((who.0, who.1, self.surprises.join(", ").into())),
            other => panic!("toys don't know {other:?}"),
        }
    }

    fn save(&mut self, who: (NodeId, u64), file: &str, text: &str, effects: &mut Effects<Effect>) {
        let file = FileName::parse(file).unwrap();
        let operation = OperationId((self.saving.len() as u64) << 8);
        effects.push(Effect::Disk { operation, what: DiskOperation::Create { file } });
        self.saving.push(Saving { who, file, bytes: Bytes::copy_from_slice(text.as_bytes()), steps: 0 });
    }

    fn fill(&mut self, who: (NodeId, u64), file: &str, effects: &mut Effects<Effect>) {
        let file = FileName::parse(file).unwrap();
        let bytes = Bytes::from(vec![7; 8 << 20]);
        self.filling += 9;
        let create = DiskOperation::Create { file };
        effects.push(Effect::Disk { operation: OperationId(FILL), what: create });
        for number in 1..9 {
            let what = DiskOperation::Write { file, offset: 0, pieces: vec![bytes.clone()] };
            effects.push(Effect::Disk { operation: OperationId(FILL + number), what });
        }
        self.answers.push((who.0, who.1, b"begun".to_vec()));
    }

    fn on_disk(&mut self, operation: OperationId, result: step::DiskResult, effects: &mut Effects<Effect>) {
        if operation.0 >= LOAD
            && let Some(who) = self.loading.get((operation.0 - LOAD) as usize)
        {
            let value = match result {
                Ok(DiskOutcome::Read(bytes)) => bytes.to_vec(),
                other => format!("{other:?}").into(),
            };
            return self.answers.push((who.0, who.1, value));
        }
        if operation.0 >= FILL && operation.0 < LOAD && self.filling > 0 {
            self.filling -= 1;
            return;
        }
        let Some(saving) = self.saving.get_mut((operation.0 >> 8) as usize) else {
            return self.surprises.push(format!("{operation:?}"));
        };
        assert_eq!((operation.0 & 255, result), (saving.steps, Ok(DiskOutcome::Done)));
        saving.steps += 1;
        let file = saving.file;
        let what = match saving.steps {
            1 => DiskOperation::Write { file, offset: 0, pieces: vec![saving.bytes.clone()] },
            2 => DiskOperation::Sync { file },
            _ => return self.answers.push((saving.who.0, saving.who.1, b"done".to_vec())),
        };
        effects.push(Effect::Disk { operation: OperationId(operation.0 + 1), what });
    }

    fn set_timers(&mut self, who: (NodeId, u64), verb: &str, rest: &str, effects: &mut Effects<Effect>) {
        let mut set = |timer, millis| {
            effects.push(Effect::SetTimer { timer: TimerId(timer), after: Duration::from_millis(millis) });
        };
        if verb == "move" {
            set(90, 0);
            set(91, 0);
            self.timers = Some((who.0, who.1, 1, vec![]));
            return;
        }
        let times: Vec<u64> = rest.split(' ').map(|time| time.parse().unwrap()).collect();
        times.iter().zip(0..).for_each(|(time, timer)| set(timer, *time));
        self.timers = Some((who.0, who.1, times.len(), vec![]));
    }

    fn on_timer(&mut self, timer: TimerId, effects: &mut Effects<Effect>) {
        let Some((to, request, count, seen)) = &mut self.timers else {
            return self.surprises.push(format!("{timer:?}"));
        };
        if timer == TimerId(90) {
            effects.push(Effect::ClearTimer(TimerId(91)));
            seen.push("cleared".into());
        } else {
            seen.push(timer.0.to_string());
        }
        if seen.len() == *count {
            let value = seen.join(" ").into();
            self.answers.push((*to, *request, value));
            self.timers = None;
        }
    }
}

/// A toy in its first state.
pub(crate) fn toy(id: u32, shard: usize) -> NodeSpec<Toy> {
    let name = format!("toy-{id}");
    NodeSpec {
        id: NodeId(id),
        name,
        shard,
        folder: None,
        past_page_cache: false,
        machine: Toy::default(),
        tap: None,
    }
}

/// Work that comes to nothing much.
pub(crate) fn perform(_: Work) -> Done {
    Done::Reconstructed(vec![])
}

/// Toys 1 and 2, on the first and the last shard, in every way that messages can go.
pub(crate) fn everywhere(test: impl Fn(&Runtime<Toy>)) {
    for (shards, frames) in [(1, false), (2, false), (1, true), (2, true)] {
        let settings = Settings { shards, frames, ..Settings::default() };
        let runtime = Builder::new(settings).node(toy(1, 0)).node(toy(2, shards - 1)).start(perform).unwrap();
        test(&runtime);
        runtime.shut_down(PATIENCE).unwrap();
    }
}

/// Says words to a toy and returns what it says.
pub(crate) fn ask(runtime: &io::Handle<Toy>, node: u32, words: &str) -> String {
    let mut port = runtime.port();
    answer(port.ask(NodeId(node), PATIENCE, |request| question(request, words)).unwrap())
}
