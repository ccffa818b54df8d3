//! A KV in this process, behind socket pairs: all of its time passes when nobody asks anything.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use consensus::{Member, RaftGroup};
use formats::frame::{self, Decoder};
use formats::hello::{Hello, Offers, Refusal};
use formats::message::kv::{KvAnswer, KvBody, KvError, KvReply, KvRequest};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId, ServerId};
use kv::{Config, Kv};
use kv_client::{Dial, Stream};
use step::{
    DiskOperation, DiskOutcome, DiskResult, Effects, FileName, Function, Machine, OrderedMap, TimerId,
    Timestamp,
};

/// No function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nothing;

impl Function for Nothing {
    fn apply(&self, _map: &mut dyn OrderedMap, _command: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        Err(Vec::new())
    }

    fn query(&self, _map: &dyn OrderedMap, _query: &[u8]) -> Vec<u8> {
        Vec::new()
    }
}

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It is a KV.
    Kv,
    /// It names another as its leader.
    Follows(u16),
    /// It knows of no leader.
    Leaderless,
    /// It answers nothing.
    Silent,
    /// It refuses to talk.
    Refuses,
}

/// What a test sees and sets of a server.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    /// Answers to so many commands are lost, with the stream.
    pub(crate) cuts: AtomicUsize,
    /// Requests that came.
    pub(crate) requests: AtomicUsize,
    /// It dies after so many more messages, of which the last is not answered any more where `is_cut_last`; never, where
    /// none is named. It lives again when this is set anew, with all that it had.
    pub(crate) dies: Mutex<Option<Death>>,
}

/// When a server dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) after: usize,
    pub(crate) is_cut_last: bool,
}

impl Switches {
    /// What becomes of a message: whether it is taken, and whether its answer is lost.
    fn fate(&self) -> (bool, bool) {
        let mut dies = self.dies.lock().expect("nobody panics");
        let Some(death) = &mut *dies else { return (true, false) };
        let is_taken = death.after > 0;
        death.after = death.after.saturating_sub(1);
        (is_taken, is_taken && death.is_cut_last && death.after == 0)
    }
}

/// Where a server takes streams.
type Streams = Arc<Mutex<Sender<UnixStream>>>;

/// Servers that a client can dial.
#[derive(Clone)]
pub(crate) struct Servers {
    servers: BTreeMap<ServerId, (Streams, Arc<Switches>)>,
    /// Clients must find out who is there.
    pub(crate) is_one_place: bool,
}

impl Servers {
    /// Servers from 1 on.
    pub(crate) fn start(manners: &[Manner]) -> Self {
        let servers = manners.iter().zip(1_u16..).map(|(manner, number)| {
            let (streams, accepted) = channel();
            let switches = Arc::new(Switches::default());
            let (manner, theirs) = (*manner, switches.clone());
            std::thread::spawn(move || serve(ServerId(number), manner, &accepted, &theirs));
            (ServerId(number), (Arc::new(Mutex::new(streams)), switches))
        });
        Servers { servers: servers.collect(), is_one_place: false }
    }

    pub(crate) fn switches(&self, server: u16) -> Arc<Switches> {
        self.servers[&ServerId(server)].1.clone()
    }
}

impl Dial for Servers {
    fn servers(&self) -> Vec<ServerId> {
        if self.is_one_place { Vec::new() } else { self.servers.keys().copied().collect() }
    }

    fn dial(&mut self, server: ServerId, _patience: Duration) -> io::Result<Box<dyn Stream>> {
        let server = if self.is_one_place { ServerId(1) } else { server };
        let (streams, _) = self.servers.get(&server).ok_or(io::ErrorKind::NotFound)?;
        let (ours, theirs) = UnixStream::pair()?;
        streams.lock().expect("nobody panics").send(theirs).map_err(io::Error::other)?;
        Ok(Box::new(ours))
    }
}

enum Happening {
    Request(u32, KvRequest),
    /// Of management, or of another group.
    Other(u32, Message),
    Gone(u32),
}

fn serve(server: ServerId, manner: Manner, accepted: &Receiver<UnixStream>, switches: &Arc<Switches>) {
    let (happenings, happened) = channel();
    let streams = Arc::new(Mutex::new(BTreeMap::new()));
    let machine = Kv::new(Config::new(ClusterIdentity([7; 16]), BTreeMap::new()));
    let hub = Hub {
        kv: machine,
        disk: [(kv::new_file(), Vec::new())].into(),
        streams: streams.clone(),
        timers: VecDeque::new(),
    };
    let (node, theirs) = (NodeId::kv_of(server), switches.clone());
    std::thread::spawn(move || hub.run(node, manner, &happened, &theirs));
    for (stream, number) in accepted.iter().zip(1000..) {
        let (happenings, streams) = (happenings.clone(), streams.clone());
        let writer = stream.try_clone().expect("a second handle");
        streams.lock().expect("nobody panics").insert(number, writer);
        std::thread::spawn(move || {
            let _ = listen(server, manner, stream, number, &happenings);
            let _ = happenings.send(Happening::Gone(number));
        });
    }
}

/// Reads what a client says until it leaves.
fn listen(
    server: ServerId,
    manner: Manner,
    mut stream: UnixStream,
    number: u32,
    happenings: &Sender<Happening>,
) -> io::Result<()> {
    let (mut buffer, mut held) = (vec![0; 1 << 16], Vec::new());
    let length = loop {
        if let Some((_, length)) = Hello::decode(&held).map_err(io::Error::other)? {
            break length;
        }
        let length = stream.read(&mut buffer)?;
        held.extend_from_slice(&buffer[..length]);
    };
    let refusal = (manner == Manner::Refuses).then_some(Refusal::Full);
    let ours = Hello::new(Some(ClusterIdentity([7; 16])), Some(server), Offers::KV);
    stream.write_all(&Hello { refusal, ..ours }.encode())?;
    let mut decoder = Decoder::new();
    decoder.feed(held.split_off(length).into());
    loop {
        while let Some((_, _, message)) = decoder.next().map_err(io::Error::other)? {
            let happening = match message {
                Message::Kv(request) => Happening::Request(number, request),
                other => Happening::Other(number, other),
            };
            happenings.send(happening).map_err(io::Error::other)?;
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => decoder.feed(buffer[..length].to_vec().into()),
        }
    }
}

