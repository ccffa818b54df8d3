//! A vDisk that is attached to for the first time: only its name is known.

use alloc::vec::Vec;
use formats::message::edge::EdgeBody;
use glossary::{ClientId, Generation, SessionId, VdiskName};

use crate::context::{Asker, Context, Owner};
use crate::patience::Patience;

/// A session that is being opened for a new client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attaching {
    pub(crate) name: VdiskName,
    pub(crate) client: ClientId,
    pub(crate) session: SessionId,
    pub(crate) askers: Vec<Asker>,
    request: u64,
    patience: Patience,
}

impl Attaching {
    /// Asks the volume driver to open the vDisk.
    pub(crate) fn begin(name: VdiskName, askers: Vec<Asker>, context: &mut Context<'_>) -> Self {
        let client = context.fresh_client();
        let session = context.fresh_session(Owner::Attaching(name.clone()));
        let request = context.fresh_request();
        let patience = Patience::new(context.now, context.config);
        let attaching = Attaching { name, client, session, askers, request, patience };
        attaching.send(context);
        attaching
    }

    /// Asks again when no answer came for long.
    pub(crate) fn tick(&mut self, context: &mut Context<'_>) {
        if self.patience.ran_out(context.now, context.config) {
            self.send(context);
        }
    }

    fn send(&self, context: &mut Context<'_>) {
        let (name, client) = (self.name.clone(), self.client);
        let body = EdgeBody::Open { name, client, first_change: 1, generation: Generation(0) };
        context.send(self.session, self.request, body);
    }
}
