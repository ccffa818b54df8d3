//! The session: what is asked, of whom, and until when.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use formats::Message;
use formats::kv_client::KvClient;
use formats::kv_limits::{check_command, check_query};
use formats::kv_scope::{self, ToMap};
use formats::message::kv::{Consistency, KvAnswer, KvCommand, KvError, KvFound, KvQuery, KvReply, KvRequest};
use glossary::{ClusterIdentity, GroupId, NodeId, ServerId};
use step::Timestamp;

use crate::connection::Connection;
use crate::dial::Dial;
use crate::error::{self, Error};
use crate::learning::Learning;

/// How long an answer is waited for, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long opening a stream may take at most: another member may be there.
pub(crate) const DIAL: Duration = Duration::from_secs(3);

/// How long it may take at least, however little time there is.
const DIAL_MIN: Duration = Duration::from_millis(100);

/// How long a member that has not applied enough is left alone.
const NOT_YET: Duration = Duration::from_millis(50);

/// What is in the way where a disk is full.
const FULL: &str = "its disks are full: free space on them (ovs kv status says which), or delete keys";

/// Which keys are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Users' keys: all that a client sees, and none of the cluster's own records.
    #[default]
    Users,
    /// The map as it is, with the cluster's own records. A change of those can destroy the cluster.
    Whole,
}

/// A session with the KV.
pub struct Client {
    pub(crate) dial: Box<dyn Dial>,
    nodes: Vec<NodeId>,
    pub(crate) group: GroupId,
    pub(crate) asks: KvClient,
    pub(crate) learning: Learning,
    connection: Option<Connection>,
    /// Added to requests' numbers on the wire: a late answer to an earlier client is none to this one.
    offset: u64,
    origin: Instant,
    pub(crate) patience: Duration,
    pub(crate) consistency: Consistency,
    pub(crate) scope: Scope,
    /// Answers that nobody took yet.
    answers: BTreeMap<u64, KvAnswer>,
    /// What a member last said that is in the way.
    trouble: Option<String>,
    /// The last stream that broke, since an answer came.
    broken: Option<String>,
    /// Something may have left this machine in this session.
    is_sent: bool,
    /// The last index that an answer told.
    index: u64,
}

impl Client {
    /// Begins a session. Where there is one place to ask, it is asked who it is; others are dialled when needed.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where that one place has nobody.
    pub fn connect(mut dial: Box<dyn Dial>) -> Result<Self, Error> {
        let mut connection = None;
        let mut nodes: Vec<_> = dial.servers().into_iter().map(NodeId::kv_of).collect();
        if nodes.is_empty() {
            let stream = dial.dial(ServerId(0), DIAL).map_err(Error::Unreachable)?;
            let opened = Connection::open(stream, DIAL).map_err(Error::Unreachable)?;
            nodes.push(opened.node());
            connection = Some(opened);
        }
        Ok(Client {
            dial,
            asks: KvClient::new(draw(), nodes.clone()),
            learning: Learning::new(),
            nodes,
            group: GroupId::ROOT,
            connection,
            offset: draw() >> 1,
            origin: Instant::now(),
            patience: PATIENCE,
            consistency: Consistency::Linearizable,
            scope: Scope::default(),
            answers: BTreeMap::new(),
            trouble: None,
            broken: None,
            is_sent: false,
            index: 0,
        })
    }

