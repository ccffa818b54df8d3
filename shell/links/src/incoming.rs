//! A connection that was accepted: a stranger, then a client or another server.

use std::net::SocketAddr;

use ::io::{Context, Readiness, Received, SocketId};
use certificates::CertificateError;
use formats::Message;
use formats::frame::Unknown;
use formats::hello::{Hello, Refusal};
use formats::message::admin::{AdminAnswer, AdminReply};
use formats::message::kv::{KvAnswer, KvError, KvReply};
use glossary::{NodeId, ServerId};
use rustls::pki_types::CertificateDer;
use step::Timestamp;

use crate::audit::Entry;
use crate::elsewhere::{no_kv_here, on_frame_of_server};
use crate::hall::Hall;
use crate::local;
use crate::pipe::{Frame, Pipe, PipeError};
use crate::requests::{Request, Requests};
use crate::rights::{Peer, kind};
use crate::stream::Stream;
use crate::{trail, trust};

/// From so many bytes on a frame needs room before it is received.
const LONG: usize = 64 * 1024;

/// Receives of one turn, before others have theirs.
const RECEIVES_MAX: usize = 8;

/// The first node id of clients of a process: behind all servers.
pub(crate) const FIRST_CLIENT: u32 = ((ServerId::MAX.0 as u32) + 1) << 16;

/// The last.
pub(crate) const LAST_CLIENT: u32 = 0xefff_ffff;

/// Why a connection is dropped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Pipe(#[from] PipeError),
    #[error("it sends a frame of {0} bytes, and {1} is the most")]
    TooLong(usize, usize),
    #[error("it sends for node {0}, which is not its own")]
    NotItsNode(NodeId),
    #[error("it speaks to node {0}, which is not for it; the KV here is {1}")]
    NotForOutside(NodeId, NodeId),
    #[error("it sends {0}, which it may not")]
    NotAllowed(&'static str),
    #[error("it says that it is server {0}, and its certificate does not")]
    NotThatServer(ServerId),
    #[error("its certificate is not accepted: {0}")]
    Certificate(#[from] CertificateError),
}

/// Through which door it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The unix socket.
    Local,
    /// TCP, from this address.
    Tcp(SocketAddr),
}

impl Door {
    fn name(self) -> String {
        match self {
            Door::Local => crate::LOCAL_SOCKET.to_owned(),
            Door::Tcp(address) => address.to_string(),
        }
    }
}

/// A connection.
pub(crate) struct Incoming {
    pub(crate) id: SocketId,
    /// Who it is among nodes, where it is a client.
    node: NodeId,
    door: Door,
    pipe: Pipe,
    /// Who it is; `None` until it has said hello.
    peer: Option<Peer>,
    pub(crate) since: Timestamp,
    requests: Requests,
    /// Room that is held for the frame that is coming.
    reserved: usize,
    /// When a byte of it last came.
    moved: Timestamp,
    /// Something is left to do that has to wait: for answers, for the peer to take them, or for room.
    blocked: bool,
    /// The peer sends nothing more.
    ended: bool,
    /// It was refused: it ends when it has been told.
    refused: bool,
    /// It asked for something that it may not.
    was_refused: bool,
    /// Messages that this program doesn't know.
    unknown: u64,
    pub(crate) touched: bool,
}

impl Incoming {
    pub(crate) fn new(id: SocketId, stream: Stream, door: Door, now: Timestamp) -> Self {
        Incoming {
            id,
            node: NodeId(FIRST_CLIENT + id.0),
            door,
            pipe: Pipe::new(stream),
            peer: None,
            since: now,
            requests: Requests::default(),
            reserved: 0,
            moved: now,
            blocked: false,
            ended: false,
            refused: false,
            was_refused: false,
            unknown: 0,
            touched: false,
        }
    }

    /// Whether it has not said who it is.
    pub(crate) fn is_stranger(&self) -> bool {
        self.peer.is_none()
    }

