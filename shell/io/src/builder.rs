//! Putting a runtime together and starting it.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use formats::work::{Done, Work};
use glossary::NodeId;

use crate::compute::Compute;
use crate::disk::{Backend, Portable, Uring};
use crate::gateway::Gateway;
use crate::guard::AbortOnPanic;
use crate::hub::{Counters, FIRST_PORT, Hub, Place};
use crate::mailbox::{Address, Mailbox, mailbox};
use crate::poller::Poller;
use crate::relay::Relay;
use crate::runtime::{Handle, Runtime};
use crate::settings::{IoChoice, Settings};
use crate::shard::{Command, Links, NewTenant, Node, Parts, Shard, Starting};
use crate::spec::{GatewaySpec, NodeSpec, StartError};

/// A runtime that is being put together.
pub struct Builder<N> {
    settings: Settings,
    /// By shard.
    starting: Vec<Vec<Starting<N>>>,
    places: Vec<(NodeId, usize)>,
    relays: Vec<Relay>,
    /// The first mistake; told by [`Builder::start`].
    error: Option<StartError>,
}

impl<N: Node> Builder<N> {
    /// A runtime without nodes.
    ///
    /// # Panics
    /// When there is no shard.
    pub fn new(settings: Settings) -> Self {
        assert!(settings.shards > 0, "nodes live on shards");
        let starting = (0..settings.shards).map(|_| Vec::new()).collect();
        Builder { settings, starting, places: Vec::new(), relays: Vec::new(), error: None }
    }

