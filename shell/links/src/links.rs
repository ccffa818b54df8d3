//! The gateway: listeners, connections, and the turn of the shard.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::ops::{Bound, RangeInclusive};
use std::time::Duration;

use ::io::{Connection, Context, Gateway, Listener, Readiness, SocketId};
use formats::Message;
use formats::hello::Refusal;
use glossary::{NodeId, ServerId};
use step::TimerId;

use crate::addresses::Addresses;
use crate::audit::Audit;
use crate::hall::Hall;
use crate::incoming::{Broken, Door, FIRST_CLIENT, Incoming, LAST_CLIENT};
use crate::local::LocalSocket;
use crate::servers::Servers;
use crate::settings::Settings;
use crate::stream::Stream;
use crate::trust::Trust;

/// The one timer: it runs while there is a connection, or one could not be accepted.
const TICK: TimerId = TimerId(1);

/// How often late connections are looked for.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// The unix listener's number.
const LOCAL: SocketId = SocketId(0);

/// The number of the listener for other machines.
const REMOTE: SocketId = SocketId(1);

/// The first number of a connection.
const FIRST: u32 = 16;

/// The last: there are as many as there are node ids for clients.
const LAST: u32 = LAST_CLIENT - FIRST_CLIENT;

/// Connections accepted in one turn, before others have theirs.
const ACCEPTS_MAX: usize = 16;

/// What other processes and the nodes of this one say to each other.
pub struct Links {
    /// `None` once it stops.
    local: Option<LocalSocket>,
    /// The listener for other machines, until it stops.
    remote: Option<Listener>,
    /// The links to other servers, where there are any.
    servers: Option<Servers>,
    /// The version of the credentials by which all connections were judged last.
    judged_by: u64,
    /// The connection that was judged last of those that are judged one by one.
    judged_last: SocketId,
    incoming: BTreeMap<SocketId, Incoming>,
    hall: Hall,
    /// Connections to be flushed when the turn ends.
    touched: Vec<SocketId>,
    last_socket: u32,
    ticking: bool,
    /// The machine had no room for a connection: the listeners are to be looked at again.
    accept_again: bool,
}

impl Links {
    /// Links of a process that speaks to clients on its own machine alone.
    pub fn new(settings: Settings, audit: Audit, local: LocalSocket) -> Self {
        Links {
            local: Some(local),
            remote: None,
            servers: None,
            judged_by: 0,
            judged_last: SocketId(0),
            incoming: BTreeMap::new(),
            hall: Hall::new(settings, audit),
            touched: Vec::new(),
            last_socket: FIRST - 1,
            ticking: false,
            accept_again: false,
        }
    }

    /// Has other machines connect too, by TLS, and links this server to the others.
    ///
    /// # Errors
    /// When the listener can't be made non-blocking.
    pub fn with_servers(
        mut self,
        listener: TcpListener,
        trust: Trust,
        addresses: Addresses,
    ) -> io::Result<Self> {
        self.remote = Some(Listener::tcp(listener)?);
        self.judged_by = trust.version();
        self.hall.trust = Some(trust.clone());
        self.servers = Some(Servers::new(trust, addresses));
        Ok(self)
    }

    fn accept(&mut self, listener: SocketId, context: &mut Context<'_>) {
        for _ in 0..ACCEPTS_MAX {
            let listening = match listener {
                LOCAL => self.local.as_ref().map(|local| &local.listener),
                _ => self.remote.as_ref(),
            };
            match listening.map(Listener::accept) {
                None | Some(Ok(None)) => return,
                Some(Ok(Some(connection))) => match self.begin(listener, connection) {
                    Ok((stream, door)) => self.admit(stream, door, context),
                    Err(error) => self.hall.note_turned_away(error),
                },
                Some(Err(error)) => {
                    tracing::warn!(%error, "a connection can't be accepted now");
                    self.accept_again = true;
                    return self.tick(context);
                }
            }
        }
        context.again(listener);
    }

    /// What is to be done with a connection before a word was said.
    fn begin(&self, listener: SocketId, connection: Connection) -> io::Result<(Stream, Door)> {
        let Some(trust) = self.hall.trust.as_ref().filter(|_| listener == REMOTE) else {
            return Ok((Stream::plain(connection), Door::Local));
        };
        let address = connection.peer()?;
        connection.break_when_dead(self.hall.settings.bounds.dead_after)?;
        let config =
            trust.current().server().ok_or_else(|| io::Error::other("no server's certificate is here"))?;
        let stream = Stream::accepted(connection, config).map_err(io::Error::other)?;
        Ok((stream, Door::Tcp(address)))
    }

