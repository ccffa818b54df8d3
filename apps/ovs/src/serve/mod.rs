//! `ovs serve`: one server of a cluster, in one process.

mod addresses;
mod alarms;
mod anew;
mod disks;
mod folder;
mod healing;
mod owner;
mod store;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::roles::Role;
use certificates::Credentials;
use consensus::Member;
use formats::kv_member::MemberFile;
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupVerb, RoleStatus};
use glossary::NodeId;
use io::{Builder, GatewaySpec, Handle, NodeSpec, NodeState, Runtime, Settings};
use links::{Addresses, Audit, Links, LocalSocket, Trust};

use crate::cli::Serve;
use crate::config::{ServerConfig, StorageConfig};
use crate::failure::{ExitCode, Failure};
use crate::group;
use crate::storage::casting::SHARDS;
use crate::storage::layout::{Layout, check_socket_path};
use crate::storage::nodes::Nodes;
use crate::storage::ports::Ports;
use crate::storage::signals::Signals;
use crate::storage::{ask, failed_start, folders, limits, versions};
use addresses::Directory;
pub(crate) use addresses::own_address;
pub(crate) use addresses::remembered;
use alarms::Alarms;
pub(crate) use alarms::days_left;
pub(crate) use anew::{Anew, become_anew};
pub(crate) use folder::Folder;
use store::Store;

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(5);

/// How long another member may take to lead when this one stops.
const HAND_OVER: Duration = Duration::from_secs(1);

/// How often it is looked whether the KV still runs.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often the group is asked anew, and it is logged why this server is not in it yet.
const JOIN_EVERY: Duration = Duration::from_secs(30);

/// The place of the links among the nodes of a server.
const LINKS_PLACE: u16 = 0xff00;

/// Runs a server until a signal ends it.
pub(crate) fn run(arguments: &Serve) -> Result<(), Failure> {
    let configured = &arguments.configured;
    let config = ServerConfig::load(&configured.config, &arguments.overrides())?;
    let signals = Signals::catch()?;
    if !healing::heal(&config, &signals)? {
        return Ok(());
    }
    match serve(&config, arguments, &signals)? {
        Ended::Asked => Ok(()),
        // Who wants it to end doesn't want it to begin again.
        Ended::Damaged(reason) if signals.wait_for(Duration::ZERO)? => Err(Failure::refused(reason)),
        Ended::Damaged(reason) => Err(healing::begin_again(&config, &reason)),
    }
}

/// What ended a server that didn't fail.
enum Ended {
    /// A signal.
    Asked,
    /// The KV's log is damaged, and the others may give it everything anew.
    Damaged(String),
}

/// Serves.
fn serve(config: &ServerConfig, arguments: &Serve, signals: &Signals) -> Result<Ended, Failure> {
    let trust = Trust::new(credentials(config)?);
    // Found out before anything is touched. Others who ask while this server asks them would wait for each other.
    drop(bind(config.listen)?);
    let guests = config.storage.edge.as_ref().map(|edge| bind(edge.nbd)).transpose()?;
    let disks = config.storage.asd.as_ref().map_or(0, |asd| asd.disks as usize);
    limits::raise_descriptors(disks)?;
    let folder = Folder::open(config)?;
    limits::check_room(folder.layout().root())?;
    check_storage(config, folder.layout())?;
    // At `ovs kv init` the others may not have run yet.
    if let Some(first) = folder.member().and_then(|file| file.first.as_ref()).filter(|_| folder.is_new()) {
        group::refuse_another(config, first)?;
    }
    let listener = bind(config.listen)?;
    let addresses = Addresses::default();
    let runtime = start(config, &folder, listener, &trust, &addresses)?;
    trust.watch().map_err(|error| Failure::system("starting a thread", &error))?;
    let ports = Ports::new(config.server, runtime.handle());
    let directory = Directory::keep(config, ports.clone(), addresses)?;
    let data = config.data.display();
    say(&format!(
        "server {} of cluster {} in {data}\nready {}\n",
        config.server, config.cluster, config.listen
    ));
    let joins =
        folder.member().filter(|file| file.first.is_none() && !folder.has_joined(config, file.member));
    if let Some(file) = joins {
        join(config.clone(), file.member)?;
    }
    let alarms = Alarms::new(config, ports.clone(), trust);
    let mut storing = Storing::begin(config, &folder, runtime.handle(), ports, guests, arguments)?;
    let ended = wait(config, &runtime, signals, (&mut storing, alarms));
    drop((directory, storing));
    match (stop(config, runtime), ended) {
        // What is to be done about it is more than that it was slow.
        (Err(slow), Ok(Ended::Damaged(reason))) => {
            tracing::warn!("{slow}");
            Ok(Ended::Damaged(reason))
        }
        (stopped, ended) => stopped.and(ended),
    }
}

