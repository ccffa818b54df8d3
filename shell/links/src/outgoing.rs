//! The link to another server: dialled when there is something to say, and again when it broke.
//!
//! Each of two servers dials the other and sends through what it dialled, so that there is one connection for each
//! direction: none has to be chosen where both dial at once, and order is kept by the one stream there is.

use std::net::SocketAddr;
use std::time::Duration;

use ::io::{Context, Readiness, Received, SocketId};
use bytes::Bytes;
use certificates::server_name;
use formats::Message;
use formats::frame;
use glossary::{NodeId, ServerId};
use rustls::pki_types::{CertificateDer, ServerName};
use step::{Entropy, Timestamp};

use crate::pipe::{Pipe, PipeError};
use crate::settings::Settings;
use crate::stream::Stream;
use crate::trust::Trust;

/// Why a link is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error(transparent)]
    Pipe(#[from] PipeError),
    #[error("its certificate is not accepted: {0}")]
    Certificate(#[from] certificates::CertificateError),
    #[error("who answers at {0} is {1}, not the server that should be there: correct its address")]
    AnotherServer(SocketAddr, String),
    #[error("it sends frames where it has only to take some")]
    Speaks,
    #[error("it closed the connection")]
    Ended,
    #[error("it took too long to say who it is")]
    Late,
    #[error("its address is another now")]
    Moved,
}

/// A link to a server.
pub(crate) struct Outgoing {
    pub(crate) server: ServerId,
    link: Option<Link>,
    /// Before that it is not dialled.
    not_before: Timestamp,
    /// Frames that wait until the server has said who it is, and their length.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    /// How long to wait after the next failure, before it is varied.
    patience: Duration,
    /// Why it failed the last time, so that what stays as it is is logged once.
    said: String,
    pub(crate) touched: bool,
}

/// A connection that was begun.
struct Link {
    id: SocketId,
    pipe: Pipe,
    address: SocketAddr,
    since: Timestamp,
    /// It has said who it is, and takes frames.
    open: bool,
}

impl Outgoing {
    pub(crate) fn new(server: ServerId, settings: &Settings) -> Self {
        Outgoing {
            server,
            link: None,
            not_before: Timestamp(0),
            waiting: Vec::new(),
            waiting_bytes: 0,
            patience: settings.bounds.redial.0,
            said: String::new(),
            touched: false,
        }
    }

    /// The number of its socket, where it has one.
    pub(crate) fn id(&self) -> Option<SocketId> {
        self.link.as_ref().map(|link| link.id)
    }

    /// Whether it takes frames.
    pub(crate) fn is_open(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.open)
    }

    /// Whether it may be dialled now.
    pub(crate) fn wants_dialling(&self, now: Timestamp) -> bool {
        self.link.is_none() && self.not_before <= now
    }

    /// Dials.
    pub(crate) fn dial(
        &mut self,
        id: SocketId,
        address: SocketAddr,
        trust: &Trust,
        settings: &Settings,
        context: &mut Context<'_>,
    ) -> Result<(), Lost> {
        let name = ServerName::try_from(server_name(settings.cluster)).map_err(std::io::Error::other);
        let stream = Stream::dialled(address, trust.current().client(), name.map_err(PipeError::from)?)?;
        // A kernel without it finds out later.
        let _ = stream.connection().break_when_dead(settings.bounds.dead_after);
        context.watch(&stream, id).map_err(PipeError::from)?;
        let mut pipe = Pipe::new(stream);
        pipe.greet(&settings.hello())?;
        self.link = Some(Link { id, pipe, address, since: context.now(), open: false });
        Ok(())
    }

    /// Takes a message; `false`: it is lost.
    pub(crate) fn send(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: &Message,
        settings: &Settings,
    ) -> Result<bool, Lost> {
        let limit = settings.bounds.link_bytes_max;
        let Some(link) = &mut self.link else { return Ok(false) };
        if link.pipe.unsent() + self.waiting_bytes >= limit {
            return Ok(false);
        }
        if link.open {
            link.pipe.send(from, to, message)?;
        } else {
            let frame = frame::encode(message, from, to);
            self.waiting_bytes += frame.iter().map(Bytes::len).sum::<usize>();
            self.waiting.extend(frame);
        }
        Ok(true)
    }

    /// Its socket told something.
    pub(crate) fn on_ready(
        &mut self,
        readiness: Readiness,
        trust: &Trust,
        settings: &Settings,
    ) -> Result<(), Lost> {
        let Some(link) = &mut self.link else { return Ok(()) };
        link.pipe.on_ready(readiness);
        loop {
            let received = link.pipe.receive()?;
            if !link.open && link.take_hello(self.server, trust, settings)? {
                self.patience = settings.bounds.redial.0;
                self.said.clear();
                self.waiting_bytes = 0;
                self.waiting.drain(..).try_for_each(|piece| link.pipe.push(piece))?;
                tracing::info!(server = %self.server, address = %link.address, "linked to a server");
            }
            if link.open && link.pipe.holds_input() {
                return Err(Lost::Speaks);
            }
            match received {
                Received::Some(_) => {}
                Received::All(_) => return Ok(()),
                Received::End => return Err(Lost::Ended),
            }
        }
    }

    /// Sends what the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), Lost> {
        self.link.as_mut().map_or(Ok(()), |link| link.pipe.flush().map(drop)).map_err(Lost::from)
    }

    /// Whether something is wrong with it that no event tells.
    pub(crate) fn check(
        &self,
        address: Option<SocketAddr>,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(), Lost> {
        match &self.link {
            Some(link) if Some(link.address) != address => Err(Lost::Moved),
            Some(link) if !link.open && now.since(link.since) > settings.bounds.hello_max => Err(Lost::Late),
            _ => Ok(()),
        }
    }

    /// What the server showed, while it is linked.
    pub(crate) fn chain(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.link.as_ref().filter(|link| link.open).map(|link| link.pipe.chain())
    }

    /// It is lost, with all that waited: it is dialled again, later each time and not in step with others.
    pub(crate) fn lose(&mut self, why: &Lost, settings: &Settings, now: Timestamp, entropy: &mut Entropy) {
        let was_open = self.is_open();
        (self.link, self.waiting_bytes) = (None, 0);
        self.waiting.clear();
        let half = self.patience / 2;
        let span = u64::try_from(self.patience.as_nanos()).unwrap_or(u64::MAX).max(1);
        let varied = half + Duration::from_nanos(entropy.below(span));
        self.not_before = now.after(varied);
        self.patience = (self.patience * 2).min(settings.bounds.redial.1);
        let text = why.to_string();
        if was_open || text != self.said {
            tracing::warn!(server = %self.server, "no link to a server: {text}; it is dialled again");
            self.said = text;
        }
    }
}

impl Link {
    /// Reads who it is, when that is whole; whether it was.
    fn take_hello(&mut self, server: ServerId, trust: &Trust, settings: &Settings) -> Result<bool, Lost> {
        let Some(theirs) = self.pipe.hello()? else { return Ok(false) };
        settings.hello().agree(&theirs).map_err(PipeError::from)?;
        let identity = trust.current().peer(&self.pipe.chain())?;
        if identity.server != Some(server) || theirs.server != Some(server) {
            return Err(Lost::AnotherServer(self.address, identity.name));
        }
        self.open = true;
        Ok(true)
    }
}
