//! Where the servers are: what the configuration says, and above that what servers say of themselves in the KV.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use formats::Message;
use formats::message::kv::{Consistency, KvAnswer, KvBody, KvCommand, KvFound, KvQuery, KvRequest, KvStep};
use formats::message::kv_range::KvRange;
use formats::registry::{self, ServerRecord};
use glossary::{NodeId, ServerId};
use links::Addresses;

use crate::config::{Address, ServerConfig};
use crate::failure::Failure;
use crate::group;
use crate::storage::layout::write_file;
use crate::storage::members::KvMembers;
use crate::storage::ports::Ports;
use crate::storage::{self, asker::Asker};

/// How often the KV is asked where servers are, and names are looked up.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long a question to the group may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The file that remembers where servers are, among the data.
const REMEMBERED: &str = "servers";

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
    pub(crate) fn keep(config: &ServerConfig, ports: Ports, addresses: Addresses) -> Result<Self, Failure> {
        let mut keeper = Keeper {
            config: config.clone(),
            own: own_address(config)?,
            recorded: remembered(&config.data),
            has_kv: config.roles.has(certificates::Role::Kv),
            ports,
            addresses,
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
pub(crate) fn own_address(config: &ServerConfig) -> Result<String, Failure> {
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
    config: ServerConfig,
    own: String,
    /// As the KV had them when it was last heard.
    recorded: BTreeMap<ServerId, Address>,
    /// Whether a member of the group runs here.
    has_kv: bool,
    ports: Ports,
    addresses: Addresses,
}

impl Keeper {
    fn look(&mut self) {
        self.publish();
        match self.records() {
            Some(records) => {
                let own = records.get(&self.config.server).map(ToString::to_string);
                if own.as_deref() != Some(&self.own) {
                    self.record_own();
                }
                // A member that has just started may know nothing yet.
                if !records.is_empty() && records != self.recorded {
                    self.recorded = records;
                    self.remember();
                    self.publish();
                }
            }
            // It may do so in vain: whoever doesn't know where this server is can't answer it.
            None if !self.has_kv => match group::announce(&self.config) {
                Ok(()) => tracing::info!(address = self.own, "the KV knows where this server is"),
                Err(failure) => tracing::debug!("{failure}"),
            },
            None => tracing::debug!("the KV doesn't say where servers are"),
        }
    }

    /// The addresses that count from now on: those of the KV, which are newer, before those of the configuration.
    fn publish(&self) {
        let mut known = self.config.servers.clone();
        known.extend(self.recorded.clone());
        known.remove(&self.config.server);
        let resolved =
            known.iter().filter_map(|(server, address)| Some((*server, resolve(*server, address)?)));
        self.addresses.replace(resolved.collect());
    }

    /// Keeps a copy beside the data: after a restart the others must be found before the KV can be asked where they are.
    fn remember(&self) {
        let record = |(server, address): (&ServerId, &Address)| ServerRecord {
            server: *server,
            address: address.to_string(),
        };
        let records: Vec<ServerRecord> = self.recorded.iter().map(record).collect();
        if let Err(error) = write_file(&self.config.data.join(REMEMBERED), &registry::encode(&records)) {
            tracing::warn!(
                "where the servers are can't be written to {}: {error}",
                self.config.data.display()
            );
        }
    }

    /// An asker of all servers that are known: those that are no members say so.
    fn asker(&self) -> Option<Asker> {
        let own = self.has_kv.then_some(&self.config.server);
        let others =
            self.config.servers.keys().chain(self.recorded.keys()).filter(|it| **it != self.config.server);
        let servers: BTreeSet<ServerId> = others.chain(own).copied().collect();
        let group: Vec<NodeId> = servers.into_iter().map(NodeId::kv_of).collect();
        let entropy = storage::entropy().ok().filter(|_| !group.is_empty())?;
        Some(Asker::new(self.ports.open(), KvMembers::new(group), PATIENCE, entropy))
    }

    /// What this server's own member has applied, or any where it has none: no leader is needed for that, as finding one
    /// needs addresses.
    fn records(&self) -> Option<BTreeMap<ServerId, Address>> {
        let range = KvRange::prefix(registry::SERVER_PREFIX);
        let query = KvQuery::Page { range, is_reverse: false, keys_only: false, limit: PAGE };
        let answer = match self.has_kv {
            true => self.ask_own(query)?,
            false => self.asker()?.stale(query).ok()?,
        };
        let KvAnswer::Read { found: KvFound::Pairs { pairs, .. }, .. } = answer else { return None };
        let records = pairs.iter().filter_map(|(_, value)| registry::decode::<ServerRecord>(value));
        Some(records.filter_map(|it| Some((it.server, it.address.parse().ok()?))).collect())
    }

    fn ask_own(&self, query: KvQuery) -> Option<KvAnswer> {
        let body = KvBody::Read { consistency: Consistency::Stale, query };
        let ask = |request| Message::Kv(KvRequest { request, body });
        match self.ports.open().ask(NodeId::kv_of(self.config.server), ASK_EVERY, ask).ok()? {
            Message::KvReply(reply) => Some(reply.body),
            _ => None,
        }
    }

    fn record_own(&self) {
        let record = ServerRecord { server: self.config.server, address: self.own.clone() };
        let set =
            KvStep::Set { key: registry::server_key(self.config.server), value: registry::encode(&record) };
        let told = self.asker().map(|mut asker| asker.command(KvCommand::Sequence(vec![set])));
        if let Some(Ok(KvAnswer::Done(_))) = told {
            tracing::info!(address = self.own, "the KV knows where this server is");
        }
    }
}

/// What an earlier life remembered. A copy that can't be read is made anew when the KV says where servers are.
pub(crate) fn remembered(data: &Path) -> BTreeMap<ServerId, Address> {
    let bytes = std::fs::read(data.join(REMEMBERED)).unwrap_or_default();
    let records: Vec<ServerRecord> = registry::decode(&bytes).unwrap_or_default();
    records.into_iter().filter_map(|it| Some((it.server, it.address.parse().ok()?))).collect()
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
