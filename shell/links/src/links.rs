//! The gateway: listeners, connections, and the turn of the shard.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use ::io::{Context, Gateway, Readiness, SocketId};
use formats::Message;
use formats::hello::Refusal;
use glossary::NodeId;
use step::TimerId;

use crate::audit::Audit;
use crate::hall::Hall;
use crate::incoming::{Broken, Door, FIRST_CLIENT, Incoming, LAST_CLIENT};
use crate::local::LocalSocket;
use crate::settings::Settings;

/// The one timer: it runs while there is a connection, or one could not be accepted.
const TICK: TimerId = TimerId(1);

/// How often late connections are looked for.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// The unix listener's number.
const LOCAL: SocketId = SocketId(0);

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
            incoming: BTreeMap::new(),
            hall: Hall::new(settings, audit),
            touched: Vec::new(),
            last_socket: FIRST - 1,
            ticking: false,
            accept_again: false,
        }
    }

    fn accept(&mut self, context: &mut Context<'_>) {
        for _ in 0..ACCEPTS_MAX {
            match self.local.as_ref().map(|local| local.listener.accept()) {
                None | Some(Ok(None)) => return,
                Some(Ok(Some(connection))) => self.admit(connection, Door::Local, context),
                Some(Err(error)) => {
                    tracing::warn!(%error, "a connection can't be accepted now");
                    self.accept_again = true;
                    return self.tick(context);
                }
            }
        }
        context.again(LOCAL);
    }

    fn admit(&mut self, connection: ::io::Connection, door: Door, context: &mut Context<'_>) {
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
            incoming.refuse(Refusal::Full, "there are as many connections as may be".into(), &mut self.hall);
            // It is told as far as its socket takes that at once, and counts no further.
            let _ = incoming.flush(&mut self.hall, context);
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
            if !self.incoming.contains_key(&SocketId(self.last_socket)) {
                return SocketId(self.last_socket);
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
        self.local.as_ref().map_or(Ok(()), |local| context.watch(&local.listener, LOCAL))
    }

    fn speaks_for(&self) -> Vec<RangeInclusive<NodeId>> {
        vec![NodeId(FIRST_CLIENT)..=NodeId(LAST_CLIENT)]
    }

    fn ready(&mut self, socket: SocketId, readiness: Readiness, context: &mut Context<'_>) {
        match socket {
            LOCAL => self.accept(context),
            _ => self.with(socket, context, |one, hall, context| one.on_ready(readiness, hall, context)),
        }
    }

    /// Nobody speaks to the gateway itself.
    fn message(&mut self, _from: NodeId, _message: Message, _context: &mut Context<'_>) {}

    fn relay(&mut self, from: NodeId, to: NodeId, message: Message, context: &mut Context<'_>) {
        let Some(number) = to.0.checked_sub(FIRST_CLIENT) else { return };
        self.with(SocketId(number), context, |one, hall, _| {
            one.on_message(from, &message, hall);
            Ok(())
        });
    }

    fn timer(&mut self, _timer: TimerId, context: &mut Context<'_>) {
        self.ticking = false;
        if std::mem::take(&mut self.accept_again) {
            self.accept(context);
        }
        self.drop_late(context);
        self.hall.log_turned_away();
        let ids: Vec<SocketId> = self.incoming.keys().copied().collect();
        for id in ids {
            self.with(id, context, |one, hall, context| {
                one.expire(hall, context.now());
                Ok(())
            });
        }
        if !self.incoming.is_empty() {
            self.tick(context);
        }
    }

    fn turn_end(&mut self, context: &mut Context<'_>) {
        self.flush_touched(context);
        self.give_room(context);
        if self.hall.stopping && self.incoming.is_empty() {
            context.finish();
        }
    }

    /// Requests that were taken are answered; nothing more is taken.
    fn stop(&mut self, context: &mut Context<'_>) {
        self.hall.stopping = true;
        self.local = None;
        let ids: Vec<SocketId> = self.incoming.keys().copied().collect();
        ids.into_iter().for_each(|id| self.with(id, context, |_, _, _| Ok(())));
    }
}