/// Says that it serves, to whoever listens: who started it may have stopped listening before it began again.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Refuses what is known of folders without the KV, before anything is touched: those in the wrong place, and formats that
/// are newer than this program.
fn check_storage(config: &ServerConfig, layout: &Layout) -> Result<(), Failure> {
    if config.storage == StorageConfig::default() {
        return Ok(());
    }
    check_socket_path(layout.root())?;
    let asds = folders::check_places(layout, config.cluster)?;
    versions::check(layout, &asds)
}

/// The thread that starts what a server stores, and looks after it.
struct Storing {
    /// Its end tells the thread to end.
    _tell: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

impl Storing {
    fn begin(
        config: &ServerConfig,
        folder: &Folder,
        handle: Handle<Role>,
        ports: Ports,
        listener: Option<TcpListener>,
        arguments: &Serve,
    ) -> Result<Self, Failure> {
        if config.storage == StorageConfig::default() {
            return Ok(Storing { _tell: None, thread: None });
        }
        let (tell, ended) = channel();
        let (config, layout) = (config.clone(), folder.layout().clone());
        let accept_loss = arguments.accept_write_buffer_loss;
        let store = Store { config, layout, handle, ports, listener, accept_loss, ended };
        let thread = std::thread::Builder::new().name("storage".into()).spawn(move || store.run());
        let thread = thread.map_err(|error| Failure::system("starting a thread", &error))?;
        Ok(Storing { _tell: Some(tell), thread: Some(thread) })
    }

    /// What ended it, where it has come to a bad end.
    fn end(&mut self) -> Result<(), Failure> {
        match self.thread.take_if(|thread| thread.is_finished()).map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(Failure::new(
                ExitCode::Failed,
                "the thread of what is stored has ended; its log says why",
            )),
        }
    }
}

/// Loads the certificate, and checks that it is this server's.
fn credentials(config: &ServerConfig) -> Result<Credentials, Failure> {
    let path = config.certificates.display();
    let credentials = Credentials::load(&config.certificates)
        .map_err(|error| Failure::refused(format!("the certificate in {path} can't be used: {error}")))?;
    let me = credentials.me();
    if me.cluster != config.cluster || me.server != Some(config.server) {
        return Err(Failure::refused(format!(
            "the certificate in {path} is that of {} of cluster {}, and the configuration is that of server-{} of \
             cluster {}: put the right one there",
            me.name, me.cluster, config.server, config.cluster
        )));
    }
    match config.roles.iter().find(|role| !me.roles.has(*role)) {
        Some(role) => Err(Failure::refused(format!(
            "the certificate in {path} doesn't allow {}, which the configuration wants: issue one that does (ovs cluster \
             renew --roles)",
            role.name()
        ))),
        None => Ok(credentials),
    }
}

/// Takes a port before anything is touched.
fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::new(
            ExitCode::Busy,
            format!("{address} is in use: stop what uses it, or listen elsewhere"),
        ),
        _ => Failure::system(&format!("listening on {address}"), &error),
    })
}

fn start(
    config: &ServerConfig,
    folder: &Folder,
    listener: TcpListener,
    trust: &Trust,
    addresses: &Addresses,
) -> Result<Runtime<Role>, Failure> {
    let refused = |error: &dyn std::error::Error| Failure::new(ExitCode::System, error.to_string());
    let layout = folder.layout();
    let local = LocalSocket::bind(&layout.kv_socket()).map_err(|error| refused(&error))?;
    let audit = Audit::open(&layout.audit()).map_err(|error| refused(&error))?;
    let runs_kv = folder.member().is_some();
    let settings = links::Settings { runs_kv, ..links::Settings::new(config.cluster, config.server) };
    let links = Links::new(settings, audit, local)
        .with_servers(listener, trust.clone(), addresses.clone())
        .map_err(|error| Failure::system("listening", &error))?;
    // On one thread a request passes from its link to the KV and back without waking anybody, which costs more than what
    // TLS computes; and the KV has its turn between any two receives of a link. Guests have a thread of their own.
    let shards = if config.storage == StorageConfig::default() { 1 } else { SHARDS };
    let shard = shards - 1;
    let links = GatewaySpec {
        id: NodeId::at(config.server, LINKS_PLACE),
        name: "links".into(),
        shard,
        gateway: Box::new(links),
    };
    let settings = Settings { shards, log_halts: false, ..Settings::default() };
    let builder = Builder::new(settings).gateway(links);
    let builder = match folder.member() {
        Some(member) => builder.node(kv(config, member, layout, shard)),
        None => builder,
    };
    builder.start(::roles::perform).map_err(|error| failed_start(&error))
}

