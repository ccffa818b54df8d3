//! Where the servers are: what the configuration says, and above that what servers say of themselves in the KV.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ::roles::Role;
use formats::Message;
use formats::message::kv::{
    Consistency, KvAnswer, KvBody, KvCommand, KvFound, KvQuery, KvReply, KvRequest, KvStep,
};
use formats::message::kv_range::KvRange;
use formats::registry::{self, ServerRecord};
use glossary::{NodeId, ServerId};
use io::Handle;
use links::Addresses;

use super::asker::Asker;
use crate::config::{Address, ServerConfig};
use crate::failure::Failure;
use crate::up;
use crate::up::directory::write_file;

/// How often the KV is asked where servers are, and names are looked up.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The first place of askers among the nodes of a server. Each has its own: an answer that comes late finds nobody.
const FIRST_PLACE: u16 = 0xff01;

/// The last.
const LAST_PLACE: u16 = 0xfffe;

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
    pub(crate) fn keep(
        config: &ServerConfig,
        handle: Handle<Role>,
        addresses: Addresses,
    ) -> Result<Self, Failure> {
        let mut keeper = Keeper {
            server: config.server,
            own: own_address(config)?,
            configured: config.servers.clone(),
            recorded: remembered(&config.data),
            data: config.data.clone(),
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
    server: ServerId,
    own: String,
    configured: BTreeMap<ServerId, Address>,
    /// As the KV had them when it was last heard.
    recorded: BTreeMap<ServerId, Address>,
    data: PathBuf,
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
                // A member that has just started may know nothing yet.
                if !records.is_empty() && records != self.recorded {
                    self.recorded = records;
                    self.remember();
                    self.publish();
                }
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

    /// Keeps a copy beside the data: after a restart the others must be found before the KV can be asked where they are.
    fn remember(&self) {
        let record = |(server, address): (&ServerId, &Address)| ServerRecord {
            server: *server,
            address: address.to_string(),
        };
        let records: Vec<ServerRecord> = self.recorded.iter().map(record).collect();
        if let Err(error) = write_file(&self.data.join(REMEMBERED), &registry::encode(&records)) {
            tracing::warn!("where the servers are can't be written to {}: {error}", self.data.display());
        }
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

    /// What this server's own member has applied: no leader is needed for that, as finding one needs addresses.
    fn records(&mut self) -> Option<BTreeMap<ServerId, Address>> {
        let range = KvRange::prefix(registry::SERVER_PREFIX);
        let query = KvQuery::Page { range, is_reverse: false, keys_only: false, limit: PAGE };
        let body = KvBody::Read { consistency: Consistency::Stale, query };
        let ask = |request| Message::Kv(KvRequest { request, body });
        match self.handle.port().ask(NodeId::kv_of(self.server), ASK_EVERY, ask).ok()? {
            Message::KvReply(KvReply {
                body: KvAnswer::Read { found: KvFound::Pairs { pairs, .. }, .. },
                ..
            }) => {
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
