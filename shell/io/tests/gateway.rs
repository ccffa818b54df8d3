//! A gateway that echoes: the smallest one that has all a real one needs. Requests are a length (4 bytes,
//! little-endian) and that many bytes; replies are the same, in the order in which answers come.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::io::{
    AskError, Builder, Connection, Context, Gateway, GatewaySpec, Listener, NodeState, Readiness, Received,
    Runtime, Settings, SocketId,
};
use bytes::{Buf, BufMut, Bytes};
use common::{PATIENCE, Toy, perform, toy};
use formats::message::guest::{GuestAnswer, GuestBody, GuestRequest};
use formats::message::kv::{KvAnswer, KvReply};
use formats::{Message, Payload};
use glossary::{NodeId, VdiskId};

/// Bytes of requests that may be in memory at once, but for one request.
const PERMITS: usize = 1 << 20;

/// A client that doesn't read its replies is not read from either.
const UNSENT_MAX: usize = 4 << 20;

const EDGE: NodeId = NodeId(1);
const ECHO: NodeId = NodeId(7);

struct Echo {
    listeners: Vec<Listener>,
    clients: BTreeMap<SocketId, Client>,
    /// Whose request it is, and how many bytes it holds a permit for.
    requests: BTreeMap<u64, (SocketId, usize)>,
    /// Sockets that wait for a permit, in order.
    waiting: VecDeque<SocketId>,
    in_memory: usize,
    highest: Arc<AtomicUsize>,
    next_socket: u32,
    next_request: u64,
    is_stopping: bool,
}

struct Client {
    connection: Connection,
    /// Bytes of the request that comes next, as far as is known.
    wants: usize,
    ended: bool,
}

impl Gateway for Echo {
    fn start(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        for (listener, id) in self.listeners.iter().zip(0..) {
            context.watch(listener, SocketId(id))?;
        }
        Ok(())
    }

    fn ready(&mut self, socket: SocketId, readiness: Readiness, context: &mut Context<'_>) {
        if (socket.0 as usize) < self.listeners.len() {
            return self.accept(socket, context);
        }
        if let Some(client) = self.clients.get_mut(&socket) {
            client.connection.on_ready(readiness);
            self.serve(socket, context);
        }
    }

    fn message(&mut self, _from: NodeId, message: Message, context: &mut Context<'_>) {
        let Message::GuestReply(reply) = message else { panic!("{message:?}") };
        let Some((socket, bytes)) = self.requests.remove(&reply.request) else { return };
        self.in_memory -= bytes;
        let GuestAnswer::Data(payload) = reply.body else { panic!("{:?}", reply.body) };
        if let Some(client) = self.clients.get_mut(&socket) {
            client.connection.head().put_u32_le(payload.len() as u32);
            payload.pieces().iter().for_each(|piece| client.connection.push(piece.clone()));
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.serve(waiting, context);
        }
    }

    fn turn_end(&mut self, context: &mut Context<'_>) {
        let sockets: Vec<SocketId> = self.clients.keys().copied().collect();
        for socket in sockets {
            let in_flight = self.requests.values().any(|(whose, _)| *whose == socket);
            let client = self.clients.get_mut(&socket).unwrap();
            let was_full = client.connection.unsent() >= UNSENT_MAX;
            let flushed = client.connection.flush();
            let is_done = (client.ended || self.is_stopping) && !in_flight && matches!(flushed, Ok(true));
            if is_done || flushed.is_err() {
                self.clients.remove(&socket);
            } else if was_full && client.connection.unsent() < UNSENT_MAX {
                context.again(socket);
            }
        }
        if self.is_stopping && self.clients.is_empty() {
            context.finish();
        }
    }

    fn stop(&mut self, _context: &mut Context<'_>) {
        self.is_stopping = true;
        self.listeners.clear();
    }
}

impl Echo {
    fn new(listeners: Vec<Listener>, highest: &Arc<AtomicUsize>) -> Self {
        let next_socket = listeners.len() as u32;
        Echo {
            listeners,
            clients: BTreeMap::new(),
            requests: BTreeMap::new(),
            waiting: VecDeque::new(),
            in_memory: 0,
            highest: Arc::clone(highest),
            next_socket,
            next_request: 0,
            is_stopping: false,
        }
    }

    fn accept(&mut self, listener: SocketId, context: &mut Context<'_>) {
        while let Some(connection) = self.listeners[listener.0 as usize].accept().unwrap() {
            let socket = SocketId(self.next_socket);
            self.next_socket += 1;
            context.watch(&connection, socket).unwrap();
            self.clients.insert(socket, Client { connection, wants: 4, ended: false });
        }
    }

