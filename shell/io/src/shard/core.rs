//! What the tenants of a shard act upon: queue, routes, timers, poller, disk, the other shards.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crossbeam_channel::Sender;
use formats::work::Work;
use formats::{Event, Message};
use glossary::NodeId;
use step::{DiskOperation, JobId, Timestamp};

use super::links::{Links, through_bytes};
use super::{Life, Seat};
use crate::compute::Compute;
use crate::disk::{Backend, Ticket};
use crate::gateway::SocketId;
use crate::hub::{Hub, Place};
use crate::mailbox::{Input, Mailbox};
use crate::poller::Poller;
use crate::relay::{Relayed, Relays};
use crate::timers::Timers;

/// An event on its way to a tenant.
pub(super) struct Delivery {
    pub(super) seat: Seat,
    /// The life that it belongs to; a message belongs to whoever lives there.
    pub(super) life: Option<Life>,
    pub(super) event: Event,
}

/// Where messages to a node go.
enum Route {
    Here(Seat),
    There(usize),
    Port(Sender<(NodeId, Message)>),
}

/// The shard without its tenants.
pub(crate) struct Core {
    pub(super) index: usize,
    /// The time of this round. Read once, so that all of a burst happens at one moment.
    pub(crate) now: Timestamp,
    /// Events to deliver: what a burst of inputs and the nodes' answers to it bring. It empties every turn, or
    /// nothing more is taken in.
    pub(super) queue: VecDeque<Delivery>,
    /// Sockets whose gateways asked for another turn; at most one entry for each by their own discipline.
    pub(crate) again: Vec<(Seat, SocketId)>,
    pub(crate) timers: Timers,
    pub(crate) poller: Poller,
    pub(super) backend: Box<dyn Backend>,
    /// What nodes want of their disks, gathered during a round.
    pub(super) disk_requests: Vec<(Ticket, DiskOperation)>,
    pub(super) mailbox: Mailbox,
    pub(super) hub: Arc<Hub>,
    pub(super) links: Option<Links>,
    compute: Compute,
    routes: BTreeMap<NodeId, Route>,
    /// Who speaks for nodes that have no route.
    pub(super) relays: Relays,
    /// Messages that the gateways here get when the turn ends: bounded as the queue is, whose events bring them.
    pub(super) relayed: Vec<Relayed>,
    seats: Vec<NodeId>,
    /// Shards that something was put into the mailbox of and that were not rung.
    to_ring: Vec<bool>,
}

/// What a core is made of.
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) mailbox: Mailbox,
    pub(crate) poller: Poller,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) links: Option<Links>,
    pub(crate) compute: Compute,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { index, mailbox, poller, backend, hub, links, compute } = parts;
        let to_ring = vec![false; hub.addresses.len()];
        let mut core = Core {
            index,
            now: crate::clock::now(),
            queue: VecDeque::new(),
            again: Vec::new(),
            timers: Timers::default(),
            poller,
            backend,
            disk_requests: Vec::new(),
            mailbox,
            hub: Arc::clone(&hub),
            links,
            compute,
            routes: BTreeMap::new(),
            relays: hub.relays(),
            relayed: Vec::new(),
            seats: Vec::new(),
            to_ring,
        };
        hub.places().into_iter().for_each(|(node, place)| core.on_route(node, Some(place)));
        core
    }

    /// Where a node is found from now on.
    pub(super) fn on_route(&mut self, node: NodeId, place: Option<Place>) {
        let route = match place {
            Some(Place::Shard(shard)) if shard == self.index => Route::Here(self.seat_for(node)),
            Some(Place::Shard(shard)) => Route::There(shard),
            Some(Place::Port(port)) => Route::Port(port),
            None => {
                self.routes.remove(&node);
                return;
            }
        };
        self.routes.insert(node, route);
    }

    /// The seat of a node that has been announced to be here.
    pub(super) fn seat_of(&self, node: NodeId) -> Option<Seat> {
        match self.routes.get(&node) {
            Some(Route::Here(seat)) => Some(*seat),
            _ => None,
        }
    }

    fn seat_for(&mut self, node: NodeId) -> Seat {
        let known = self.seats.iter().position(|seated| *seated == node);
        let position = known.unwrap_or_else(|| {
            self.seats.push(node);
            self.seats.len() - 1
        });
        Seat(u32::try_from(position).expect("a shard has few nodes"))
    }

    /// Sends a message, to a node wherever it is; to one that is nowhere it is lost.
    pub(crate) fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        match (self.routes.get(&to), &mut self.links) {
            (Some(Route::Here(seat)), None) => {
                let event = Event::Message { from, message };
                self.queue.push_back(Delivery { seat: *seat, life: None, event });
            }
            (Some(Route::There(shard)), None) => {
                self.hub.addresses[*shard].put(Input::Message { from, to, message });
                self.to_ring[*shard] = true;
            }
            (Some(Route::Here(_)), Some(links)) => links.send(self.index, from, to, &message),
            (Some(Route::There(shard)), Some(links)) => links.send(*shard, from, to, &message),
            // A port that was dropped wants no answers.
            (Some(Route::Port(port)), None) => drop(port.send((from, message))),
            (Some(Route::Port(port)), Some(_)) => drop(port.send((from, through_bytes(from, to, &message)))),
            (None, _) => self.send_away(from, to, message),
        }
    }

    /// Sends a message to a node that has no route: through who speaks for it, or it is lost.
    #[cold]
    fn send_away(&mut self, from: NodeId, to: NodeId, message: Message) {
        let Some(relay) = self.relays.find(to) else {
            tracing::debug!(%from, %to, "a message to nobody");
            return;
        };
        let (gateway, shard) = (relay.gateway, relay.shard);
        match &mut self.links {
            _ if shard == self.index => self.relayed.push(Relayed { gateway, from, to, message }),
            Some(links) => links.send(shard, from, to, &message),
            None => {
                self.hub.addresses[shard].put(Input::Message { from, to, message });
                self.to_ring[shard] = true;
            }
        }
    }

    /// A message came in for a node of this shard.
    pub(super) fn deliver_here(&mut self, from: NodeId, to: NodeId, message: Message) {
        match self.seat_of(to) {
            Some(seat) => {
                let event = Event::Message { from, message };
                self.queue.push_back(Delivery { seat, life: None, event });
            }
            None => self.relay_here(from, to, message),
        }
    }

    /// A message came in for a node that a gateway of this shard speaks for. It goes no further: who sent it here
    /// knew by the same table.
    fn relay_here(&mut self, from: NodeId, to: NodeId, message: Message) {
        match self.relays.find(to).filter(|relay| relay.shard == self.index) {
            Some(relay) => self.relayed.push(Relayed { gateway: relay.gateway, from, to, message }),
            None => tracing::debug!(%from, %to, "a message to nobody"),
        }
    }

    pub(super) fn work(&mut self, seat: Seat, life: Life, job: JobId, work: Work) {
        self.compute.submit(seat, life, job, work, &self.hub.addresses[self.index]);
    }

    /// Sends on what was gathered for the other shards.
    pub(super) fn flush_messages(&mut self) {
        for (shard, ring) in self.to_ring.iter_mut().enumerate() {
            if std::mem::take(ring) {
                self.hub.addresses[shard].ring();
            }
        }
        if let Some(links) = &mut self.links {
            links.flush();
        }
    }
}
