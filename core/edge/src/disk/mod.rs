//! An attached vDisk: what guests want of it, and its session with the volume driver.
//!
//! Invariants, checked by `check_invariants` in debug builds after every step:
//! 1. Remembered changes have dense numbers, and the next one gets the number after the last.
//! 2. What is remembered counts for what its changes cost.
//! 3. The first remembered change is not stable, or not answered.
//! 4. Nothing is awaited unless a session is open; while acknowledged changes are owed to the volume driver,
//!    nothing but changes is.
//! 5. `owed` and `limbo` count what they say.
//! 6. Changes are held back only behind remembered ones, or while none may be sent.

mod answers;
mod ending;
mod session;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use formats::message::guest::{GuestAnswer, GuestError};
use glossary::{ByteCount, Generation, NodeId, SessionId, VdiskId, VdiskName};
use step::Timestamp;

use crate::ask::{Ask, What};
use crate::change::ChangeBody;
use crate::context::{Asker, Context};
use crate::counters::Counter;
use crate::memory::Memory;
use crate::patience::Patience;
pub(crate) use ending::to_guest;

/// The longest read, in bytes: twice what gateways offer to guests.
const READ_MAX: u64 = 64 << 20;

/// Stands for no session, and in place of one in questions that need none.
pub(crate) const NO_SESSION: SessionId = SessionId(0);

/// What the volume driver said when it opened the first session.
pub(crate) struct Opened {
    pub(crate) session: SessionId,
    pub(crate) generation: Generation,
    pub(crate) size: ByteCount,
    /// The changes of this client's earlier lives end with this one.
    pub(crate) applied: u64,
}

/// A vDisk that gateways are attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) id: VdiskId,
    pub(crate) name: VdiskName,
    session: SessionId,
    /// The session that was open last: the next one follows it (E2).
    opened: SessionId,
    /// The highest that was seen; while a session is open, the owner's that opened it.
    generation: Generation,
    size: u64,
    state: State,
    memory: Memory,
    /// Changes that wait for room in the memory, in the order they came.
    held: VecDeque<(Asker, ChangeBody)>,
    asks: BTreeMap<u64, Ask>,
    /// The question to open the session, or to look at the vDisk again, by its request number.
    opening: Option<(u64, Patience)>,
    /// Who attaches.
    attachers: Vec<Asker>,
    /// Gateways that are attached.
    attached: BTreeSet<NodeId>,
    /// Acknowledged changes that were sent again and are not answered yet.
    owed: usize,
    /// Changes that the volume driver may have of an earlier session, and has not answered in this one.
    limbo: usize,
    /// There are questions that were not sent yet in this session.
    unsent: bool,
    own_flush: bool,
    /// The last flush of the Edge's own failed: the next one is for a guest that waits for room.
    own_flush_failed: bool,
    /// Since when nothing was heard though something was awaited.
    quiet_since: Timestamp,
    /// How long to put up with that.
    silence: Duration,
}

/// States are named for what they await.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The answer to the question for a session.
    Opened,
    /// Answers to acknowledged changes that were sent again (E1): nothing else goes before them.
    Resent,
    /// Guests.
    Requests,
    /// A guest's next request, to try again to open a session.
    Another,
    /// Somebody who attaches anew.
    Attach { why: String },
}

/// Whether a vDisk is still there after an answer.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    Gone,
}

impl Disk {
    /// A vDisk whose first session was just opened.
    pub(crate) fn new(id: VdiskId, name: VdiskName, opened: Opened, context: &Context<'_>) -> Self {
        let Opened { session, generation, size, applied } = opened;
        Disk {
            id,
            name,
            session,
            opened: session,
            generation,
            size: size.0,
            state: State::Requests,
            memory: Memory::after(applied),
            held: VecDeque::new(),
            asks: BTreeMap::new(),
            opening: None,
            attachers: Vec::new(),
            attached: BTreeSet::new(),
            owed: 0,
            limbo: 0,
            unsent: false,
            own_flush: false,
            own_flush_failed: false,
            quiet_since: context.now,
            silence: context.config.silence,
        }
    }

    /// Tells a gateway that it is attached.
    pub(crate) fn attach(&mut self, asker: Asker, context: &mut Context<'_>) {
        self.attached.insert(asker.node);
        context.reply(asker, GuestAnswer::Attached { vdisk: self.id, size: ByteCount(self.size) });
    }

    /// Why this request can't be taken, if it can't: the vDisk failed, the gateway isn't attached, or the range
    /// is out of bounds. The range is empty for a flush.
    pub(crate) fn refuses(&self, asker: Asker, offset: u64, length: u64) -> Option<GuestError> {
        if let State::Attach { why } = &self.state {
            return Some(GuestError::Io(why.clone()));
        }
        if !self.attached.contains(&asker.node) {
            return Some(GuestError::Io("attach to the vDisk first".to_string()));
        }
        let within = offset.checked_add(length).is_some_and(|end| end <= self.size);
        (!within).then_some(GuestError::OutOfBounds)
    }