    /// Takes requests of a client: what came in already, then one receive.
    fn serve(&mut self, socket: SocketId, context: &mut Context<'_>) {
        if !self.parse(socket, context) {
            return;
        }
        let client = self.clients.get_mut(&socket).unwrap();
        match client.connection.receive(client.wants) {
            Ok(Received::Some(_)) => context.again(socket),
            Ok(Received::All(_)) => {}
            Ok(Received::End) => client.ended = true,
            Err(_) => drop(self.clients.remove(&socket)),
        }
        self.parse(socket, context);
    }

    /// Takes whole requests out of the input while there are permits. Whether more input is wanted.
    fn parse(&mut self, socket: SocketId, context: &mut Context<'_>) -> bool {
        let Some(client) = self.clients.get_mut(&socket) else { return false };
        if client.ended || self.is_stopping || client.connection.unsent() >= UNSENT_MAX {
            return false;
        }
        if client.connection.received() < client.wants {
            return true;
        }
        let mut input = client.connection.take_input();
        let mut has_permit = true;
        loop {
            client.wants = 4;
            if input.len() < 4 {
                break;
            }
            let length = (&input[..4]).get_u32_le() as usize;
            has_permit = self.in_memory == 0 || self.in_memory + length <= PERMITS;
            client.wants = 4 + length;
            if !has_permit || input.len() < client.wants {
                break;
            }
            input.advance(4);
            self.in_memory += length;
            self.highest.fetch_max(self.in_memory, Ordering::Relaxed);
            let request = self.next_request;
            self.next_request += 1;
            self.requests.insert(request, (socket, length));
            context.send(EDGE, write(request, input.split_to(length)));
        }
        client.connection.put_back(input);
        if !has_permit {
            self.waiting.push_back(socket);
        }
        has_permit
    }
}

fn write(request: u64, bytes: Bytes) -> Message {
    let payload = Payload::entering(bytes);
    let body = GuestBody::Write { vdisk: VdiskId(1), offset: 0, fua: false, payload };
    Message::Guest(GuestRequest { request, body })
}

struct Bed {
    runtime: Runtime<Toy>,
    tcp: std::net::SocketAddr,
    unix: std::path::PathBuf,
    highest: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

fn bed(settings: Settings) -> Bed {
    let folder = tempfile::tempdir().unwrap();
    let unix = folder.path().join("socket");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = listener.local_addr().unwrap();
    let listeners =
        vec![Listener::tcp(listener).unwrap(), Listener::unix(UnixListener::bind(&unix).unwrap()).unwrap()];
    let highest = Arc::new(AtomicUsize::new(0));
    let shard = settings.shards - 1;
    let gateway = Box::new(Echo::new(listeners, &highest));
    let runtime = Builder::new(settings)
        .node(toy(EDGE.0, 0))
        .gateway(GatewaySpec { id: ECHO, name: "echo".into(), shard, gateway })
        .start(perform)
        .unwrap();
    Bed { runtime, tcp, unix, highest, _folder: folder }
}

/// Requests of all sizes, many small ones between few large.
fn requests() -> Vec<Vec<u8>> {
    let length = |number: usize| match number % 50 {
        0 => 900_000,
        7 => 0,
        rest => rest * 131,
    };
    (0..200).map(|number| (0..length(number)).map(|i| (i * 7 + number) as u8).collect()).collect()
}

/// Sends all requests, and reads the replies meanwhile: they come in order, as one toy answers all.
fn talk(mut out: impl Write + Send, mut back: impl Read) {
    let requests = requests();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for request in &requests {
                out.write_all(&(request.len() as u32).to_le_bytes()).unwrap();
                out.write_all(request).unwrap();
            }
        });
        for request in &requests {
            let mut length = [0; 4];
            back.read_exact(&mut length).unwrap();
            assert_eq!(u32::from_le_bytes(length) as usize, request.len());
            let mut reply = vec![0; request.len()];
            back.read_exact(&mut reply).unwrap();
            assert!(reply == *request);
        }
    });
}

#[test]
fn clients_get_back_what_they_sent_and_memory_has_a_bound() {
    for (shards, frames) in [(1, false), (2, false), (2, true)] {
        let bed = bed(Settings { shards, frames, ..Settings::default() });
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let stream = TcpStream::connect(bed.tcp).unwrap();
                scope.spawn(move || talk(stream.try_clone().unwrap(), stream));
                let stream = UnixStream::connect(&bed.unix).unwrap();
                scope.spawn(move || talk(stream.try_clone().unwrap(), stream));
            }
        });
        assert!(bed.highest.load(Ordering::Relaxed) <= PERMITS);
        bed.runtime.shut_down(PATIENCE).unwrap();
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let bed = bed(Settings::default());
    let mut deaf = TcpStream::connect(bed.tcp).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let request = [&100_000_u32.to_le_bytes()[..], &[7; 100_000]].concat();
    while deaf.write_all(&request).is_ok() {}
    let stream = TcpStream::connect(bed.tcp).unwrap();
    talk(stream.try_clone().unwrap(), stream);
}

