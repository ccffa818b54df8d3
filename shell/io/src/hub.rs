//! What all threads of a runtime share: where nodes are and how they are. Off the data path, so it has locks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crossbeam_channel::Sender;
use formats::Message;
use glossary::NodeId;

use crate::disk::Distrust;
use crate::mailbox::{Address, Input};
use crate::relay::{Relay, Relays};
use crate::settings::Settings;

/// Where a node is found.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// On a shard.
    Shard(usize),
    /// Behind a [`crate::Port`].
    Port(Sender<(NodeId, Message)>),
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It takes part.
    Running,
    /// An operator stopped it.
    Stopped,
    /// It stopped by itself, for good until it is started anew.
    Halted {
        /// Why, in its own words.
        reason: String,
    },
}

/// What a shard counts. Only its own thread writes.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: AtomicU64,
    pub(crate) sleeps: AtomicU64,
    pub(crate) events: AtomicU64,
}

/// What a shard counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounters {
    /// Turns of its loop.
    pub turns: u64,
    /// Times that it went to sleep.
    pub sleeps: u64,
    /// Events that it gave to nodes.
    pub events: u64,
}

/// Names, states and addresses.
pub(crate) struct Hub {
    pub(crate) addresses: Vec<Address>,
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) frames: bool,
    log_halts: AtomicBool,
    places: RwLock<BTreeMap<NodeId, Place>>,
    relays: RwLock<Relays>,
    nodes: Mutex<BTreeMap<NodeId, Entry>>,
    next_port: Mutex<u32>,
}

/// A node as the hub knows it.
struct Entry {
    name: String,
    state: NodeState,
    distrust: Distrust,
}

fn log_halt(node: NodeId, entry: &Entry) {
    if let NodeState::Halted { reason } = &entry.state {
        tracing::error!(node = %entry.name, id = %node, reason, "a role halted");
    }
}

/// The ids of ports count from here; a cluster's nodes stay below.
pub(crate) const FIRST_PORT: u32 = 0xf000_0000;

impl Hub {
    pub(crate) fn new(addresses: Vec<Address>, counters: Vec<Arc<Counters>>, settings: &Settings) -> Self {
        let (places, relays, nodes) = (RwLock::default(), RwLock::default(), Mutex::default());
        let (frames, log_halts) = (settings.frames, AtomicBool::new(settings.log_halts));
        Hub {
            addresses,
            counters,
            frames,
            log_halts,
            places,
            relays,
            nodes,
            next_port: Mutex::new(FIRST_PORT),
        }
    }

    /// Logs every node that has halted, and from now on every one that does.
    pub(crate) fn log_halts(&self) {
        // Under the lock, so that each is logged once.
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.log_halts.swap(true, Ordering::Relaxed) {
            nodes.iter().for_each(|(node, entry)| log_halt(*node, entry));
        }
    }

    /// Makes a node known, or says that it runs (again). Its folder's distrust stays for ever.
    pub(crate) fn on_start(&self, node: NodeId, name: &str) -> Distrust {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let distrust = nodes.get(&node).map(|entry| entry.distrust.clone()).unwrap_or_default();
        let entry = Entry { name: name.into(), state: NodeState::Running, distrust: distrust.clone() };
        nodes.insert(node, entry);
        distrust
    }

    pub(crate) fn on_state(&self, node: NodeId, state: NodeState) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = nodes.get_mut(&node) {
            entry.state = state;
            if self.log_halts.load(Ordering::Relaxed) {
                log_halt(node, entry);
            }
        }
    }

    /// Every node that was ever started, its name and how it is.
    pub(crate) fn states(&self) -> BTreeMap<NodeId, (String, NodeState)> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().map(|(node, entry)| (*node, (entry.name.clone(), entry.state.clone()))).collect()
    }

    pub(crate) fn is_running(&self, node: NodeId) -> bool {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.get(&node).is_some_and(|entry| entry.state == NodeState::Running)
    }

    pub(crate) fn place(&self, node: NodeId) -> Option<Place> {
        self.places.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    pub(crate) fn places(&self) -> BTreeMap<NodeId, Place> {
        self.places.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says where a node is found from now on, to all shards too. What is posted to a shard afterwards comes
    /// behind it, and so does what others post upon hearing of it.
    pub(crate) fn announce(&self, node: NodeId, place: Option<Place>) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        match place.clone() {
            Some(place) => places.insert(node, place),
            None => places.remove(&node),
        };
        for address in &self.addresses {
            address.post(Input::Route { node, place: place.clone() });
        }
    }

    /// Says who speaks for nodes that aren't here, to all shards too.
    pub(crate) fn announce_relay(&self, relay: &Relay) {
        self.relays.write().unwrap_or_else(PoisonError::into_inner).add(relay.clone());
        for address in &self.addresses {
            address.post(Input::Relay(relay.clone()));
        }
    }

    pub(crate) fn relays(&self) -> Relays {
        self.relays.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The shard through which messages to a node go: its own, or that of who speaks for it.
    pub(crate) fn shard_towards(&self, node: NodeId) -> Option<usize> {
        match self.place(node) {
            Some(Place::Shard(shard)) => Some(shard),
            Some(Place::Port(_)) => None,
            None => self.relays().find(node).map(|relay| relay.shard),
        }
    }

    /// Whether messages to a node may reach it, as far as can be known here.
    pub(crate) fn is_reachable(&self, node: NodeId) -> bool {
        self.is_running(node) || (self.place(node).is_none() && self.relays().find(node).is_some())
    }

    /// An id that no port had before.
    pub(crate) fn port_id(&self) -> NodeId {
        let mut next = self.next_port.lock().unwrap_or_else(PoisonError::into_inner);
        let id = *next;
        *next = next.checked_add(1).unwrap_or(FIRST_PORT);
        NodeId(id)
    }

    pub(crate) fn counters(&self) -> Vec<ShardCounters> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = self.counters.iter();
        all.map(|shard| ShardCounters {
            turns: read(&shard.turns),
            sleeps: read(&shard.sleeps),
            events: read(&shard.events),
        })
        .collect()
    }
}