    pub(crate) fn read(&mut self, asker: Asker, offset: u64, length: u64, context: &mut Context<'_>) {
        if length > READ_MAX {
            context.fail(asker, GuestError::Io("a read is at most 64 MiB".to_string()));
        } else if length == 0 {
            context.reply(asker, GuestAnswer::Data(formats::Payload::default()));
        } else {
            self.ask(What::Read { asker, offset, length, damaged: 0 }, context);
        }
    }

    pub(crate) fn extents(&mut self, asker: Asker, offset: u64, length: u64, context: &mut Context<'_>) {
        if length == 0 {
            context.reply(asker, GuestAnswer::Extents(Vec::new()));
        } else {
            self.ask(What::Extents { asker, offset, length }, context);
        }
    }

    pub(crate) fn flush(&mut self, asker: Asker, context: &mut Context<'_>) {
        self.ask(What::Flush { asker: Some(asker), covers: 0 }, context);
    }

    /// A write or discard. It waits while there is no room to remember it.
    pub(crate) fn change(&mut self, asker: Asker, body: ChangeBody, context: &mut Context<'_>) {
        if self.held.is_empty() && self.has_room(&body, context) {
            self.remember(asker, body, context);
        } else {
            context.count(Counter::HeldBack, 1);
            context.shared.held += 1;
            self.held.push_back((asker, body));
        }
        self.wake(context);
    }

    /// Remembers and sends the first change that waits, if there is room now.
    pub(crate) fn admit(&mut self, context: &mut Context<'_>) -> bool {
        if !self.held.front().is_some_and(|(_, body)| self.has_room(body, context)) {
            return false;
        }
        let (asker, body) = self.held.pop_front().expect("a change waits");
        context.shared.held -= 1;
        self.remember(asker, body, context);
        true
    }

    /// Asks for a flush of the Edge's own, if there is anything that one would make stable.
    pub(crate) fn flush_for_room(&mut self, context: &mut Context<'_>) {
        let of_use = !self.own_flush && (!self.own_flush_failed || !self.held.is_empty());
        if of_use && self.state == State::Requests && self.memory.flushable().is_some() {
            self.own_flush = true;
            context.count(Counter::OwnFlushes, 1);
            self.ask(What::Flush { asker: None, covers: 0 }, context);
        }
    }

    fn has_room(&self, body: &ChangeBody, context: &Context<'_>) -> bool {
        let fits = context.shared.remembered + body.cost() <= context.config.remember_max.0;
        fits || self.memory.is_empty()
    }

    fn remember(&mut self, asker: Asker, body: ChangeBody, context: &mut Context<'_>) {
        let request = context.fresh_request();
        context.shared.remembered += body.cost();
        let change = self.memory.push(request, asker, body);
        if matches!(self.state, State::Resent | State::Requests) {
            session::send_change(change, self.session, &mut self.quiet_since, context);
        }
    }

    fn ask(&mut self, what: What, context: &mut Context<'_>) {
        let request = context.fresh_request();
        self.asks.insert(request, Ask { what, awaited: None });
        if self.may_send(request) {
            self.send_ask(request, context);
        } else {
            self.unsent = true;
        }
        self.wake(context);
    }

    /// A guest wants something: a session that couldn't be opened is tried again.
    fn wake(&mut self, context: &mut Context<'_>) {
        if self.state == State::Another {
            self.begin_session(context);
        }
    }

    /// Panics when an invariant of the module's doc does not hold.
    pub(crate) fn check_invariants(&self) {
        self.memory.check_invariants();
        let open = matches!(self.state, State::Resent | State::Requests);
        let awaited = || self.memory.iter().filter(|change| change.awaited.is_some());
        debug_assert!(open || awaited().count() == 0, "invariant 4: changes");
        let asked = self.asks.values().any(|ask| ask.awaited.is_some());
        debug_assert!(self.state == State::Requests || !asked, "invariant 4: questions");
        if open {
            let owed = awaited().filter(|c| c.asker.is_none() && c.body != ChangeBody::Void).count();
            debug_assert_eq!(owed, self.owed, "invariant 5: owed");
            debug_assert_eq!(
                awaited().filter(|change| change.limbo).count(),
                self.limbo,
                "invariant 5: limbo"
            );
            debug_assert!(self.state == State::Resent || owed == 0, "invariant 5: state");
        }
        debug_assert!(self.held.is_empty() || !self.memory.is_empty(), "invariant 6");
    }

    /// Bytes that its remembered changes count for.
    pub(crate) fn remembered(&self) -> u64 {
        self.memory.bytes()
    }

    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }
}
