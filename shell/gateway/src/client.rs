//! One connection: a session of the protocol, and how far it may go on.

use bytes::Bytes;
use glossary::VdiskId;
use io::{Connection, Context, Readiness, Received, SocketId};
use nbd::{Command, Errno, Item, Session};
use step::Timestamp;

use crate::hall::Hall;
use crate::outgoing::Outgoing;
use crate::permits::{cost_of, cost_of_write};
use crate::requests::{Kind, Request};

/// While so many bytes are not sent, no further request is taken: who doesn't read isn't listened to.
pub(crate) const UNSENT_MAX: usize = 256 << 10;

/// What clients are told when the gateway stops.
pub(crate) const SHUTTING_DOWN: &str = "the server is shutting down";

/// The connection is broken.
#[derive(Debug)]
pub(crate) struct Broken;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: SocketId,
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    pub(crate) vdisk: Option<VdiskId>,
    pub(crate) outgoing: Outgoing,
    /// Requests to the Edge that are not answered.
    pub(crate) in_flight: usize,
    /// Input that was taken off the connection and is not understood yet.
    unread: Bytes,
    /// The session waits for the answer to a question of the handshake.
    pub(crate) asking: bool,
    /// What can't go on before it has a permit.
    waiting: Option<Waiting>,
    /// The permit for the payload that comes next.
    ahead: Option<u64>,
    /// Bytes since the last payload of a write.
    gap: u64,
    /// Nothing more is taken from this client; it is closed when it has its answers.
    pub(crate) ending: bool,
    since: Timestamp,
    /// When it last took or gave a byte.
    progress: Timestamp,
    /// Something is to be sent or looked at when the turn ends.
    pub(crate) touched: bool,
}

/// What waits for a permit.
#[derive(Debug)]
enum Waiting {
    /// The payload of a write.
    Payload(u64),
    Request(nbd::Request, u64),
}

impl Client {
    pub(crate) fn new(id: SocketId, connection: Connection, hall: &Hall, now: Timestamp) -> Self {
        Client {
            id,
            connection,
            session: Session::new(hall.settings.nbd),
            vdisk: None,
            outgoing: Outgoing::default(),
            in_flight: 0,
            unread: Bytes::new(),
            asking: false,
            waiting: None,
            ahead: None,
            gap: 0,
            ending: false,
            since: now,
            progress: now,
            touched: false,
        }
    }

    /// Its socket became ready.
    pub(crate) fn on_ready(
        &mut self,
        readiness: Readiness,
        hall: &mut Hall,
        context: &mut Context<'_>,
    ) -> Result<(), Broken> {
        self.connection.on_ready(readiness);
        self.serve(hall, context)
    }

    /// Understands what came in, receives once, and understands that too.
    pub(crate) fn serve(&mut self, hall: &mut Hall, context: &mut Context<'_>) -> Result<(), Broken> {
        self.parse(hall, context);
        if !self.may_take(hall) {
            return Ok(());
        }
        if !self.unread.is_empty() {
            self.connection.put_back(std::mem::take(&mut self.unread));
        }
        match self.connection.receive(self.session.wants()).map_err(|_| Broken)? {
            Received::All(0) => {}
            // Where there may be more, others have their turn first.
            Received::Some(_) | Received::All(_) => self.progress = context.now(),
            Received::End => self.ending = true,
        }
        self.parse(hall, context);
        Ok(())
    }

    /// The permit that it waited for is there.
    pub(crate) fn on_permit(&mut self, hall: &mut Hall, context: &mut Context<'_>) -> Result<(), Broken> {
        match self.waiting.take().expect("who gets a permit waits for one") {
            Waiting::Payload(cost) => self.ahead = Some(cost),
            Waiting::Request(request, cost) => self.carry_out(request, cost, hall, context),
        }
        self.progress = context.now();
        self.serve(hall, context)
    }

    /// Whether it may take a further step: nothing holds it back.
    pub(crate) fn may_take(&self, hall: &Hall) -> bool {
        !self.ending
            && !self.asking
            && self.waiting.is_none()
            && self.in_flight < hall.settings.in_flight_max
            && self.connection.unsent() < UNSENT_MAX
    }

    /// Whether there may be input that it could go on with.
    pub(crate) fn has_more(&self) -> bool {
        self.connection.is_readable() || self.unread.len() >= self.session.wants().max(1)
    }

