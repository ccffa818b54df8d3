//! The session: both phases, and what they have in common.

use bytes::{Buf, Bytes};

use crate::export::{Export, Listing};
use crate::handshake::Handshake;
use crate::item::{Fatal, Item, Refusal};
use crate::reply::Replies;
use crate::settings::Settings;
use crate::transmission::Transmission;

/// One client's connection, as a pure machine. It holds no bytes of the client but the name of an
/// export, so its size has a bound whatever the client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    limits: Limits,
    phase: Phase,
    skip: Option<Skip>,
    fatal: Option<Fatal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Handshake(Handshake),
    Transmission(Transmission),
}

/// Bytes of a refused message that are still to come, and the reply to send behind the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Skip {
    left: usize,
    reply: Bytes,
}

/// What both phases go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) settings: Settings,
    pub(crate) shutting_down: bool,
}

/// What a phase does with the front of the input.
pub(crate) enum Step {
    /// Nothing yet: it needs more bytes, or an answer.
    Wait,
    /// It went one state further.
    Again,
    Give(Item),
    /// Throw `length` bytes away, then send `reply`.
    Skip {
        length: u32,
        reply: Bytes,
    },
}

impl Session {
    /// A session with a client that has just connected.
    ///
    /// # Panics
    /// When the settings contradict each other.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        settings.assert_valid();
        Self {
            limits: Limits { settings, shutting_down: false },
            phase: Phase::Handshake(Handshake::new()),
            skip: None,
            fatal: None,
        }
    }

    /// How many contiguous bytes [`Session::next`] needs in order to get further. 0 means that it
    /// does not wait for bytes: it has something to give at once (the greeting, a farewell), or waits
    /// for the answer to a question. Behind an [`Item::PayloadAhead`] this is the payload's length, so
    /// that a driver allocates once. Never more than the larger of [`Settings::payload_bytes_max`]
    /// and [`Settings::option_bytes_max`].
    #[must_use]
    pub fn wants(&self) -> usize {
        if self.fatal.is_some() {
            return 0;
        }
        match (&self.skip, &self.phase) {
            (Some(skip), _) => skip.left.min(1),
            (None, Phase::Handshake(handshake)) => handshake.wants(),
            (None, Phase::Transmission(transmission)) => transmission.wants(),
        }
    }

    /// The next thing to do. Takes what it understood off the front of `input`, the bytes that the
    /// client sent and that no earlier call took. `None`: it needs [`Session::wants`] bytes, or the
    /// answer to a question; until that is given nothing is taken.
    ///
    /// # Errors
    /// [`Fatal`]: close the connection. This and [`Item::Disconnect`] repeat for ever.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Item>, Fatal> {
        if let Some(fatal) = &self.fatal {
            return Err(fatal.clone());
        }
        loop {
            if let Some(reply) = self.take_skipped(input) {
                return Ok(reply.map(Item::Send));
            }
            let step = match &mut self.phase {
                Phase::Handshake(handshake) => handshake.step(&self.limits, input),
                Phase::Transmission(transmission) => transmission.step(&self.limits, input),
            };
            match step.inspect_err(|fatal| self.fatal = Some(fatal.clone()))? {
                Step::Wait => return Ok(None),
                Step::Again => {}
                Step::Give(item) => return Ok(Some(item)),
                Step::Skip { length, reply } => self.skip = Some(Skip { left: length as usize, reply }),
            }
        }
    }

    /// Answers [`Item::ListExports`]; send what is returned.
    ///
    /// # Panics
    /// When that was not asked, or a string is longer than 4096 bytes or has a NUL.
    #[must_use = "the client waits for these bytes"]
    pub fn provide_exports(&mut self, exports: Result<&[Listing<'_>], Refusal>) -> Bytes {
        match &mut self.phase {
            Phase::Handshake(handshake) => handshake.on_exports(exports),
            Phase::Transmission(_) => panic!("nobody asked for a list of exports"),
        }
    }

    /// Answers [`Item::FindExport`]; send what is returned. After a positive answer to
    /// [`crate::Purpose::Attach`] the transmission phase has begun.
    ///
    /// # Errors
    /// [`Fatal::ExportRefused`] when the client asked in the old way, which knows no error reply.
    ///
    /// # Panics
    /// When that was not asked, or the export cannot be put on the wire: a string is longer than 4096
    /// bytes or has a NUL, the preferred block size is above the maximum.
    pub fn provide_export(&mut self, export: Result<Export, Refusal>) -> Result<Bytes, Fatal> {
        let Phase::Handshake(handshake) = &mut self.phase else {
            panic!("nobody asked for an export");
        };
        let answered = handshake.on_export(&self.limits, export);
        let (reply, transmission) = answered.inspect_err(|fatal| self.fatal = Some(fatal.clone()))?;
        if let Some(transmission) = transmission {
            self.phase = Phase::Transmission(transmission);
        }
        Ok(reply)
    }

    /// From here on the session refuses all that comes, saying that the server goes away. A write
    /// whose payload is awaited still comes as a request.
    pub fn shut_down(&mut self) {
        self.limits.shutting_down = true;
    }

    /// The export that this session is attached to, in the transmission phase.
    #[must_use]
    pub fn export(&self) -> Option<&Export> {
        match &self.phase {
            Phase::Handshake(_) => None,
            Phase::Transmission(transmission) => Some(transmission.export()),
        }
    }

    /// The encoder of replies to requests. It does not change during the transmission phase, so take
    /// a copy along with each request.
    #[must_use]
    pub fn replies(&self) -> Replies {
        Replies::new(match &self.phase {
            Phase::Handshake(handshake) => handshake.structured(),
            Phase::Transmission(transmission) => transmission.structured(),
        })
    }

    /// Throws away what is to be skipped. Some(None): more of it is to come. None: nothing to skip.
    fn take_skipped(&mut self, input: &mut Bytes) -> Option<Option<Bytes>> {
        let skip = self.skip.as_mut()?;
        let here = skip.left.min(input.len());
        input.advance(here);
        skip.left -= here;
        if skip.left > 0 {
            return Some(None);
        }
        Some(self.skip.take().map(|skip| skip.reply))
    }
}
