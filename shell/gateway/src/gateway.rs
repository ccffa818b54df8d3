//! The gateway: listeners, connections, and the turn of the shard.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use ::io::{Context, Gateway, Listener, Readiness, SocketId};
use formats::Message;
use glossary::NodeId;
use step::TimerId;

use crate::client::{Broken, Client};
use crate::hall::Hall;
use crate::monitor::Monitor;
use crate::settings::Settings;

/// The one timer: it runs while a client is in its handshake, waits for memory, or could not be accepted.
const TICK: TimerId = TimerId(1);

/// The listener's number; connections have higher ones.
const LISTENER: SocketId = SocketId(0);

/// How often late and stalled clients are looked for.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// Serves NBD on its listeners.
pub struct Nbd {
    /// `None` once it stops.
    listener: Option<Listener>,
    clients: BTreeMap<SocketId, Client>,
    hall: Hall,
    /// Clients to be flushed when the turn ends.
    touched: Vec<SocketId>,
    last_socket: SocketId,
    ticking: bool,
    /// The machine had no room for a connection: the listener is to be looked at again.
    accept_again: bool,
}

impl Nbd {
    /// A gateway that will serve on this listener. Whether it is bound beyond loopback is its owner's business.
    ///
    /// # Errors
    /// When the listener can't be made non-blocking.
    ///
    /// # Panics
    /// When the settings contradict each other.
    pub fn new(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        settings.assert_valid();
        Ok(Nbd {
            listener: Some(Listener::tcp(listener)?),
            clients: BTreeMap::new(),
            hall: Hall::new(settings),
            touched: Vec::new(),
            last_socket: LISTENER,
            ticking: false,
            accept_again: false,
        })
    }

    /// A view of it for other threads.
    pub fn monitor(&self) -> Monitor {
        self.hall.monitor.clone()
    }

    fn accept(&mut self, context: &mut Context<'_>) {
        loop {
            match self.listener.as_ref().map(Listener::accept) {
                None | Some(Ok(None)) => return,
                Some(Ok(Some(connection))) if self.clients.len() >= self.hall.settings.connections_max => {
                    tracing::warn!(at_most = self.clients.len(), "an NBD client too many is disconnected");
                    self.hall.monitor.note_refused();
                    drop(connection);
                }
                Some(Ok(Some(connection))) => {
                    // After four billion connections numbers come again; nobody waits for events of the first.
                    let id = SocketId(self.last_socket.0.checked_add(1).unwrap_or(LISTENER.0 + 1));
                    self.last_socket = id;
                    if let Err(error) = context.watch(&connection, id) {
                        tracing::warn!(%error, "an NBD client can't be watched and is disconnected");
                        continue;
                    }
                    let client = Client::new(id, connection, &self.hall, context.now());
                    self.clients.insert(id, client);
                    self.with(id, context, Client::serve);
                    self.tick(context);
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "an NBD client can't be accepted now");
                    self.accept_again = true;
                    self.tick(context);
                    return;
                }
            }
        }
    }

    /// Does something with a client; it is flushed when the turn ends. A broken one is dropped.
    fn with(
        &mut self,
        id: SocketId,
        context: &mut Context<'_>,
        act: impl FnOnce(&mut Client, &mut Hall, &mut Context<'_>) -> Result<(), Broken>,
    ) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        match act(client, &mut self.hall, context) {
            Ok(()) if client.touched => {}
            Ok(()) => {
                client.touched = true;
                self.touched.push(id);
            }
            Err(Broken) => self.drop_client(id),
        }
    }

    fn drop_client(&mut self, id: SocketId) {
        if let Some(mut client) = self.clients.remove(&id) {
            client.abandon(&mut self.hall);
        }
    }

    /// Sends what is to be sent; each connection's in one call.
    fn flush_touched(&mut self, context: &mut Context<'_>) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            client.touched = false;
            match client.flush(&mut self.hall, context.now()) {
                Ok(false) if client.has_more() && client.may_take(&self.hall) => context.again(id),
                Ok(false) => {}
                Ok(true) | Err(Broken) => self.drop_client(id),
            }
        }
        self.touched = touched;
    }

    /// Lets those go on who waited for memory that is free now.
    fn grant_permits(&mut self, context: &mut Context<'_>) {
        while let Some(id) = self.hall.permits.next() {
            self.with(id, context, Client::on_permit);
        }
    }

    fn tick(&mut self, context: &mut Context<'_>) {
        if !self.ticking {
            self.ticking = true;
            context.set_timer(TICK, TICK_EVERY.min(self.hall.settings.handshake_max));
        }
    }

    fn drop_late_and_stalled(&mut self, context: &mut Context<'_>) {
        let (hall, now) = (&self.hall, context.now());
        let unwelcome = |client: &&Client| client.is_late(hall, now) || client.is_stalled(hall, now);
        let ids: Vec<SocketId> = self.clients.values().filter(unwelcome).map(|client| client.id).collect();
        for id in ids {
            tracing::warn!(connection = id.0, "an NBD client that holds up others is disconnected");
            self.hall.monitor.note_refused();
            self.drop_client(id);
        }
    }
}

impl Gateway for Nbd {
    fn start(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.listener.as_ref().map_or(Ok(()), |listener| context.watch(listener, LISTENER))
    }

    fn ready(&mut self, socket: SocketId, readiness: Readiness, context: &mut Context<'_>) {
        if socket == LISTENER {
            self.accept(context);
        } else {
            self.with(socket, context, |client, hall, context| client.on_ready(readiness, hall, context));
        }
    }

    fn message(&mut self, _from: NodeId, message: Message, context: &mut Context<'_>) {
        let Message::GuestReply(reply) = message else { return };
        let Some(request) = self.hall.requests.close(reply.request) else { return };
        if self.clients.contains_key(&request.client) {
            self.with(request.client, context, |client, hall, context| {
                client.on_answer(request, reply.body, hall, context);
                Ok(())
            });
        } else {
            self.hall.permits.release(request.cost);
        }
    }

    fn timer(&mut self, _timer: TimerId, context: &mut Context<'_>) {
        self.ticking = false;
        if std::mem::take(&mut self.accept_again) {
            self.accept(context);
        }
        self.drop_late_and_stalled(context);
        if self.clients.values().any(|client| client.vdisk.is_none()) {
            self.tick(context);
        }
    }

    fn turn_end(&mut self, context: &mut Context<'_>) {
        self.flush_touched(context);
        self.grant_permits(context);
        self.flush_touched(context);
        if self.hall.permits.someone_waits() {
            self.tick(context);
        }
        self.hall.monitor.note(self.clients.len(), self.hall.permits.used());
        if self.hall.stopping && self.clients.is_empty() {
            context.finish();
        }
    }

    /// Clients that wait for answers get them; what they send now is refused, and they are closed.
    fn stop(&mut self, context: &mut Context<'_>) {
        self.hall.stopping = true;
        self.listener = None;
        let ids: Vec<SocketId> = self.clients.keys().copied().collect();
        for id in ids {
            self.with(id, context, |client, hall, _| {
                client.shut_down(hall);
                Ok(())
            });
        }
    }
}
