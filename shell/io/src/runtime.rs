//! A runtime at work, as programs see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use glossary::NodeId;

use crate::builder::relays_of;
use crate::hub::{Hub, NodeState, Place, ShardCounters};
use crate::mailbox::Input;
use crate::port::Port;
use crate::settings::Settings;
use crate::shard::{Command, NewTenant, Node, Starting};
use crate::spec::{GatewaySpec, NodeSpec, StartError};

/// How long a runtime that is dropped waits for what is in flight.
const PATIENCE_ON_DROP: Duration = Duration::from_secs(10);

/// Runs nodes and gateways until it is shut down or dropped.
pub struct Runtime<N: Node> {
    handle: Handle<N>,
    /// Disconnected when all shards have ended.
    ended: Receiver<()>,
}

/// A way to the runtime, for any thread.
pub struct Handle<N> {
    hub: Arc<Hub>,
    commands: Vec<Sender<Command<N>>>,
    settings: Arc<Settings>,
}

/// What was told to stop waits for its disk still, or a gateway for its guests. It goes on stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has not come to an end in time")]
pub struct StillStopping;

impl<N: Node> Runtime<N> {
    pub(crate) fn new(handle: Handle<N>, ended: Receiver<()>) -> Self {
        Runtime { handle, ended }
    }

    /// A handle to give away.
    pub fn handle(&self) -> Handle<N> {
        self.handle.clone()
    }

    /// Drops all nodes and gateways at once, waits until their disks have done what was begun, and ends the
    /// threads. A clean stop stops gateways first, then flushes ([`Handle::stop_node`], [`Port::ask`]).
    ///
    /// # Errors
    /// When a disk takes longer than `patience`.
    pub fn shut_down(self, patience: Duration) -> Result<(), StillStopping> {
        self.end(patience)
    }

    fn end(&self, patience: Duration) -> Result<(), StillStopping> {
        (0..self.handle.commands.len()).for_each(|shard| self.handle.command(shard, Command::End));
        match self.ended.recv_timeout(patience) {
            Err(RecvTimeoutError::Disconnected) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Timeout) => Err(StillStopping),
        }
    }
}

impl<N: Node> std::ops::Deref for Runtime<N> {
    type Target = Handle<N>;

    fn deref(&self) -> &Handle<N> {
        &self.handle
    }
}

impl<N: Node> Drop for Runtime<N> {
    fn drop(&mut self) {
        if self.end(PATIENCE_ON_DROP).is_err() {
            tracing::error!("a disk didn't finish what was begun");
        }
    }
}

impl<N> Clone for Handle<N> {
    fn clone(&self) -> Self {
        let (hub, settings) = (Arc::clone(&self.hub), Arc::clone(&self.settings));
        Handle { hub, commands: self.commands.clone(), settings }
    }
}

impl<N: Node> Handle<N> {
    pub(crate) fn new(hub: Arc<Hub>, commands: Vec<Sender<Command<N>>>, settings: Arc<Settings>) -> Self {
        Handle { hub, commands, settings }
    }

    /// Starts a node with a new state: one that was never there, was stopped, or has halted. Stop the latter
    /// too, so that what it had in flight has ended.
    ///
    /// # Errors
    /// When its folder can't be opened, it runs, its last life waits for its disk still, or the runtime ended.
    ///
    /// # Panics
    /// When there is no such shard, or the node lived on another.
    pub fn start_node(&self, spec: NodeSpec<N>) -> Result<(), StartError> {
        let shard = spec.shard;
        self.start(shard, spec.prepare(&self.settings)?)
    }

    /// Starts a gateway.
    ///
    /// # Errors
    /// When it can't start, it runs, or the runtime ended.
    ///
    /// # Panics
    /// When there is no such shard, or the gateway lived on another.
    pub fn start_gateway(&self, spec: GatewaySpec) -> Result<(), StartError> {
        let GatewaySpec { id, name, shard, gateway } = spec;
        relays_of(id, shard, gateway.as_ref()).iter().for_each(|relay| self.hub.announce_relay(relay));
        self.start(shard, Starting { node: id, name, tenant: NewTenant::Gateway(gateway) })
    }

    fn start(&self, shard: usize, starting: Starting<N>) -> Result<(), StartError> {
        let (node, name) = (starting.node, starting.name.clone());
        match self.hub.place(node) {
            None => self.hub.announce(node, Some(Place::Shard(shard))),
            Some(Place::Shard(there)) => assert_eq!(there, shard, "a node stays on its shard"),
            Some(Place::Port(_)) => panic!("ids of ports are not for nodes"),
        }
        let (answer, started) = crossbeam_channel::bounded(1);
        self.command(shard, Command::Start(Box::new(starting), answer));
        let started = started.recv().map_err(|_| StartError::Ended)?;
        started.map_err(|failure| StartError::from_failure(node, name, failure))
    }

    /// Stops a node, as a crash would: its state is gone, what it had in flight ends or doesn't, and none of
    /// it reaches its next life. Returns when its disk has nothing of it in flight any more. A gateway is
    /// asked to stop ([`crate::Gateway::stop`]), and dropped when `patience` ends. What is unknown or has
    /// stopped is stopped.
    ///
    /// # Errors
    /// When something was in flight still when `patience` ended.
    pub fn stop_node(&self, node: NodeId, patience: Duration) -> Result<(), StillStopping> {
        let Some(Place::Shard(shard)) = self.hub.place(node) else { return Ok(()) };
        let (answer, stopped) = crossbeam_channel::bounded(1);
        self.command(shard, Command::Stop(node, answer));
        match stopped.recv_timeout(patience) {
            // The shard dropped the question: the runtime has ended.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                self.command(shard, Command::Abandon(node));
                Err(StillStopping)
            }
        }
    }

    /// A port for one thread to ask nodes through.
    pub fn port(&self) -> Port {
        Port::open(Arc::clone(&self.hub))
    }

    /// A port with an id of its owner's choice, which nobody else has: other processes answer only to nodes of the
    /// server that a message comes from.
    ///
    /// # Panics
    /// When the id is taken.
    pub fn port_at(&self, id: NodeId) -> Port {
        assert!(!self.is_taken(id), "the id of a port is nobody else's");
        Port::open_at(id, Arc::clone(&self.hub))
    }

    /// Whether an id is that of a node or port of this runtime.
    pub fn is_taken(&self, id: NodeId) -> bool {
        self.hub.place(id).is_some()
    }

    /// Every node and gateway that was ever started: its name, and how it is.
    pub fn states(&self) -> BTreeMap<NodeId, (String, NodeState)> {
        self.hub.states()
    }

    /// Logs nodes that halted, now and from now on, where [`crate::Settings::log_halts`] put it off.
    pub fn log_halts(&self) {
        self.hub.log_halts();
    }

    /// What each shard counted.
    pub fn counters(&self) -> Vec<ShardCounters> {
        self.hub.counters()
    }

    fn command(&self, shard: usize, command: Command<N>) {
        // After the end nobody is there to obey, and none to stop.
        if self.commands[shard].send(command).is_ok() {
            self.hub.addresses[shard].post(Input::Command);
        }
    }
}