    /// Its name, for logs.
    pub(crate) fn name(&self) -> &str {
        self.peer.as_ref().map_or("a stranger", |peer| &peer.name)
    }

    /// Its socket told something.
    pub(crate) fn on_ready(
        &mut self,
        readiness: Readiness,
        hall: &mut Hall,
        context: &mut Context<'_>,
    ) -> Result<(), Broken> {
        self.pipe.on_ready(readiness);
        self.serve(hall, context)
    }

    /// Takes in what is there, as far as there is room for it.
    fn serve(&mut self, hall: &mut Hall, context: &mut Context<'_>) -> Result<(), Broken> {
        for _ in 0..RECEIVES_MAX {
            self.take_hello(hall)?;
            if !self.take_frames(hall, context)? || !self.make_room(hall)? {
                self.blocked = true;
                return Ok(());
            }
            if self.ended || self.refused {
                return Ok(());
            }
            match self.pipe.receive()? {
                Received::Some(_) => self.moved = context.now(),
                Received::All(0) => return Ok(()),
                Received::All(_) => self.moved = context.now(),
                Received::End => self.ended = true,
            }
        }
        context.again(self.id);
        Ok(())
    }

    fn take_hello(&mut self, hall: &mut Hall) -> Result<(), Broken> {
        if self.peer.is_some() || self.refused {
            return Ok(());
        }
        let Some(theirs) = self.pipe.hello()? else { return Ok(()) };
        let peer = match (self.door, &hall.trust) {
            (Door::Tcp(_), Some(trust)) => {
                trust::peer(trust.current().peer(&self.pipe.chain())?, theirs.server.is_some())
            }
            _ => local::peer(&self.pipe),
        };
        if let Some(server) = theirs.server
            && peer.server != Some(server)
        {
            return Err(Broken::NotThatServer(server));
        }
        let ours = hall.settings.hello();
        let refusal = match ours.agree(&theirs) {
            Err(error) => Some((error.refusal(), error.to_string())),
            Ok(_) if !peer.rights.any() => {
                Some((Some(Refusal::NotAllowed), "its roles allow nothing here".into()))
            }
            Ok(_) => None,
        };
        match refusal {
            Some((refusal, why)) => self.refuse(refusal.unwrap_or(Refusal::NotAllowed), why, hall)?,
            None => {
                self.pipe.greet(&ours)?;
                self.peer = Some(peer);
            }
        }
        Ok(())
    }

    /// Tells it that there is nothing for it here; it ends when it has been told.
    pub(crate) fn refuse(&mut self, refusal: Refusal, why: String, hall: &mut Hall) -> Result<(), Broken> {
        self.pipe.greet(&Hello { refusal: Some(refusal), ..hall.settings.hello() })?;
        self.refused = true;
        hall.note_turned_away(why);
        Ok(())
    }

    /// Gives on the frames that are whole; whether more may be received.
    fn take_frames(&mut self, hall: &mut Hall, context: &mut Context<'_>) -> Result<bool, Broken> {
        while self.peer.is_some() && !self.refused {
            if !self.may_take(hall) {
                return Ok(false);
            }
            let Some(frame) = self.pipe.next()? else { return Ok(true) };
            // What was held for it goes over to the request.
            hall.budget.give(std::mem::take(&mut self.reserved));
            self.on_frame(frame, hall, context)?;
        }
        Ok(true)
    }

    /// Whether another request may be taken; asks to be told when there is room.
    fn may_take(&self, hall: &mut Hall) -> bool {
        let bounds = &hall.settings.bounds;
        let has_own_room =
            self.requests.len() < bounds.in_flight_max && self.pipe.unsent() < bounds.unsent_max;
        if has_own_room && self.reserved == 0 && !hall.budget.has_room() {
            hall.wait(self.id);
            return false;
        }
        has_own_room && !hall.stopping
    }