    /// Adds a node.
    ///
    /// # Panics
    /// When there is no such shard, or the id is taken.
    #[must_use]
    pub fn node(mut self, spec: NodeSpec<N>) -> Self {
        let (id, shard) = (spec.id, spec.shard);
        match spec.prepare(&self.settings) {
            Ok(starting) => self.add(id, shard, starting),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// Adds a gateway.
    ///
    /// # Panics
    /// When there is no such shard, or the id is taken.
    #[must_use]
    pub fn gateway(mut self, spec: GatewaySpec) -> Self {
        let GatewaySpec { id, name, shard, gateway } = spec;
        self.relays.extend(relays_of(id, shard, gateway.as_ref()));
        self.add(id, shard, Starting { node: id, name, tenant: NewTenant::Gateway(gateway) });
        self
    }

    fn add(&mut self, id: NodeId, shard: usize, starting: Starting<N>) {
        assert!(id.0 < FIRST_PORT, "ids from {FIRST_PORT:#x} on are those of ports");
        assert!(self.places.iter().all(|(taken, _)| *taken != id), "node {id} is added twice");
        self.places.push((id, shard));
        self.starting[shard].push(starting);
    }

    /// Starts everything; `perform` does the work that leaves the event loops. Returns when every node and
    /// gateway has been told to start.
    ///
    /// # Errors
    /// When a folder can't be opened, a gateway can't start, or the operating system refuses. Nothing runs
    /// then.
    pub fn start(
        self,
        perform: impl Fn(Work) -> Done + Send + Sync + 'static,
    ) -> Result<Runtime<N>, StartError> {
        let Builder { settings, starting, places, relays, error } = self;
        error.map_or(Ok(()), Err)?;
        let shards = settings.shards;
        let (hub, mailboxes) = hub(&settings)?;
        for (node, shard) in places {
            hub.announce(node, Some(Place::Shard(shard)));
        }
        relays.iter().for_each(|relay| hub.announce_relay(relay));
        let compute = Compute::start(settings.compute_threads, Arc::new(perform))
            .map_err(StartError::system("threads that compute"))?;
        let links: Vec<Option<Links>> = if settings.frames {
            let links = Links::among(shards).map_err(StartError::system("sockets between shards"))?;
            links.into_iter().map(Some).collect()
        } else {
            (0..shards).map(|_| None).collect()
        };
        let (commands, orders): (Vec<_>, Vec<_>) =
            (0..shards).map(|_| crossbeam_channel::unbounded()).unzip();
        let (alive, ended) = crossbeam_channel::bounded(0);
        let settings = Arc::new(settings);
        // From here on an error drops the runtime, which ends the shards that run.
        let runtime = Runtime::new(Handle::new(Arc::clone(&hub), commands, Arc::clone(&settings)), ended);
        let each = mailboxes.into_iter().zip(links).zip(orders).zip(starting).enumerate();
        let threads = each.map(|(index, (((mailbox, links), orders), starting))| {
            let (hub, compute, settings) = (Arc::clone(&hub), compute.clone(), Arc::clone(&settings));
            ShardThread { index, mailbox, links, orders, starting, hub, compute, settings }
        });
        let begun = start_all(threads, alive)?;
        for begun in begun {
            begun.recv().unwrap_or(Err(StartError::Ended))?;
        }
        Ok(runtime)
    }
}

/// What a gateway speaks for.
pub(crate) fn relays_of(id: NodeId, shard: usize, gateway: &dyn Gateway) -> Vec<Relay> {
    gateway.speaks_for().into_iter().map(|nodes| Relay { nodes, gateway: id, shard }).collect()
}

fn hub(settings: &Settings) -> Result<(Arc<Hub>, Vec<Mailbox>), StartError> {
    let mailboxes: rustix::io::Result<Vec<(Address, Mailbox)>> =
        (0..settings.shards).map(|_| mailbox()).collect();
    let mailboxes = mailboxes.map_err(|error| StartError::system("event descriptors")(error.into()))?;
    let (addresses, mailboxes) = mailboxes.into_iter().unzip();
    let counters = (0..settings.shards).map(|_| Arc::new(Counters::default())).collect();
    Ok((Arc::new(Hub::new(addresses, counters, settings)), mailboxes))
}

/// Starts the threads. `alive` is theirs alone afterwards: it ends with the last of them.
fn start_all<N: Node>(
    threads: impl Iterator<Item = ShardThread<N>>,
    alive: Sender<()>,
) -> Result<Vec<Receiver<Result<(), StartError>>>, StartError> {
    threads.map(|thread| thread.start(alive.clone())).collect()
}

/// What a shard's thread starts with.
struct ShardThread<N> {
    index: usize,
    mailbox: Mailbox,
    links: Option<Links>,
    orders: Receiver<Command<N>>,
    starting: Vec<Starting<N>>,
    hub: Arc<Hub>,
    compute: Compute,
    settings: Arc<Settings>,
}

impl<N: Node> ShardThread<N> {
    /// Starts the thread. It says how it began, and holds `alive` until it ends.
    fn start(self, alive: Sender<()>) -> Result<Receiver<Result<(), StartError>>, StartError> {
        let (told, begun) = crossbeam_channel::bounded(1);
        let body = move || {
            let _alive = alive;
            let _whole = AbortOnPanic("a shard");
            self.run(&told);
        };
        let thread = thread::Builder::new().name("shard".into());
        thread.spawn(body).map_err(StartError::system("a thread for a shard"))?;
        Ok(begun)
    }

    fn run(self, told: &Sender<Result<(), StartError>>) {
        let ShardThread { index, mailbox, links, orders, starting, hub, compute, settings } = self;
        let built = (|| {
            let poller = Poller::new().map_err(|error| StartError::system("epoll")(error.into()))?;
            let backend = backend(settings.io).map_err(StartError::system("io_uring"))?;
            let parts = Parts { index, mailbox, poller, backend, hub, links, compute };
            Shard::new(parts, orders, settings.spin.duration(settings.shards))
                .map_err(StartError::system("epoll"))
        })();
        // The builder waits to hear, unless another shard failed before.
        let mut shard = match built {
            Ok(shard) => shard,
            Err(error) => return drop(told.send(Err(error))),
        };
        let failure = shard.begin_all(starting).into_iter().next();
        let failure = failure.map(|(node, name, failure)| StartError::from_failure(node, name, failure));
        let _ = told.send(failure.map_or(Ok(()), Err));
        shard.run();
    }
}

/// The backend of choice, built on the thread that will use it.
fn backend(choice: IoChoice) -> std::io::Result<Box<dyn Backend>> {
    match choice {
        IoChoice::Portable => Ok(Box::new(Portable)),
        IoChoice::Uring => Ok(Box::new(Uring::new()?)),
        IoChoice::Auto => match Uring::new() {
            Ok(uring) => Ok(Box::new(uring)),
            Err(error) => {
                tracing::info!(%error, "no io_uring here: disks are reached by threads");
                Ok(Box::new(Portable))
            }
        },
    }
}
