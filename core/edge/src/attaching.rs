//! A vDisk that is attached to for the first time in this life, or anew: only its name is known.

use alloc::vec::Vec;
use formats::message::edge::{EdgeBody, Opening};
use glossary::{Generation, SessionId, VdiskName};

use crate::context::{Asker, Context, Owner};
use crate::disk::NO_SESSION;
use crate::patience::Patience;

/// A session that is being opened. It ends whatever session this client had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attaching {
    pub(crate) name: VdiskName,
    pub(crate) session: SessionId,
    pub(crate) askers: Vec<Asker>,
    /// The session to follow, and the generation it was opened in, as the volume driver told.
    newest: SessionId,
    generation: Generation,
    request: u64,
    patience: Patience,
}

impl Attaching {
    /// Asks the volume driver to open the vDisk.
    pub(crate) fn begin(name: VdiskName, askers: Vec<Asker>, context: &mut Context<'_>) -> Self {
        let session = context.fresh_session(Owner::Attaching(name.clone()));
        let request = context.fresh_request();
        let patience = Patience::new(context.now, context.config);
        let (newest, generation) = (NO_SESSION, Generation(0));
        let attaching = Attaching { name, session, askers, newest, generation, request, patience };
        attaching.send(context);
        attaching
    }

    /// The volume driver told which session is the newest: asks to follow that one.
    pub(crate) fn follow(&mut self, newest: SessionId, generation: Generation, context: &mut Context<'_>) {
        if generation < self.generation {
            return;
        }
        context.shared.sessions.remove(&self.session);
        self.session = context.fresh_session(Owner::Attaching(self.name.clone()));
        self.request = context.fresh_request();
        self.patience = Patience::new(context.now, context.config);
        (self.newest, self.generation) = (newest, generation);
        self.send(context);
    }

    /// Asks again when no answer came for long.
    pub(crate) fn tick(&mut self, context: &mut Context<'_>) {
        if self.patience.ran_out(context.now, context.config) {
            self.send(context);
        }
    }

    fn send(&self, context: &mut Context<'_>) {
        let opening = Opening {
            name: self.name.clone(),
            client: context.config.client,
            newest: self.newest,
            first_change: 0,
            generation: self.generation,
        };
        context.send(self.session, self.request, EdgeBody::Open(opening));
    }
}