    /// Takes room for the rest of a long frame; whether it may come.
    fn make_room(&mut self, hall: &mut Hall) -> Result<bool, Broken> {
        let wanted = self.pipe.wanted();
        let bounds = &hall.settings.bounds;
        let longest = self.peer.as_ref().map_or(bounds.frame_bytes_max, |peer| peer.frame_bytes_max(bounds));
        if wanted > longest {
            return Err(Broken::TooLong(wanted, longest));
        }
        if wanted <= LONG || self.reserved > 0 {
            return Ok(true);
        }
        if !hall.budget.take(wanted) {
            hall.wait(self.id);
            return Ok(false);
        }
        self.reserved = wanted;
        Ok(true)
    }

    fn on_frame(&mut self, frame: Frame, hall: &mut Hall, context: &mut Context<'_>) -> Result<(), Broken> {
        let Some(peer) = &self.peer else { return Ok(()) };
        let Frame { from, to, message, bytes } = frame;
        let message = match message {
            Ok(message) => message,
            Err(unknown) => return self.on_unknown(unknown, hall),
        };
        if !peer.may_send(&message) {
            return self.refuse_frame(&message, hall);
        }
        if let Some(server) = peer.server {
            return on_frame_of_server((server, peer), from, to, message, hall, context);
        }
        if to != hall.settings.kv {
            return Err(Broken::NotForOutside(to, hall.settings.kv));
        }
        if !hall.settings.runs_kv {
            let answer = no_kv_here(&message, hall.settings.server);
            return answer.map_or(Ok(()), |answer| Ok(self.pipe.send(to, self.node, &answer)?));
        }
        let verb = trail::asked(&message);
        let number = message.request();
        if let Some(verb) = &verb
            && !self.log(number, verb, None, hall)
        {
            return self.answer_not_now(&message, hall);
        }
        hall.budget.note(bytes);
        if let Some(before) = self.requests.open(number, Request { bytes, since: context.now(), verb }) {
            hall.budget.give(before.bytes);
        }
        context.send_from(self.node, to, message);
        Ok(())
    }

    /// A newer program says something that this one doesn't know. That is dropped, and nothing else: who asked is told so, and
    /// a server goes on with what both know. It is logged once, as it may come again and again until this one is upgraded.
    fn on_unknown(&mut self, unknown: Unknown, hall: &Hall) -> Result<(), Broken> {
        self.unknown += 1;
        if self.unknown == 1 {
            let who = self.name();
            tracing::warn!(
                who,
                "a newer program sends what this one doesn't know, which is dropped: upgrade this server"
            );
        }
        let is_server = self.peer.as_ref().is_some_and(|peer| peer.server.is_some());
        match unknown.answer().filter(|_| !is_server) {
            Some(answer) => Ok(self.pipe.send(hall.settings.kv, self.node, &answer)?),
            None => Ok(()),
        }
    }

    /// Does not let a frame in. Clients are told so and go on: who asks for too much has made a mistake, and what else
    /// he asked for is still to be answered.
    fn refuse_frame(&mut self, message: &Message, hall: &Hall) -> Result<(), Broken> {
        let answer = self.peer.as_ref().and_then(|peer| peer.refusal(message));
        let answer = answer.ok_or(Broken::NotAllowed(kind(message)))?;
        tracing::debug!(who = self.name(), request = message.request(), "{} is not allowed", kind(message));
        // The first of a connection: whoever may do nothing shall not fill the trail.
        if let Some(verb) = trail::asked(message).filter(|_| !std::mem::replace(&mut self.was_refused, true))
        {
            let _ = self.log(message.request(), &verb, Some("NotAllowed"), hall);
        }
        Ok(self.pipe.send(hall.settings.kv, self.node, &answer)?)
    }

    fn answer_not_now(&mut self, asked: &Message, hall: &Hall) -> Result<(), Broken> {
        let request = asked.request();
        let answer = match asked {
            Message::Admin(_) => {
                let why = "the audit trail can't be written now; nothing was done";
                Message::AdminReply(AdminReply { request, body: AdminAnswer::NotYet(why.into()) })
            }
            _ => Message::KvReply(KvReply { request, body: KvAnswer::Failed(KvError::Unavailable) }),
        };
        Ok(self.pipe.send(hall.settings.kv, self.node, &answer)?)
    }

