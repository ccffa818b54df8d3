//! What the parts of an Edge share while they take a step.

use alloc::collections::BTreeMap;
use core::time::Duration;
use formats::message::edge::{EdgeBody, EdgeRequest};
use formats::message::guest::{GuestAnswer, GuestError, GuestReply};
use formats::{Effect, Message};
use glossary::{NodeId, SessionId, VdiskId, VdiskName};
use step::{Bug, Effects, Entropy, TimerId, Timestamp};

use crate::config::Config;
use crate::counters::{Counter, Counters};

/// The one timer: it runs while an answer is awaited.
pub(crate) const TICK: TimerId = TimerId(1);

/// Who asked, and under which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) node: NodeId,
    pub(crate) request: u64,
}

/// What a session is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// To attach to a vDisk of that name.
    Attaching(VdiskName),
    /// An attached vDisk.
    Disk(VdiskId),
}

/// State that the vDisks of an Edge share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) entropy: Option<Entropy>,
    pub(crate) next_request: u64,
    /// The current session of each vDisk. Answers of other sessions find nobody.
    pub(crate) sessions: BTreeMap<SessionId, Owner>,
    /// Bytes that all vDisks remember.
    pub(crate) remembered: u64,
    /// Changes that wait for room.
    pub(crate) held: usize,
    pub(crate) ticking: bool,
    pub(crate) counters: Counters,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Shared {
            entropy: None,
            next_request: 1,
            sessions: BTreeMap::new(),
            remembered: 0,
            held: 0,
            ticking: false,
            counters: Counters::new(),
        }
    }
}

/// A step's surroundings.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'a Config,
    pub(crate) shared: &'a mut Shared,
    pub(crate) effects: &'a mut Effects<Effect>,
}

impl Context<'_> {
    /// Answers a gateway.
    pub(crate) fn reply(&mut self, asker: Asker, body: GuestAnswer) {
        if matches!(body, GuestAnswer::Failed(_)) {
            self.count(Counter::Failed, 1);
        }
        let message = Message::GuestReply(GuestReply { request: asker.request, body });
        self.effects.push(Effect::Send { to: asker.node, message });
    }

    /// Tells a gateway that its request came to nothing.
    pub(crate) fn fail(&mut self, asker: Asker, error: GuestError) {
        self.reply(asker, GuestAnswer::Failed(error));
    }

    /// Asks the volume driver, and sees to it that the timer runs.
    pub(crate) fn send(&mut self, session: SessionId, request: u64, body: EdgeBody) {
        let message = Message::Edge(EdgeRequest { session, request, body });
        self.effects.push(Effect::Send { to: self.config.volume_driver, message });
        self.tick();
    }

    /// Sets the timer, if it doesn't run.
    pub(crate) fn tick(&mut self) {
        if !self.shared.ticking {
            self.shared.ticking = true;
            let after = (self.config.retry_first / 2).max(Duration::from_millis(1));
            self.effects.push(Effect::SetTimer { timer: TICK, after });
        }
    }

    pub(crate) fn fresh_request(&mut self) -> u64 {
        self.shared.next_request += 1;
        self.shared.next_request - 1
    }

    /// A session that was never used before, by this Edge or any other.
    pub(crate) fn fresh_session(&mut self, owner: Owner) -> SessionId {
        self.count(Counter::Sessions, 1);
        let session = SessionId(self.entropy().next_u64());
        self.shared.sessions.insert(session, owner);
        session
    }

    pub(crate) fn count(&mut self, counter: Counter, amount: u64) {
        self.shared.counters.add(counter, amount);
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.config.bug == Some(bug)
    }

    pub(crate) fn entropy(&mut self) -> &mut Entropy {
        self.shared.entropy.as_mut().expect("the start comes before anything else")
    }
}
