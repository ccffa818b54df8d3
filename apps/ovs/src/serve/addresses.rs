//! Where the servers are: what the configuration says, and above that what servers say of themselves in the KV.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ::roles::Role;
use formats::message::kv::{KvAnswer, KvCommand, KvQuery, KvStep};
use formats::registry::{self, ServerRecord};
use glossary::{NodeId, ServerId};
use io::Handle;
use links::Addresses;

use super::asker::Asker;
use crate::config::{Address, ServerConfig};
use crate::failure::Failure;
use crate::up;

/// How often the KV is asked where servers are, and names are looked up.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// The first place of askers among the nodes of a server. Each has its own: an answer that comes late finds nobody.
const FIRST_PLACE: u16 = 0xff01;

/// The last.
const LAST_PLACE: u16 = 0xfffe;

/// Servers read at once.
const PAGE: u32 = 1000;

/// Keeps the addresses of servers up to date, in a thread, until it is dropped.
pub(crate) struct Directory {
    /// Its end tells the thread to end.
    tell: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Directory {
    /// Fills in what the configuration says, and goes on with a thread.
    pub(crate) fn keep(
        config: &ServerConfig,
        handle: Handle<Role>,
        addresses: Addresses,
    ) -> Result<Self, Failure> {
        let mut keeper = Keeper {
            server: config.server,
            own: own_address(config)?,
            configured: config.servers.clone(),
            recorded: BTreeMap::new(),
            handle,
            addresses,
            next_place: FIRST_PLACE,
        };
        keeper.publish();
        let (tell, told) = channel::<()>();
        let run = move || {
            while told.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Timeout) {
                keeper.look();
                if told.recv_timeout(ASK_EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("addresses".into()).spawn(run);
        let thread = thread.map_err(|error| Failure::system("starting a thread", &error))?;
        Ok(Directory { tell: Some(tell), thread: Some(thread) })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(self.tell.take());
        // A question that waits for a leader may take its time; nobody waits for its answer.
        drop(self.thread.take());
    }
}

/// Where others reach this server.
fn own_address(config: &ServerConfig) -> Result<String, Failure> {
    match config.servers.get(&config.server) {
        Some(address) => Ok(address.to_string()),
        None if !config.listen.ip().is_unspecified() => Ok(config.listen.to_string()),
        None => Err(Failure::usage(format!(
            "it listens on {}, which is no address for others: say in [servers] where they reach server {}",
            config.listen, config.server
        ))),
    }
}

/// What the thread knows.
struct Keeper {
    server: ServerId,
    own: String,
    configured: BTreeMap<ServerId, Address>,
    /// As the KV had them when it was last heard.
    recorded: BTreeMap<ServerId, Address>,
    handle: Handle<Role>,
    addresses: Addresses,
    next_place: u16,
}

impl Keeper {
    fn look(&mut self) {
        self.publish();
        match self.records() {
            Some(records) => {
                let own = records.get(&self.server).map(ToString::to_string);
                if own.as_deref() != Some(&self.own) {
                    self.record_own();
                }
                self.recorded = records;
                self.publish();
            }
            None => tracing::debug!("the KV doesn't say where servers are"),
        }
    }

    /// The addresses that count from now on: those of the KV, which are newer, before those of the configuration.
    fn publish(&self) {
        let mut known = self.configured.clone();
        known.extend(self.recorded.clone());
        known.remove(&self.server);
        let resolved =
            known.iter().filter_map(|(server, address)| Some((*server, resolve(*server, address)?)));
        self.addresses.replace(resolved.collect());
    }

    /// An asker of all servers that are known: those that are no members say nothing.
    fn asker(&mut self) -> Option<Asker> {
        let servers = self.configured.keys().chain(self.recorded.keys()).chain([&self.server]);
        let servers: std::collections::BTreeSet<ServerId> = servers.copied().collect();
        let group = servers.into_iter().map(NodeId::kv_of).collect();
        let place = self.next_place;
        self.next_place = if place == LAST_PLACE { FIRST_PLACE } else { place + 1 };
        let seed = up::seed().ok()?;
        let session = u64::from_le_bytes(seed.first_chunk().copied()?);
        Some(Asker::new(self.server, place, session, group, &self.handle))
    }

    fn records(&mut self) -> Option<BTreeMap<ServerId, Address>> {
        let prefix = registry::SERVER_PREFIX.to_vec();
        let query = KvQuery::Range { from: prefix.clone(), prefix, limit: PAGE };
        match self.asker()?.query(query)? {
            KvAnswer::Range { pairs, .. } => {
                let records = pairs.iter().filter_map(|(_, value)| registry::decode::<ServerRecord>(value));
                Some(records.filter_map(|it| Some((it.server, it.address.parse().ok()?))).collect())
            }
            _ => None,
        }
    }

    fn record_own(&mut self) {
        let record = ServerRecord { server: self.server, address: self.own.clone() };
        let set = KvStep::Set { key: registry::server_key(self.server), value: registry::encode(&record) };
        let told = self.asker().and_then(|mut asker| asker.command(KvCommand::Sequence(vec![set])));
        if let Some(KvAnswer::Done(_)) = told {
            tracing::info!(address = self.own, "the KV knows where this server is");
        }
    }
}

fn resolve(server: ServerId, address: &Address) -> Option<SocketAddr> {
    match address.resolve() {
        Ok(found) => found.into_iter().next(),
        Err(error) => {
            tracing::warn!(%server, %address, "a server's address can't be looked up: {error}");
            None
        }
    }
}