    /// Writes a verb into the audit trail, or what came of it; whether that will be there.
    fn log(&self, request: u64, verb: &str, outcome: Option<&str>, hall: &Hall) -> bool {
        let (who, door) = (self.name(), &self.door.name());
        hall.audit.log(&Entry { who, door, request, verb, outcome })
    }

    /// A node answers it. The answer is dropped where it doesn't take those before it: it asks again.
    pub(crate) fn on_message(
        &mut self,
        from: NodeId,
        message: &Message,
        hall: &mut Hall,
    ) -> Result<(), Broken> {
        if !matches!(message, Message::KvReply(_) | Message::AdminReply(_)) {
            return Ok(());
        }
        let number = message.request();
        let request = self.requests.close(number);
        if let Some(request) = &request {
            hall.budget.give(request.bytes);
        }
        if let (Some(Request { verb: Some(verb), .. }), Some(outcome)) = (&request, trail::answered(message))
            && !self.log(number, verb, Some(&outcome), hall)
        {
            tracing::error!(who = self.name(), verb, outcome, "not in the audit trail");
        }
        if self.pipe.unsent() < hall.settings.bounds.unsent_hard_max {
            self.pipe.send(from, self.node, message)?;
        }
        Ok(())
    }

    /// What the peer showed, once it has said who it is; none within this machine.
    pub(crate) fn chain(&self) -> Option<Vec<CertificateDer<'static>>> {
        let is_known = self.peer.is_some() && matches!(self.door, Door::Tcp(_));
        is_known.then(|| self.pipe.chain())
    }

    /// Sends what is to be sent. `Ok(true)`: nothing is left to be done with it, ever.
    pub(crate) fn flush(&mut self, hall: &mut Hall, context: &mut Context<'_>) -> Result<bool, Broken> {
        let is_all = self.pipe.flush()?;
        let is_over = self.refused || ((self.ended || hall.stopping) && self.requests.len() == 0);
        if is_all && is_over && !self.blocked {
            return Ok(true);
        }
        let bounds = &hall.settings.bounds;
        let has_own_room =
            self.requests.len() < bounds.in_flight_max && self.pipe.unsent() < bounds.unsent_max;
        if self.blocked && has_own_room && !hall.stopping && !hall.waiting.contains(&self.id) {
            self.blocked = false;
            context.again(self.id);
        }
        Ok(is_all && is_over && hall.stopping)
    }

    /// There is room again: it is its turn.
    pub(crate) fn on_room(&mut self, context: &mut Context<'_>) {
        self.blocked = false;
        context.again(self.id);
    }

    /// Whether it takes too long: to say who it is, or with a long request that others wait for.
    pub(crate) fn is_late(&self, hall: &Hall, now: Timestamp) -> bool {
        let bounds = &hall.settings.bounds;
        let says_nothing = self.is_stranger() && now.since(self.since) > bounds.hello_max;
        let is_stalled = self.reserved > 0 && now.since(self.moved) > bounds.stall_max;
        says_nothing || is_stalled
    }

    /// Forgets requests that are never answered.
    pub(crate) fn expire(&mut self, hall: &mut Hall, now: Timestamp) {
        for gone in self.requests.expire(now, hall.settings.bounds.answer_max) {
            hall.budget.give(gone.bytes);
        }
    }

    /// It is gone: what was held for it is free.
    pub(crate) fn abandon(&mut self, hall: &mut Hall) {
        if self.unknown > 1 {
            tracing::warn!(
                who = self.name(),
                dropped = self.unknown,
                "messages of a newer program were dropped"
            );
        }
        hall.budget.give(std::mem::take(&mut self.reserved));
        self.requests.drain().into_iter().for_each(|request| hall.budget.give(request.bytes));
        hall.waiting.retain(|waiting| *waiting != self.id);
    }
}
