//! What all connections of a gateway share.

use formats::Message;
use formats::message::guest::{GuestBody, GuestRequest};
use io::Context;

use crate::monitor::Monitor;
use crate::permits::Permits;
use crate::requests::{Request, Requests};
use crate::settings::Settings;

/// The tables and bounds of a gateway.
#[derive(Debug)]
pub(crate) struct Hall {
    pub(crate) settings: Settings,
    pub(crate) permits: Permits,
    pub(crate) requests: Requests,
    pub(crate) monitor: Monitor,
    pub(crate) stopping: bool,
}

impl Hall {
    pub(crate) fn new(settings: Settings) -> Self {
        let permits = Permits::new(settings.memory_bytes_max);
        let (requests, monitor) = (Requests::default(), Monitor::default());
        Hall { settings, permits, requests, monitor, stopping: false }
    }

    /// Asks the Edge.
    pub(crate) fn ask(&mut self, request: Request, body: GuestBody, context: &mut Context<'_>) {
        let request = self.requests.open(request);
        context.send(self.settings.edge, Message::Guest(GuestRequest { request, body }));
    }
}
