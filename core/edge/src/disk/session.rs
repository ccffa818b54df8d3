//! Opening sessions, sending, and sending again (PROTOCOLS E1, E2).

use formats::message::edge::{EdgeBody, Opening};
use glossary::{Generation, SessionId};
use step::Timestamp;

use super::{Disk, NO_SESSION, State};
use crate::ask::What;
use crate::change::{Change, ChangeBody};
use crate::context::{Asker, Context, Owner};
use crate::counters::Counter;
use crate::patience::Patience;

/// How much longer than at first a silence is put up with at last.
const SILENCE_FACTOR_MAX: u32 = 16;

impl Disk {
    /// A gateway wants to attach. The volume driver is asked again, as the size may have changed.
    pub(crate) fn attach_again(&mut self, asker: Asker, context: &mut Context<'_>) {
        self.attachers.push(asker);
        self.wake(context);
        if self.opening.is_none() {
            self.send_open(context);
        }
    }

    /// Ends the session and opens another. What is awaited is sent again once it is open.
    pub(super) fn begin_session(&mut self, context: &mut Context<'_>) {
        context.shared.sessions.remove(&self.session);
        self.session = context.fresh_session(Owner::Disk(self.id));
        self.state = State::Opened;
        self.memory.iter_mut().for_each(|change| change.awaited = None);
        self.asks.values_mut().for_each(|ask| ask.awaited = None);
        self.forget(context);
        self.send_open(context);
    }

    fn send_open(&mut self, context: &mut Context<'_>) {
        let request = context.fresh_request();
        self.opening = Some((request, Patience::new(context.now, context.config)));
        context.send(self.session, request, self.open_body(context));
    }

    fn open_body(&self, context: &Context<'_>) -> EdgeBody {
        EdgeBody::Open(Opening {
            name: self.name.clone(),
            client: context.config.client,
            newest: self.opened,
            first_change: self.memory.first_change(),
            generation: self.generation,
        })
    }

    /// The opening named another session than the newest, or another generation than the owner's. A volume
    /// driver that began anew knows of no session; any other than this Edge's own is a newer life's.
    pub(super) fn on_not_newest(
        &mut self,
        newest: SessionId,
        generation: Generation,
        context: &mut Context<'_>,
    ) {
        if ![NO_SESSION, self.session, self.opened].contains(&newest) {
            self.fail("another gateway with the same token has attached to the vDisk since", context);
            return;
        }
        (self.opened, self.generation) = (newest, generation);
        self.begin_session(context);
    }

    /// The session is open: sends, in order, every change that is not stable. Voids that the volume driver
    /// already counts among the applied are not needed.
    pub(super) fn on_session_opened(
        &mut self,
        generation: Generation,
        applied: u64,
        context: &mut Context<'_>,
    ) {
        (self.generation, self.opened) = (generation, self.session);
        self.state = State::Resent;
        self.quiet_since = context.now;
        self.unsent = !self.asks.is_empty();
        (self.owed, self.limbo) = (0, 0);
        for change in self.memory.iter_mut() {
            change.limbo = false;
            if change.body == ChangeBody::Void && change.number <= applied {
                continue;
            }
            change.limbo = change.sent;
            self.limbo += usize::from(change.limbo);
            self.owed += usize::from(change.asker.is_none() && change.body != ChangeBody::Void);
            context.count(Counter::Resent, u64::from(change.sent));
            send_change(change, self.session, &mut self.quiet_since, context);
        }
        self.forget(context);
        self.advance(context);
    }

    /// Once no acknowledged change is owed any more, everything else may be asked.
    pub(super) fn advance(&mut self, context: &mut Context<'_>) {
        if self.state == State::Resent && self.owed == 0 {
            self.state = State::Requests;
        }
        if self.state == State::Requests && self.unsent {
            let unsent = |disk: &Disk, request: &u64| disk.asks[request].awaited.is_none();
            let requests: alloc::vec::Vec<u64> =
                self.asks.keys().copied().filter(|r| unsent(self, r)).collect();
            self.unsent = false;
            for request in requests {
                if self.may_send(request) {
                    self.send_ask(request, context);
                } else {
                    self.unsent = true;
                }
            }
        }
    }