#[test]
fn the_end_of_what_a_client_sends_is_seen_behind_its_last_request() {
    let bed = bed(Settings::default());
    for _ in 0..100 {
        let mut stream = TcpStream::connect(bed.tcp).unwrap();
        stream.write_all(&[3, 0, 0, 0, b'a', b'b', b'c']).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert_eq!(reply, [3, 0, 0, 0, b'a', b'b', b'c']);
    }
}

#[test]
fn a_gateway_stops_when_it_has_answered() {
    let bed = bed(Settings::default());
    let stream = TcpStream::connect(bed.tcp).unwrap();
    talk(stream.try_clone().unwrap(), &stream);
    bed.runtime.stop_node(ECHO, PATIENCE).unwrap();
    assert_eq!(bed.runtime.states()[&ECHO].1, NodeState::Stopped);
    assert_eq!((&stream).read(&mut [0]).unwrap(), 0, "its connections are closed");
    assert!(TcpStream::connect(bed.tcp).is_err(), "and its listeners");
}

struct Refusing;

impl Gateway for Refusing {
    fn start(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Err(io::Error::other("not today"))
    }

    fn ready(&mut self, _: SocketId, _: Readiness, _: &mut Context<'_>) {}

    fn message(&mut self, _: NodeId, _: Message, _: &mut Context<'_>) {}

    fn turn_end(&mut self, _: &mut Context<'_>) {}
}

#[test]
fn a_gateway_that_can_not_start_is_told() {
    let gateway = Box::new(Refusing);
    let spec = GatewaySpec { id: ECHO, name: "refusing".into(), shard: 0, gateway };
    let started = Builder::<Toy>::new(Settings::default()).gateway(spec).start(perform);
    assert_eq!(started.err().unwrap().to_string(), "refusing can't start");
}

/// Speaks for nodes that aren't there, and answers in their names.
struct Envoy;

impl Gateway for Envoy {
    fn start(&mut self, _context: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    fn ready(&mut self, _socket: SocketId, _readiness: Readiness, _context: &mut Context<'_>) {}

    fn message(&mut self, _from: NodeId, message: Message, _context: &mut Context<'_>) {
        panic!("nobody speaks to the envoy itself: {message:?}");
    }

    fn speaks_for(&self) -> Vec<RangeInclusive<NodeId>> {
        vec![NodeId(100)..=NodeId(109), NodeId(0x8000_0000)..=NodeId(0x8000_0001)]
    }

    fn relay(&mut self, from: NodeId, to: NodeId, message: Message, context: &mut Context<'_>) {
        let Message::Kv(request) = message else { panic!("{message:?}") };
        let body = KvAnswer::Value(Some(format!("{to} to {from}").into_bytes()));
        context.send_from(to, from, Message::KvReply(KvReply { request: request.request, body }));
    }

    fn turn_end(&mut self, _context: &mut Context<'_>) {}
}

#[test]
fn messages_to_nodes_elsewhere_go_through_the_gateway_that_speaks_for_them() {
    for (shards, frames) in [(1, false), (2, false), (2, true)] {
        let settings = Settings { shards, frames, ..Settings::default() };
        let envoy = GatewaySpec { id: NodeId(9), name: "envoy".into(), shard: 0, gateway: Box::new(Envoy) };
        let runtime = Builder::new(settings)
            .node(toy(1, shards - 1))
            .node(toy(105, shards - 1))
            .gateway(envoy)
            .start(perform)
            .unwrap();
        let mut port = runtime.port();
        let mut ask = |to, words| {
            port.ask(NodeId(to), PATIENCE, |request| common::question(request, words)).map(common::answer)
        };
        assert_eq!(ask(1, "relay 100 echo x").unwrap(), "100 to 1", "{shards} {frames}");
        assert_eq!(ask(1, "relay 2147483649 echo x").unwrap(), "2147483649 to 1");
        assert_eq!(ask(1, "relay 105 echo here").unwrap(), "here", "a node that is here speaks for itself");
        assert_eq!(ask(105, "echo here").unwrap(), "here");
        assert!(ask(109, "echo x").unwrap().starts_with("109 to "));
        assert_eq!(ask(110, "echo x"), Err(AskError::NotRunning(NodeId(110))));
        let mut named = runtime.port_at(NodeId(50));
        let answer = named.ask(NodeId(100), PATIENCE, |request| common::question(request, "echo x"));
        assert_eq!(common::answer(answer.unwrap()), "100 to 50");
    }
}