    fn parse(&mut self, hall: &mut Hall, context: &mut Context<'_>) {
        if !self.may_take(hall) || self.unread.len() + self.connection.received() < self.session.wants() {
            return;
        }
        if self.unread.is_empty() {
            self.unread = self.connection.take_input();
        }
        while self.may_take(hall) {
            let before = self.unread.len();
            let item = self.session.next(&mut self.unread);
            self.gap += (before - self.unread.len()) as u64;
            match item {
                Ok(None) => return,
                Ok(Some(item)) => self.on_item(item, hall, context),
                Err(fatal) => {
                    tracing::info!(connection = self.id.0, %fatal, "an NBD client is disconnected");
                    self.ending = true;
                }
            }
        }
    }

    fn on_item(&mut self, item: Item, hall: &mut Hall, context: &mut Context<'_>) {
        match item {
            Item::Send(bytes) => self.send(|connection| connection.head().extend_from_slice(&bytes)),
            Item::ListExports => self.ask_list(Kind::List, hall, context),
            Item::FindExport { name, purpose } => self.ask_export(name, purpose, hall, context),
            Item::PayloadAhead { length } => {
                let cost = cost_of_write(length, self.gap);
                if hall.permits.take(self.id, cost) {
                    self.ahead = Some(cost);
                } else {
                    self.waiting = Some(Waiting::Payload(cost));
                }
            }
            Item::Request(request) => self.on_request(request, hall, context),
            Item::Disconnect => self.ending = true,
        }
    }

    fn on_request(&mut self, mut request: nbd::Request, hall: &mut Hall, context: &mut Context<'_>) {
        if let Command::Write { data, .. } = &mut request.command {
            let gap = std::mem::take(&mut self.gap) - data.len() as u64;
            if (data.len() as u64) < gap {
                // It would keep a buffer alive of which most is something else.
                *data = Bytes::copy_from_slice(data);
            }
            let cost = self.ahead.take().expect("a payload is received with a permit");
            return self.carry_out(request, cost, hall, context);
        }
        let cost = cost_of(&request.command);
        if cost > 0 && !hall.permits.take(self.id, cost) {
            self.waiting = Some(Waiting::Request(request, cost));
            return;
        }
        self.carry_out(request, cost, hall, context);
    }

    /// Asks the Edge on behalf of this client.
    pub(crate) fn ask(
        &mut self,
        kind: Kind,
        cost: u64,
        body: formats::message::guest::GuestBody,
        hall: &mut Hall,
        context: &mut Context<'_>,
    ) {
        self.in_flight += 1;
        hall.ask(Request { client: self.id, kind, cost }, body, context);
    }

    /// Queues an answer that no permit is held for.
    pub(crate) fn send(&mut self, answer: impl FnOnce(&mut Connection)) {
        self.outgoing.queue(&mut self.connection, 0, answer);
    }

    /// Sends what is queued, and gives permits back for what was sent. Whether the client is done with.
    pub(crate) fn flush(&mut self, hall: &mut Hall, now: Timestamp) -> Result<bool, Broken> {
        let all = self.connection.flush().map_err(|_| Broken)?;
        let (moved, released) = self.outgoing.sent(&self.connection);
        hall.permits.release(released);
        if moved {
            self.progress = now;
        }
        if self.waiting.is_some() {
            let is_deaf = self.connection.unsent() >= UNSENT_MAX;
            if is_deaf { hall.permits.park(self.id) } else { hall.permits.unpark(self.id) }
        }
        Ok(all && self.ending && self.in_flight == 0)
    }

    /// The gateway stops: nothing more is taken; what is under way is answered.
    pub(crate) fn shut_down(&mut self, hall: &mut Hall) {
        self.session.shut_down();
        self.ending = true;
        hall.permits.forget(self.id);
        if let Some(Waiting::Request(request, _)) = self.waiting.take() {
            self.refuse(request.cookie, Errno::Shutdown, SHUTTING_DOWN);
        }
    }

    /// Gives back all permits but those of requests under way, whose answers will.
    pub(crate) fn abandon(&mut self, hall: &mut Hall) {
        hall.permits.forget(self.id);
        let ahead = self.ahead.take().unwrap_or(0);
        hall.permits.release(ahead + self.outgoing.abandon());
    }

    /// Whether it has not attached in time.
    pub(crate) fn is_late(&self, hall: &Hall, now: Timestamp) -> bool {
        self.vdisk.is_none() && now.since(self.since) >= hall.settings.handshake_max
    }

    /// Whether it holds memory that others wait for, and does nothing to free it.
    pub(crate) fn is_stalled(&self, hall: &Hall, now: Timestamp) -> bool {
        let holds = self.ahead.is_some() || self.connection.unsent() > 0;
        holds && hall.permits.someone_waits() && now.since(self.progress) >= hall.settings.stall_max
    }
}