fn kv(config: &ServerConfig, member: &MemberFile, layout: &Layout, shard: usize) -> NodeSpec<Role> {
    NodeSpec {
        id: NodeId::kv_of(config.server),
        name: "kv".into(),
        shard,
        folder: Some(layout.kv()),
        past_page_cache: false,
        machine: ::roles::kv_member(config.cluster, member.member, member.first.clone(), config.kv_level),
        tap: None,
    }
}

/// Asks the group to take this server in, from a thread, until it has: the KV runs, and is waited for.
fn join(mut config: ServerConfig, member: Member) -> Result<(), Failure> {
    config.servers.remove(&config.server);
    let verb = if config.votes { KvGroupVerb::Add { member } } else { KvGroupVerb::AddLearner { member } };
    let ask = move || loop {
        let asked = Instant::now();
        match group::ask(&group::reach(&config), verb, JOIN_EVERY) {
            Ok(()) => {
                tracing::info!(%member, "this server is a member of the KV's group");
                // Where that can't be noted, it asks again at its next start.
                let noted = Folder::note_joined(&config, member);
                return noted.unwrap_or_else(|error| tracing::warn!(%error, "that it is can't be noted"));
            }
            Err(failure) => tracing::warn!(%member, "not in the KV's group yet, asked again: {failure}"),
        }
        // What was refused at once is not asked for again and again.
        std::thread::sleep(JOIN_EVERY.saturating_sub(asked.elapsed()));
    };
    let thread = std::thread::Builder::new().name("join".into()).spawn(ask);
    thread.map(drop).map_err(|error| Failure::system("starting a thread", &error))
}

/// Waits for a signal, or for the end of the KV or of what is stored: a server without it is no use, and its supervisor
/// should hear of that.
fn wait(
    config: &ServerConfig,
    runtime: &Runtime<Role>,
    signals: &Signals,
    (storing, mut alarms): (&mut Storing, Alarms),
) -> Result<Ended, Failure> {
    while !signals.wait_for(LOOK_EVERY)? {
        alarms.look();
        let state = runtime.states().remove(&NodeId::kv_of(config.server));
        match state {
            Some((_, NodeState::Halted { reason })) if ::roles::is_healable(&reason) => {
                return Ok(Ended::Damaged(reason));
            }
            Some((_, NodeState::Halted { reason })) => return Err(Failure::refused(reason)),
            _ => storing.end()?,
        }
    }
    Ok(Ended::Asked)
}

/// Has another member lead, where this one does: clients then go on at once, and wait for no election.
fn hand_over(config: &ServerConfig, runtime: &Runtime<Role>) {
    let (mut port, kv) = (runtime.port(), NodeId::kv_of(config.server));
    let Some(RoleStatus::KvMember { me, leader, members, .. }) = ask::status(&mut port, kv, HAND_OVER) else {
        return;
    };
    let others = members.voters.into_iter().filter(|other| *other != me && leader == Some(me));
    for to in others {
        let verb = AdminBody::KvGroup(KvGroupVerb::Transfer { to });
        if ask::admin(&mut port, kv, verb, HAND_OVER) == Ok(AdminAnswer::Done) {
            return;
        }
    }
}

/// Stops: guests first, then clients and servers, then everything else. What was acknowledged is in a log either way.
fn stop(config: &ServerConfig, runtime: Runtime<Role>) -> Result<(), Failure> {
    let nodes = Nodes { server: config.server };
    if runtime.stop_node(nodes.nbd(), STOP / 2).is_err() {
        tracing::warn!("guests were cut off with requests in flight");
    }
    if config.roles.has(certificates::Role::Kv) {
        hand_over(config, &runtime);
    }
    if runtime.stop_node(NodeId::at(config.server, LINKS_PLACE), STOP / 4).is_err() {
        tracing::warn!("clients were cut off with requests in flight");
    }
    let stopped = runtime.shut_down(STOP / 4);
    stopped.map_err(|_| {
        Failure::new(ExitCode::Failed, "a disk takes too long to stop; nothing acknowledged is lost")
    })
}