    /// How long an answer is waited for from now on.
    pub fn wait_for(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// How far reads may lag from now on.
    pub fn read_with(&mut self, consistency: Consistency) {
        self.consistency = consistency;
    }

    /// Which keys are meant from now on.
    pub fn within(&mut self, scope: Scope) {
        self.scope = scope;
    }

    /// The index that the last answer told: at which a read was answered, or a command was applied. A read
    /// [`Consistency::AtLeast`] there sees what this client has seen and done.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The cluster of the member that was asked last; zeros before one was.
    pub(crate) fn cluster(&self) -> ClusterIdentity {
        self.connection.as_ref().map_or(ClusterIdentity::default(), Connection::cluster)
    }

    /// Does steps, all or none. What each of the list found.
    ///
    /// # Errors
    /// [`Error::Step`] names the step that failed.
    pub fn command(&mut self, command: KvCommand) -> Result<KvAnswer, Error> {
        let request = self.begin(command)?;
        let answer = self.answer_to(request)?;
        self.settle(answer)
    }

    /// Reads with a consistency.
    ///
    /// # Errors
    /// [`Error::NotYet`] when the members that are asked lag behind [`Consistency::AtLeast`].
    pub fn query(&mut self, consistency: Consistency, query: KvQuery) -> Result<KvFound, Error> {
        self.query_longer(Duration::ZERO, consistency, query)
    }

    /// Reads what a member may wait for, so much longer than usual.
    pub(crate) fn query_longer(
        &mut self,
        wait: Duration,
        consistency: Consistency,
        query: KvQuery,
    ) -> Result<KvFound, Error> {
        let until = Instant::now() + self.patience + wait;
        let query = self.own(query)?;
        loop {
            let number = self.begin_query(consistency, query.clone());
            match (self.answer_by(number, until)?, consistency) {
                (KvAnswer::Failed(KvError::NotYet { applied }), Consistency::AtLeast(wanted)) => {
                    if Instant::now() + NOT_YET >= until {
                        return Err(Error::NotYet { wanted, applied });
                    }
                    std::thread::sleep(NOT_YET);
                }
                (answer, _) => return self.found(answer),
            }
        }
    }

    /// A question as it goes out.
    pub(crate) fn own(&self, mut query: KvQuery) -> Result<KvQuery, Error> {
        if self.scope == Scope::Users {
            query.to_map();
        }
        check_query(&query).map_err(|error| self.error(error))?;
        Ok(query)
    }

    /// Sends a question; its number.
    pub(crate) fn begin_query(&mut self, consistency: Consistency, query: KvQuery) -> u64 {
        let (to, request) = self.asks.read(self.now(), consistency, query);
        let number = request.request;
        self.send(to, request);
        number
    }

    /// Sends a command; its number.
    pub(crate) fn begin(&mut self, mut command: KvCommand) -> Result<u64, Error> {
        if self.scope == Scope::Users {
            command.to_map();
        }
        check_command(&command).map_err(|error| self.error(error))?;
        let (to, request) = self.asks.command(self.now(), command);
        let number = request.request;
        self.send(to, request);
        Ok(number)
    }

    /// The answer to a request, waited for as long as is said.
    pub(crate) fn answer_to(&mut self, request: u64) -> Result<KvAnswer, Error> {
        self.answer_by(request, Instant::now() + self.patience)
    }

    fn answer_by(&mut self, request: u64, until: Instant) -> Result<KvAnswer, Error> {
        loop {
            if let Some(answer) = self.answers.remove(&request) {
                return Ok(answer);
            }
            self.turn(until)?;
        }
    }

    /// Waits for any answer.
    pub(crate) fn next_answer(&mut self) -> Result<(u64, KvAnswer), Error> {
        let until = Instant::now() + self.patience;
        loop {
            if let Some(first) = self.answers.pop_first() {
                return Ok(first);
            }
            self.turn(until)?;
        }
    }

    /// Waits for something to happen, and sends what is due.
    fn turn(&mut self, until: Instant) -> Result<(), Error> {
        let now = Instant::now();
        if now >= until {
            let error = match self.broken.take() {
                Some(broken) if !self.is_sent => Error::Unreachable(io::Error::other(broken)),
                broken => Error::TimedOut(why(self.trouble.take(), broken)),
            };
            self.give_up();
            return Err(error);
        }
        let timestamp = self.now();
        for (to, request) in self.asks.resend_due(timestamp) {
            self.send(to, request);
        }
        self.learn_when_due();
        let due = self.asks.next_due().map_or(PATIENCE, |due| due.since(self.now()));
        let patience = due.min(until.saturating_duration_since(now));
        let Some(connection) = &mut self.connection else {
            std::thread::sleep(patience);
            return Ok(());
        };
        let from = connection.node();
        match connection.receive(patience) {
            Ok(Some(reply)) => self.on_reply(from, reply),
            Ok(None) => {}
            Err(error) => self.lose(from, &error),
        }
        Ok(())
    }

    fn on_reply(&mut self, from: NodeId, mut reply: KvReply) {
        reply.request = reply.request.wrapping_sub(self.offset);
        if let KvAnswer::Failed(error) = &reply.body {
            self.note(error);
        }
        let now = self.now();
        if let Some((request, answer)) = self.asks.on_reply(now, from, reply) {
            if self.learning.is(request) {
                self.on_members(&answer);
                return;
            }
            (self.trouble, self.broken) = (None, None);
            self.answers.insert(request, answer);
        }
    }

    /// Keeps what stands in the way, in words.
    fn note(&mut self, error: &KvError) {
        self.trouble = match error {
            KvError::Full => Some(FULL.into()),
            KvError::Unavailable => Some("it is starting, has lost its lead, or is asked too much".into()),
            KvError::TooManySessions => {
                Some("too many clients changed something in the last seconds: wait a little".into())
            }
            // Nobody may lead where all disks are full: they are the reason.
            KvError::NotLeader { leader: None } if self.trouble.as_deref() == Some(FULL) => return,
            KvError::NotLeader { leader: None } => {
                Some("no member of its group leads: are most of them running?".into())
            }
            _ => return,
        };
    }

    pub(crate) fn send(&mut self, to: NodeId, mut request: KvRequest) {
        let group = if self.learning.is(request.request) { GroupId::ROOT } else { self.group() };
        request.request = request.request.wrapping_add(self.offset);
        if let Err(error) = self.try_send(to, group, request) {
            self.lose(to, &error);
        }
    }

    fn try_send(&mut self, to: NodeId, group: GroupId, request: KvRequest) -> io::Result<()> {
        if self.connection.as_ref().is_none_or(|connection| connection.node() != to) {
            self.connection = None;
            if !self.dial.servers().is_empty() || self.nodes.contains(&to) {
                let (patience, start) = (self.dial_patience(), Instant::now());
                let stream = self.dial.dial(to.server(), patience)?;
                let opened = Connection::open(stream, patience.saturating_sub(start.elapsed()))?;
                if opened.node() != to {
                    return Err(io::Error::other("another server is there"));
                }
                self.connection = Some(opened);
            } else {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "it leads the group and can't be reached through this socket: give the servers' addresses (--config)",
                ));
            }
        }
        let message = Message::to_kv(group, request);
        self.is_sent = true;
        self.connection.as_mut().map_or(Ok(()), |connection| connection.send(&message, self.patience))
    }

    /// How long opening a stream may take: so long that in the time there is for an answer, every server can be asked.
    fn dial_patience(&self) -> Duration {
        (self.patience / self.nodes.len().max(1) as u32).clamp(DIAL_MIN, DIAL)
    }

    /// A stream is of no use. What was sent on it is sent again when it is due.
    fn lose(&mut self, to: NodeId, error: &io::Error) {
        self.connection = None;
        self.asks.on_gone(self.now(), to);
        self.broken = Some(format!("server {}: {error}", to.server()));
    }

    /// Begins a new session: what is open in the old one is not asked for again.
    pub(crate) fn give_up(&mut self) {
        self.connection = None;
        self.answers.clear();
        self.asks = KvClient::new(draw(), self.nodes.clone());
        self.keep_learned();
        self.offset = draw() >> 1;
        (self.trouble, self.is_sent) = (None, false);
    }

    /// What was applied, or why it was not.
    pub(crate) fn settle(&mut self, answer: KvAnswer) -> Result<KvAnswer, Error> {
        match &answer {
            KvAnswer::Applied { index, .. } => self.index = *index,
            KvAnswer::Failed(error) => return Err(self.error(error.clone())),
            _ => {}
        }
        Ok(answer)
    }

    /// What was applied or read.
    pub(crate) fn settle_any(&mut self, answer: KvAnswer) -> Result<KvAnswer, Error> {
        match answer {
            KvAnswer::Read { index, .. } => self.found(answer).map(|found| KvAnswer::Read { index, found }),
            answer => self.settle(answer),
        }
    }

    pub(crate) fn found(&mut self, answer: KvAnswer) -> Result<KvFound, Error> {
        match answer {
            KvAnswer::Read { index, mut found } => {
                self.index = index;
                if self.scope == Scope::Users {
                    kv_scope::found_from_map(&mut found);
                }
                Ok(found)
            }
            KvAnswer::Failed(error) => Err(self.error(error)),
            other => Err(nonsense(&other)),
        }
    }

    fn error(&self, error: KvError) -> Error {
        error::of(error, self.scope == Scope::Users)
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(0).after(self.origin.elapsed())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("nodes", &self.nodes)
            .field("group", &self.group)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// What is in the way, in words: what a member says tells more than a stream that breaks.
fn why(said: Option<String>, broken: Option<String>) -> Option<String> {
    match (said, broken) {
        (Some(said), Some(broken)) => Some(format!("{said} {broken}")),
        (said, broken) => said.or(broken),
    }
}

/// An answer that is none to what was asked.
pub(crate) fn nonsense(answer: &impl std::fmt::Debug) -> Error {
    let mut text = format!("{answer:?}");
    text.truncate(200);
    Error::Nonsense(text)
}

/// A number that nobody had before.
fn draw() -> u64 {
    let mut bytes = [0; 8];
    let length = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    assert_eq!(length, Ok(bytes.len()), "the operating system has randomness");
    u64::from_le_bytes(bytes)
}