struct Hub {
    kv: Kv<Nothing, RaftGroup>,
    disk: BTreeMap<FileName, Vec<u8>>,
    streams: Arc<Mutex<BTreeMap<u32, UnixStream>>>,
    timers: VecDeque<TimerId>,
}

impl Hub {
    fn run(mut self, node: NodeId, manner: Manner, happened: &Receiver<Happening>, switches: &Switches) {
        self.happen(node, Event::Start { seed: [0; 32] }, false);
        loop {
            match happened.recv_timeout(Duration::from_millis(2)) {
                Ok(happening @ (Happening::Request(..) | Happening::Other(..))) => {
                    let (is_taken, is_cut) = switches.fate();
                    match happening {
                        Happening::Request(from, _) | Happening::Other(from, _) if !is_taken => {
                            self.cut(from)
                        }
                        Happening::Request(from, request) => {
                            switches.requests.fetch_add(1, Ordering::Relaxed);
                            self.ask(node, from, request, manner, switches, is_cut);
                        }
                        Happening::Other(from, message) => {
                            self.happen(node, Event::Message { from: NodeId(from), message }, is_cut);
                        }
                        Happening::Gone(_) => {}
                    }
                }
                Ok(Happening::Gone(from)) => drop(self.streams.lock().expect("nobody panics").remove(&from)),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(timer) = self.timers.pop_front() {
                        self.happen(node, Event::Timer(timer), false);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn ask(
        &mut self,
        node: NodeId,
        from: u32,
        request: KvRequest,
        manner: Manner,
        switches: &Switches,
        dies: bool,
    ) {
        match manner {
            Manner::Kv => {
                let is_command = matches!(request.body, KvBody::Command { .. });
                let cut = |cuts: usize| cuts.checked_sub(usize::from(is_command));
                let is_cut = is_command
                    && switches.cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, cut).is_ok();
                let message = Message::Kv(request);
                self.happen(node, Event::Message { from: NodeId(from), message }, is_cut || dies);
            }
            Manner::Follows(leader) => {
                self.send_to(Some(Member(u64::from(leader))), node, from, request.request)
            }
            Manner::Leaderless => self.send_to(None, node, from, request.request),
            Manner::Silent | Manner::Refuses => {}
        }
    }

    /// An event and all that comes of it; answers are lost where `is_cut`.
    fn happen(&mut self, node: NodeId, event: Event, is_cut: bool) {
        let mut events = VecDeque::from([event, Event::TurnEnd]);
        while let Some(event) = events.pop_front() {
            let mut effects = Effects::new();
            self.kv.step(Timestamp(0), event, &mut effects);
            for effect in effects.drain() {
                match effect {
                    Effect::Disk { operation, what } => {
                        let result = self.disk(what);
                        events.extend([Event::Disk { operation, result }, Event::TurnEnd]);
                    }
                    Effect::Send { to, .. } if is_cut => self.cut(to.0),
                    Effect::Send { to, message } => self.say(node, to.0, &message),
                    Effect::SetTimer { timer, .. } => self.timers.push_back(timer),
                    Effect::ClearTimer(timer) => self.timers.retain(|set| *set != timer),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn cut(&self, from: u32) {
        let gone = self.streams.lock().expect("nobody panics").remove(&from);
        gone.map(|stream| stream.shutdown(std::net::Shutdown::Both));
    }

    fn send_to(&self, leader: Option<Member>, node: NodeId, from: u32, request: u64) {
        let body = KvAnswer::Failed(KvError::NotLeader { leader });
        self.say(node, from, &Message::KvReply(KvReply { request, body }));
    }

    fn say(&self, node: NodeId, to: u32, message: &Message) {
        if let Some(stream) = self.streams.lock().expect("nobody panics").get_mut(&to) {
            let pieces = frame::encode(message, node, NodeId(to));
            // Who left hears nothing.
            let _ = pieces.iter().try_for_each(|piece| stream.write_all(piece));
        }
    }

    fn disk(&mut self, what: DiskOperation) -> DiskResult {
        match what {
            DiskOperation::List => {
                let files = self.disk.iter().map(|(name, bytes)| (*name, bytes.len() as u64));
                return Ok(DiskOutcome::Listed(files.collect()));
            }
            DiskOperation::Create { file } => drop(self.disk.insert(file, Vec::new())),
            DiskOperation::Delete { file } => drop(self.disk.remove(&file)),
            DiskOperation::Write { file, offset, pieces }
            | DiskOperation::WriteThrough { file, offset, pieces } => {
                let bytes = self.disk.get_mut(&file).expect("the file is there");
                bytes.resize(bytes.len().max(offset as usize), 0);
                bytes.truncate(offset as usize);
                pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
            }
            DiskOperation::Sync { .. } => {}
            DiskOperation::Space => return Ok(DiskOutcome::Space { free: u64::MAX, total: u64::MAX }),
            DiskOperation::Commit { .. } => {}
            DiskOperation::Read { .. } | DiskOperation::ReadOn { .. } => {
                panic!("nothing is read at a first start")
            }
        }
        Ok(DiskOutcome::Done)
    }
}
