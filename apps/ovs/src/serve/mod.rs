//! `ovs serve`: one server of a cluster, in one process.

mod addresses;
mod asker;
mod folder;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use ::roles::Role;
use certificates::Credentials;
use consensus::Member;
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupVerb, RoleStatus};
use formats::recording::RoleCard;
use glossary::NodeId;
use io::{Builder, GatewaySpec, NodeSpec, NodeState, Runtime, Settings};
use links::{Addresses, Audit, Links, LocalSocket, Trust};

use crate::cli::Serve;
use crate::config::ServerConfig;
use crate::failure::{ExitCode, Failure};
use crate::group;
use crate::up::{ask, limits, signals::Signals};
use addresses::Directory;
pub(crate) use addresses::own_address;
pub(crate) use addresses::remembered;
pub(crate) use folder::Folder;

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(5);

/// How long another member may take to lead when this one stops.
const HAND_OVER: Duration = Duration::from_secs(1);

/// How often it is looked whether the KV still runs.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often it is logged why this server is not in the group yet.
const JOIN_EVERY: Duration = Duration::from_secs(30);

/// The place of the links among the nodes of a server.
const LINKS_PLACE: u16 = 0xff00;

/// The shard of all nodes. On one thread a request passes from its link to the KV and back without waking anybody, which
/// costs more than what TLS computes; and the KV has its turn between any two receives of a link.
const SHARD: usize = 0;

/// Runs a server until a signal ends it.
pub(crate) fn run(arguments: &Serve) -> Result<(), Failure> {
    let configured = &arguments.configured;
    let config = ServerConfig::load(&configured.config, &configured.overrides())?;
    let trust = Trust::new(credentials(&config)?);
    let listener = bind(&config)?;
    limits::raise_descriptors(0)?;
    let folder = Arc::new(Folder::open(&config)?);
    limits::check_room(folder.root())?;
    let signals = Signals::catch()?;
    let addresses = Addresses::default();
    let runtime = start(&config, &folder, listener, &trust, &addresses)?;
    trust.watch().map_err(|error| Failure::system("starting a thread", &error))?;
    let directory = Directory::keep(&config, runtime.handle(), addresses)?;
    println!("server {} of cluster {} in {}", config.server, config.cluster, folder.root().display());
    println!("ready {}", config.listen);
    if folder.member().first.is_none() {
        join(config.clone(), folder.member().member)?;
    }
    let ended = wait(&config, &runtime, &signals);
    drop(directory);
    stop(&config, runtime).and(ended)
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
            "the certificate in {path} doesn't allow {}, which the configuration wants: issue one that does",
            role.name()
        ))),
        None => Ok(credentials),
    }
}

/// Takes the port before anything is touched.
fn bind(config: &ServerConfig) -> Result<TcpListener, Failure> {
    TcpListener::bind(config.listen).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::new(
            ExitCode::Busy,
            format!("{} is in use: stop what uses it, or listen elsewhere", config.listen),
        ),
        _ => Failure::system(&format!("listening on {}", config.listen), &error),
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
    let local = LocalSocket::bind(&folder.socket()).map_err(|error| refused(&error))?;
    let audit = Audit::open(&folder.audit()).map_err(|error| refused(&error))?;
    let settings = links::Settings::new(config.cluster, config.server);
    let links = Links::new(settings, audit, local)
        .with_servers(listener, trust.clone(), addresses.clone())
        .map_err(|error| Failure::system("listening", &error))?;
    let links = GatewaySpec {
        id: NodeId::at(config.server, LINKS_PLACE),
        name: "links".into(),
        shard: SHARD,
        gateway: Box::new(links),
    };
    let settings = Settings { shards: 1, log_halts: false, ..Settings::default() };
    let builder = Builder::new(settings).node(kv(config, folder)).gateway(links);
    builder.start(::roles::perform).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Failure::new(ExitCode::System, format!("{error}{cause}"))
    })
}

fn kv(config: &ServerConfig, folder: &Folder) -> NodeSpec<Role> {
    let member = folder.member();
    let card = RoleCard::KvMember {
        cluster: config.cluster,
        me: member.member,
        first: member.first.clone(),
        nodes: Vec::new(),
    };
    NodeSpec {
        id: NodeId::kv_of(config.server),
        name: "kv".into(),
        shard: SHARD,
        folder: Some(folder.kv()),
        past_page_cache: false,
        machine: ::roles::cast(&card, None),
        tap: None,
    }
}

/// Asks the group to take this server in, from a thread, until it has: the KV runs, and is waited for.
fn join(mut config: ServerConfig, member: Member) -> Result<(), Failure> {
    config.servers.remove(&config.server);
    let verb = if config.votes { KvGroupVerb::Add { member } } else { KvGroupVerb::AddLearner { member } };
    let ask = move || loop {
        match group::ask(&config, verb, JOIN_EVERY) {
            Ok(()) => return tracing::info!(%member, "this server is a member of the KV's group"),
            Err(failure) => tracing::warn!(%member, "not in the KV's group yet, asked again: {failure}"),
        }
    };
    let thread = std::thread::Builder::new().name("join".into()).spawn(ask);
    thread.map(drop).map_err(|error| Failure::system("starting a thread", &error))
}

/// Waits for a signal, or for the KV's end: a server without it is no use, and its supervisor should hear of that.
fn wait(config: &ServerConfig, runtime: &Runtime<Role>, signals: &Signals) -> Result<(), Failure> {
    while !signals.wait_for(LOOK_EVERY)? {
        let state = runtime.states().remove(&NodeId::kv_of(config.server));
        if let Some((_, NodeState::Halted { reason })) = state {
            return Err(Failure::refused(reason));
        }
    }
    Ok(())
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

/// Stops: clients and servers first, then the KV. What was acknowledged is in its log either way.
fn stop(config: &ServerConfig, runtime: Runtime<Role>) -> Result<(), Failure> {
    hand_over(config, &runtime);
    if runtime.stop_node(NodeId::at(config.server, LINKS_PLACE), STOP / 2).is_err() {
        tracing::warn!("clients were cut off with requests in flight");
    }
    let stopped = runtime.shut_down(STOP / 2);
    stopped.map_err(|_| {
        Failure::new(ExitCode::Failed, "a disk takes too long to stop; nothing acknowledged is lost")
    })
}