    fn admit(&mut self, connection: Stream, door: Door, context: &mut Context<'_>) {
        let id = self.fresh_id();
        if let Err(error) = context.watch(&connection, id) {
            tracing::warn!(%error, "a connection can't be watched and is closed");
            return;
        }
        let mut incoming = Incoming::new(id, connection, door, context.now());
        let bounds = &self.hall.settings.bounds;
        let strangers = self.incoming.values().filter(|other| other.is_stranger()).count();
        if strangers >= bounds.strangers_max || self.incoming.len() >= bounds.connections_max {
            self.drop_oldest_stranger();
        }
        if self.incoming.len() >= self.hall.settings.bounds.connections_max {
            // It is told as far as its socket takes that at once, and counts no further.
            let why = "there are as many connections as may be".into();
            let told = incoming.refuse(Refusal::Full, why, &mut self.hall);
            let _ = told.and_then(|()| incoming.flush(&mut self.hall, context));
            return;
        }
        self.incoming.insert(id, incoming);
        // What the kernel told before it was watched is told now.
        self.with(id, context, |incoming, hall, context| {
            incoming.on_ready(Readiness { readable: true, writable: true, ended: false }, hall, context)
        });
        self.tick(context);
    }

    /// A number that no connection has. After a billion they come again; nobody waits for events of the first.
    fn fresh_id(&mut self) -> SocketId {
        loop {
            self.last_socket = if self.last_socket >= LAST { FIRST } else { self.last_socket + 1 };
            let id = SocketId(self.last_socket);
            let is_links = self.servers.as_ref().is_some_and(|servers| servers.has(id));
            if !is_links && !self.incoming.contains_key(&id) {
                return id;
            }
        }
    }

    fn drop_oldest_stranger(&mut self) {
        let strangers = self.incoming.values().filter(|one| one.is_stranger());
        if let Some(id) = strangers.min_by_key(|one| one.since).map(|one| one.id) {
            self.hall.note_turned_away("too many do not say who they are");
            self.drop_connection(id);
        }
    }

    /// Does something with a connection; it is flushed when the turn ends. A broken one is dropped.
    fn with(
        &mut self,
        id: SocketId,
        context: &mut Context<'_>,
        act: impl FnOnce(&mut Incoming, &mut Hall, &mut Context<'_>) -> Result<(), Broken>,
    ) {
        let Some(incoming) = self.incoming.get_mut(&id) else { return };
        match act(incoming, &mut self.hall, context) {
            Ok(()) if incoming.touched => {}
            Ok(()) => {
                incoming.touched = true;
                self.touched.push(id);
            }
            Err(broken) => self.on_broken(id, &broken),
        }
    }

    fn on_broken(&mut self, id: SocketId, why: &Broken) {
        match self.incoming.get(&id) {
            Some(stranger) if stranger.is_stranger() => self.hall.note_turned_away(why),
            Some(peer) => tracing::warn!(peer = peer.name(), "a connection is closed: {why}"),
            None => {}
        }
        self.drop_connection(id);
    }

    fn drop_connection(&mut self, id: SocketId) {
        if let Some(mut incoming) = self.incoming.remove(&id) {
            incoming.abandon(&mut self.hall);
        }
    }

    fn flush_touched(&mut self, context: &mut Context<'_>) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            let Some(incoming) = self.incoming.get_mut(&id) else { continue };
            incoming.touched = false;
            match incoming.flush(&mut self.hall, context) {
                Ok(false) => {}
                Ok(true) => self.drop_connection(id),
                Err(broken) => self.on_broken(id, &broken),
            }
        }
        self.touched = touched;
    }

    /// Lets those go on who waited for room, in order; who finds none waits again, behind the others.
    fn give_room(&mut self, context: &mut Context<'_>) {
        if !self.hall.budget.has_new_room() {
            return;
        }
        for id in std::mem::take(&mut self.hall.waiting) {
            if let Some(incoming) = self.incoming.get_mut(&id) {
                incoming.on_room(context);
            }
        }
    }

    fn tick(&mut self, context: &mut Context<'_>) {
        if !self.ticking {
            self.ticking = true;
            context.set_timer(TICK, TICK_EVERY);
        }
    }

    /// A node here says something to one of another server.
    fn send(&mut self, from: NodeId, to: NodeId, message: &Message, context: &mut Context<'_>) {
        // One of this server that is not here is nowhere.
        if self.servers.is_none() || to.server() == self.hall.settings.server {
            return;
        }
        let id = self.fresh_id();
        if let Some(servers) = &mut self.servers {
            servers.send(from, to, message, &self.hall.settings, id, context);
        }
        self.tick(context);
    }

