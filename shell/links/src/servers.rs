//! The links to all other servers.

use std::collections::BTreeMap;

use ::io::{Context, Readiness, SocketId};
use formats::Message;
use glossary::{NodeId, ServerId};
use step::Entropy;

use crate::addresses::Addresses;
use crate::outgoing::{Lost, Outgoing};
use crate::settings::Settings;
use crate::trust::Trust;

/// Links to servers, by server: as many as this one's nodes speak to, which is bounded by those that have addresses.
pub(crate) struct Servers {
    trust: Trust,
    addresses: Addresses,
    links: BTreeMap<ServerId, Outgoing>,
    /// Whose socket it is.
    sockets: BTreeMap<SocketId, ServerId>,
    /// To be flushed when the turn ends.
    touched: Vec<ServerId>,
    /// Varies when servers are dialled.
    entropy: Entropy,
    /// Messages that were lost since that was last looked at.
    lost: u64,
}

impl Servers {
    pub(crate) fn new(trust: Trust, addresses: Addresses) -> Self {
        Servers {
            trust,
            addresses,
            links: BTreeMap::new(),
            sockets: BTreeMap::new(),
            touched: Vec::new(),
            entropy: Entropy::new([0; 32]),
            lost: 0,
        }
    }

    pub(crate) fn start(&mut self, context: &mut Context<'_>) {
        self.entropy = Entropy::new(context.seed());
    }

    /// Whether it is the socket of a link.
    pub(crate) fn has(&self, id: SocketId) -> bool {
        self.sockets.contains_key(&id)
    }

    /// A node here says something to one of another server. It is lost where there is no link and none can be had, or
    /// too much waits for it.
    pub(crate) fn send(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: &Message,
        settings: &Settings,
        id: SocketId,
        context: &mut Context<'_>,
    ) {
        let server = to.server();
        let Some(address) = self.addresses.of(server) else {
            self.lost += 1;
            tracing::debug!(%server, "a message to a server without an address");
            return;
        };
        let link = self.links.entry(server).or_insert_with(|| Outgoing::new(server, settings));
        if link.wants_dialling(context.now()) {
            match link.dial(id, address, &self.trust, settings, context) {
                Ok(()) => drop(self.sockets.insert(id, server)),
                Err(lost) => return self.lose(server, &lost, settings, context),
            }
        }
        match link.send(from, to, message, settings) {
            Ok(true) => self.touch(server),
            Ok(false) => self.lost += 1,
            Err(lost) => self.lose(server, &lost, settings, context),
        }
    }

    pub(crate) fn on_ready(
        &mut self,
        id: SocketId,
        readiness: Readiness,
        settings: &Settings,
        context: &mut Context<'_>,
    ) {
        let Some(&server) = self.sockets.get(&id) else { return };
        let Some(link) = self.links.get_mut(&server) else { return };
        match link.on_ready(readiness, &self.trust, settings) {
            Ok(()) => self.touch(server),
            Err(lost) => self.lose(server, &lost, settings, context),
        }
    }

    /// Sends what is to be sent.
    pub(crate) fn flush(&mut self, settings: &Settings, context: &mut Context<'_>) {
        for server in std::mem::take(&mut self.touched) {
            let Some(link) = self.links.get_mut(&server) else { continue };
            link.touched = false;
            if let Err(lost) = link.flush() {
                self.lose(server, &lost, settings, context);
            }
        }
    }

    /// Looks for links that nothing tells of: late ones, those to addresses that are others' now, and when `believes`
    /// is set those whose certificates are believed no more.
    pub(crate) fn check(&mut self, judges: bool, settings: &Settings, context: &mut Context<'_>) {
        let (addresses, trust, now) = (&self.addresses, &self.trust, context.now());
        let judge = |link: &Outgoing| match link.chain().filter(|_| judges) {
            Some(chain) => trust.current().verify(&chain).map(drop).map_err(Lost::from),
            None => Ok(()),
        };
        let fails = |link: &Outgoing| {
            let checked = link.check(addresses.of(link.server), settings, now).and_then(|()| judge(link));
            Some((link.server, checked.err()?))
        };
        let lost: Vec<(ServerId, Lost)> = self.links.values().filter_map(fails).collect();
        for (server, why) in lost {
            self.lose(server, &why, settings, context);
        }
        if std::mem::take(&mut self.lost) > 0 {
            tracing::debug!("messages to other servers were lost");
        }
    }

    /// Whether there is any link.
    pub(crate) fn is_linked(&self) -> bool {
        !self.sockets.is_empty()
    }

    fn touch(&mut self, server: ServerId) {
        if let Some(link) = self.links.get_mut(&server)
            && !std::mem::replace(&mut link.touched, true)
        {
            self.touched.push(server);
        }
    }

    fn lose(&mut self, server: ServerId, why: &Lost, settings: &Settings, context: &mut Context<'_>) {
        let Some(link) = self.links.get_mut(&server) else { return };
        if let Some(id) = link.id() {
            self.sockets.remove(&id);
        }
        link.lose(why, settings, context.now(), &mut self.entropy);
    }
}