    /// Whether a question may be sent. A read may have shown a guest a change that nobody acknowledged; were
    /// the volume driver to lose it, a later read, or question for what holds data, must wait until it is there
    /// again (P5).
    pub(super) fn may_send(&self, request: u64) -> bool {
        let in_limbo = |offset, length| {
            self.limbo > 0
                && self.memory.iter().any(|change| change.limbo && change.body.touches(offset, length))
        };
        self.state == State::Requests
            && match self.asks[&request].what {
                What::Read { offset, length, .. } | What::Extents { offset, length, .. } => {
                    !in_limbo(offset, length)
                }
                What::Flush { .. } => true,
            }
    }

    pub(super) fn send_ask(&mut self, request: u64, context: &mut Context<'_>) {
        note_sending(&mut self.quiet_since, context);
        let ask = self.asks.get_mut(&request).expect("what is sent was asked");
        ask.awaited = Some(Patience::new(context.now, context.config));
        if let What::Flush { covers, .. } = &mut ask.what {
            *covers = self.memory.flushable().unwrap_or(0);
        }
        context.send(self.session, request, ask.what.to_message());
    }

    /// Sends again what was not answered for long; whether anything is awaited.
    pub(crate) fn tick(&mut self, context: &mut Context<'_>) -> bool {
        let mut awaits = false;
        if let Some((request, patience)) = &mut self.opening {
            awaits = true;
            if patience.ran_out(context.now, context.config) {
                let request = *request;
                context.count(Counter::Resent, 1);
                context.send(self.session, request, self.open_body(context));
            }
        }
        if self.was_silent_too_long(context) {
            self.begin_session(context);
            return true;
        }
        for change in self.memory.iter_mut() {
            let Some(patience) = &mut change.awaited else { continue };
            awaits = true;
            if patience.ran_out(context.now, context.config) {
                context.count(Counter::Resent, 1);
                context.send(self.session, change.request, change.to_message());
            }
        }
        for (request, ask) in &mut self.asks {
            let Some(patience) = &mut ask.awaited else { continue };
            awaits = true;
            if patience.ran_out(context.now, context.config) {
                context.count(Counter::Resent, 1);
                context.send(self.session, *request, ask.what.to_message());
            }
        }
        awaits
    }

    /// Something that the session was asked for was answered.
    pub(super) fn on_heard(&mut self, context: &Context<'_>) {
        self.quiet_since = context.now;
        self.silence = context.config.silence;
    }

    fn was_silent_too_long(&mut self, context: &Context<'_>) -> bool {
        let awaits = self.memory.iter().any(|change| change.awaited.is_some())
            || self.asks.values().any(|ask| ask.awaited.is_some());
        if !awaits {
            self.quiet_since = context.now;
        }
        let too_long = context.now.since(self.quiet_since) >= self.silence;
        if too_long {
            self.silence = (self.silence * 2).min(context.config.silence * SILENCE_FACTOR_MAX);
        }
        too_long
    }
}

/// Sends a change and awaits its answer.
pub(super) fn send_change(
    change: &mut Change,
    session: SessionId,
    quiet_since: &mut Timestamp,
    context: &mut Context<'_>,
) {
    note_sending(quiet_since, context);
    change.awaited = Some(Patience::new(context.now, context.config));
    change.sent = true;
    context.send(session, change.request, change.to_message());
}

/// While the timer runs, its ticks see that nothing was awaited; otherwise this is where silence begins.
fn note_sending(quiet_since: &mut Timestamp, context: &Context<'_>) {
    if !context.shared.ticking {
        *quiet_since = context.now;
    }
}
