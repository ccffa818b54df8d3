//! How requests end when the vDisk can't serve them.

use alloc::string::ToString;
use formats::message::edge::EdgeError;
use formats::message::guest::GuestError;

use super::{Disk, State};
use crate::context::{Asker, Context};

impl Disk {
    /// The vDisk can't keep its promises: every request fails until somebody attaches anew.
    pub(crate) fn fail(&mut self, why: &str, context: &mut Context<'_>) {
        self.end(&GuestError::Io(why.to_string()), context);
        self.state = State::Attach { why: why.to_string() };
    }

    /// Ends everything that guests wait for, forgets all changes, and lets go of the session.
    pub(super) fn end(&mut self, error: &GuestError, context: &mut Context<'_>) {
        self.refuse_all(error, context);
        context.shared.sessions.remove(&self.session);
        context.shared.remembered -= self.memory.bytes();
        self.memory = super::Memory::default();
        (self.opening, self.owed, self.limbo) = (None, 0, 0);
    }

    /// The volume driver can't open the vDisk now. Guests are told; what they were told is safe is kept, and
    /// their next request tries again.
    pub(super) fn on_not_opened(&mut self, error: &GuestError, context: &mut Context<'_>) {
        if self.state == State::Opened {
            return self.on_not_taken(error, context);
        }
        self.opening = None;
        self.refuse_attachers(error, context);
    }

    /// The volume driver can't have now what was acknowledged and is sent again. Guests are told; the change is kept, and
    /// goes with the session that their next request opens: the disk that failed or was full may be mended by then.
    pub(super) fn on_not_taken(&mut self, error: &GuestError, context: &mut Context<'_>) {
        self.opening = None;
        self.refuse_attachers(error, context);
        self.state = State::Another;
        (self.owed, self.limbo) = (0, 0);
        self.refuse_all(error, context);
        self.forget(context);
    }

    pub(super) fn refuse_attachers(&mut self, error: &GuestError, context: &mut Context<'_>) {
        for asker in core::mem::take(&mut self.attachers) {
            context.fail(asker, error.clone());
        }
    }

    pub(super) fn refuse_held(&mut self, error: &GuestError, context: &mut Context<'_>) {
        context.shared.held -= self.held.len();
        for (asker, _) in core::mem::take(&mut self.held) {
            context.fail(asker, error.clone());
        }
    }

    /// Answers everybody who waits for a change or a question. Changes that failed so do nothing any more.
    fn refuse_all(&mut self, error: &GuestError, context: &mut Context<'_>) {
        let mut position = 0;
        while position < self.memory.len() {
            let change = self.memory.at(position);
            change.awaited = None;
            if let Some(asker) = change.asker.take() {
                context.fail(asker, error.clone());
                self.void(position, context);
            }
            position += 1;
        }
        self.refuse_held(error, context);
        for ask in core::mem::take(&mut self.asks).into_values() {
            if let Some(asker) = ask.what.asker() {
                context.fail(asker, error.clone());
            }
        }
        (self.own_flush, self.unsent) = (false, false);
    }

    /// Turns a change into one that does nothing.
    pub(super) fn void(&mut self, position: usize, context: &mut Context<'_>) {
        let before = self.memory.bytes();
        self.memory.void(position);
        context.shared.remembered -= before - self.memory.bytes();
    }

    /// Lets go of changes that need no memory any more.
    pub(super) fn forget(&mut self, context: &mut Context<'_>) {
        let before = self.memory.bytes();
        self.memory.forget();
        context.shared.remembered -= before - self.memory.bytes();
    }

    /// Whether it waits for somebody to attach anew.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.state, State::Attach { .. })
    }

    /// Takes those who wait to be attached, for a vDisk of that name that is opened anew.
    pub(crate) fn take_attachers(&mut self) -> alloc::vec::Vec<Asker> {
        core::mem::take(&mut self.attachers)
    }
}

/// What a guest is told of an error between Edge and volume driver.
pub(crate) fn to_guest(error: EdgeError) -> GuestError {
    match error {
        EdgeError::NotFound => GuestError::NotFound,
        EdgeError::OutOfBounds => GuestError::OutOfBounds,
        EdgeError::NoSpace => GuestError::NoSpace,
        EdgeError::Io(why) => GuestError::Io(why),
        EdgeError::NoSession | EdgeError::NotNewest { .. } => {
            GuestError::Io("the session with the volume driver ended".to_string())
        }
    }
}