    /// Ends connections whose certificates are believed no more: all that were revoked as soon as that is known, and
    /// those that have run out one after the other, as judging all of them every second would be long.
    fn judge(&mut self, context: &mut Context<'_>) {
        let Some(trust) = self.hall.trust.clone() else { return };
        let version = trust.version();
        let has_changed = std::mem::replace(&mut self.judged_by, version) != version;
        if let Some(servers) = &mut self.servers {
            servers.check(has_changed, &self.hall.settings, context);
        }
        let after = self.incoming.range((Bound::Excluded(self.judged_last), Bound::Unbounded)).next();
        self.judged_last = after.map_or(SocketId(0), |(id, _)| *id);
        let to_judge = self.incoming.values().filter(|one| has_changed || one.id == self.judged_last);
        let judged = to_judge.filter_map(|one| {
            let refused = trust.current().verify(&one.chain()?).err()?;
            Some((one.id, Broken::from(refused)))
        });
        let refused: Vec<(SocketId, Broken)> = judged.collect();
        for (id, why) in refused {
            self.on_broken(id, &why);
        }
    }

    fn drop_late(&mut self, context: &mut Context<'_>) {
        let (hall, now) = (&self.hall, context.now());
        let late = self.incoming.values().filter(|one| one.is_late(hall, now));
        let late: Vec<SocketId> = late.map(|one| one.id).collect();
        for id in late {
            self.hall.note_turned_away("it took too long to say what it wants");
            self.drop_connection(id);
        }
    }
}

impl Gateway for Links {
    fn start(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Some(servers) = &mut self.servers {
            servers.start(context);
        }
        self.remote.as_ref().map_or(Ok(()), |listener| context.watch(listener, REMOTE))?;
        self.local.as_ref().map_or(Ok(()), |local| context.watch(&local.listener, LOCAL))
    }

    fn speaks_for(&self) -> Vec<RangeInclusive<NodeId>> {
        let clients = NodeId(FIRST_CLIENT)..=NodeId(LAST_CLIENT);
        let servers = NodeId::at(ServerId(1), 0)..=NodeId::at(ServerId::MAX, u16::MAX);
        if self.servers.is_some() { vec![clients, servers] } else { vec![clients] }
    }

    fn ready(&mut self, socket: SocketId, readiness: Readiness, context: &mut Context<'_>) {
        match socket {
            LOCAL | REMOTE => self.accept(socket, context),
            _ if self.incoming.contains_key(&socket) => {
                self.with(socket, context, |one, hall, context| one.on_ready(readiness, hall, context))
            }
            _ => {
                if let Some(servers) = &mut self.servers {
                    servers.on_ready(socket, readiness, &self.hall.settings, context);
                }
            }
        }
    }

    /// Nobody speaks to the gateway itself.
    fn message(&mut self, _from: NodeId, _message: Message, _context: &mut Context<'_>) {}

    fn relay(&mut self, from: NodeId, to: NodeId, message: Message, context: &mut Context<'_>) {
        match to.0.checked_sub(FIRST_CLIENT) {
            Some(number) => {
                self.with(SocketId(number), context, |one, hall, _| one.on_message(from, &message, hall));
            }
            None => self.send(from, to, &message, context),
        }
    }

    fn timer(&mut self, _timer: TimerId, context: &mut Context<'_>) {
        self.ticking = false;
        if std::mem::take(&mut self.accept_again) {
            self.accept(LOCAL, context);
            self.accept(REMOTE, context);
        }
        self.drop_late(context);
        self.judge(context);
        self.hall.log_turned_away();
        let ids: Vec<SocketId> = self.incoming.keys().copied().collect();
        for id in ids {
            self.with(id, context, |one, hall, context| {
                one.expire(hall, context.now());
                Ok(())
            });
        }
        if !self.incoming.is_empty() || self.servers.as_ref().is_some_and(Servers::is_linked) {
            self.tick(context);
        }
    }

    fn turn_end(&mut self, context: &mut Context<'_>) {
        self.flush_touched(context);
        if let Some(servers) = &mut self.servers {
            servers.flush(&self.hall.settings, context);
        }
        self.give_room(context);
        if self.hall.stopping && self.incoming.is_empty() {
            context.finish();
        }
    }

    /// Requests that were taken are answered; nothing more is taken.
    fn stop(&mut self, context: &mut Context<'_>) {
        self.hall.stopping = true;
        (self.local, self.remote, self.servers) = (None, None, None);
        let ids: Vec<SocketId> = self.incoming.keys().copied().collect();
        ids.into_iter().for_each(|id| self.with(id, context, |_, _, _| Ok(())));
    }
}
