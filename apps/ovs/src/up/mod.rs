//! `ovs up`: a whole cluster in one process.
//!
//! Everything that can be refused is refused before anything is touched; then the KV starts, says what the
//! cluster is, and the other roles follow.

mod directory;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::roles::Role;
use formats::registry::ClusterRecord;
use glossary::{ByteCount, ClusterIdentity, GroupId, NodeId, ServerId, VdiskName};
use io::{Builder, GatewaySpec, NodeState, Runtime, Settings};
use links::{Audit, Links, LocalSocket};
use step::Entropy;

use crate::cli;
use crate::failure::{ExitCode, Failure};
use crate::storage::asker::Asker;
use crate::storage::casting::{BACKEND_SHARD, Casting, SHARDS};
use crate::storage::control::{Control, How, KvStatus};
use crate::storage::folders::{self, Absent};
use crate::storage::guests::{self, Started};
use crate::storage::layout::Layout;
use crate::storage::members::KvMembers;
use crate::storage::namespaces;
use crate::storage::nodes::Nodes;
use crate::storage::ports::Ports;
use crate::storage::recorder::Recorder;
use crate::storage::signals::Signals;
use crate::storage::{self, failed_start, limits, registry, settings, versions};
use directory::{Directory, Found};

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(5);

/// How long a question to the KV may take: its start may have much to read.
const KV_PATIENCE: Duration = Duration::from_secs(60);

/// The server whose nodes these are: none of a cluster of several.
const NODES: Nodes = Nodes { server: ServerId(0) };

/// The KV, which is a group of one.
const KV: NodeId = NodeId(1);

/// What clients of the KV connect to.
const LINKS: NodeId = NodeId(6);

/// What is known when the KV has told what the cluster is.
struct Known {
    directory: Directory,
    runtime: Runtime<Role>,
    casting: Casting,
    asker: Asker,
    record: ClusterRecord,
    absent: Vec<Absent>,
    wanted: Vec<(VdiskName, ByteCount)>,
}

/// Runs a cluster until a signal ends it.
pub(crate) fn run(arguments: &cli::Up) -> Result<(), Failure> {
    let listener = bind(arguments)?;
    let found = directory::look(&arguments.dir)?;
    let mut entropy = storage::entropy()?;
    let signals = Signals::catch()?;
    let known = match found {
        Found::New => first_start(arguments, &mut entropy)?,
        Found::Cluster(identity) => next_start(arguments, identity, &mut entropy)?,
    };
    serve(arguments, known, listener, &signals)
}

/// Starts everything behind the KV, serves until a signal comes, and stops.
fn serve(arguments: &cli::Up, known: Known, listener: TcpListener, signals: &Signals) -> Result<(), Failure> {
    let Known { directory, runtime, mut casting, mut asker, record, absent, wanted } = known;
    casting.namespaces = namespaces::group(&mut asker)?;
    let (casting, handle) = (Arc::new(casting), runtime.handle());
    guests::start_asds(&casting, &handle, &record.osds, &absent)?;
    let ports = Ports::new(NODES.server, handle.clone());
    let mut started = Started { casting, handle, ports, asker, record, absent, wanted };
    guests::start_roles(&mut started, arguments.accept_write_buffer_loss)?;
    let door = guests::open(&mut started, listener)?;
    start_links(&runtime, directory.layout(), started.record.identity)?;
    let kv = KvStatus::Here(KV);
    let how = How { io: arguments.io, frames: arguments.frames, door, kv };
    let api = guests::let_operators_in(&started.casting, Arc::new(Control::new(&started, how)))?;
    println!("ready nbd://{}", door.nbd);
    signals.wait()?;
    drop(api);
    stop(runtime)
}

/// Lets other processes of this machine speak to the KV.
fn start_links(runtime: &Runtime<Role>, layout: &Layout, cluster: ClusterIdentity) -> Result<(), Failure> {
    let refused = |error: &dyn std::error::Error| Failure::new(ExitCode::System, error.to_string());
    let local = LocalSocket::bind(&layout.kv_socket()).map_err(|error| refused(&error))?;
    let audit = Audit::open(&layout.audit()).map_err(|error| refused(&error))?;
    let settings = links::Settings::new(cluster, NODES.server);
    let gateway = Box::new(Links::new(settings, audit, local));
    let spec = GatewaySpec { id: LINKS, name: "links".into(), shard: BACKEND_SHARD, gateway };
    runtime.start_gateway(spec).map_err(|error| failed_start(&error))
}

/// Stops: guests first, then everything else. What was acknowledged is in the log either way.
fn stop(runtime: Runtime<Role>) -> Result<(), Failure> {
    if runtime.stop_node(NODES.nbd(), STOP / 2).is_err() {
        tracing::warn!("guests were cut off with requests in flight");
    }
    if runtime.stop_node(LINKS, STOP / 4).is_err() {
        tracing::warn!("clients of the KV were cut off with requests in flight");
    }
    let stopped = runtime.shut_down(STOP / 4);
    stopped.map_err(|_| {
        Failure::new(ExitCode::Failed, "a disk takes too long to stop; nothing acknowledged is lost")
    })
}

/// Takes the port before anything is touched.
fn bind(arguments: &cli::Up) -> Result<TcpListener, Failure> {
    let address = arguments.nbd.unwrap_or(cli::DEFAULT_NBD);
    TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::new(
            ExitCode::Busy,
            format!(
                "port {} of {} is in use: stop what uses it, or give another --nbd",
                address.port(),
                address.ip()
            ),
        ),
        _ => Failure::system(&format!("listening on {address}"), &error),
    })
}

fn first_start(arguments: &cli::Up, entropy: &mut Entropy) -> Result<Known, Failure> {
    let record = settings::new_cluster(arguments, entropy)?;
    limits::raise_descriptors(record.osds.len())?;
    limits::check_room(&arguments.dir)?;
    let recorder = recorder(arguments)?;
    let directory = Directory::create(&arguments.dir)?;
    let layout = directory.layout();
    let mut ours: Vec<_> = record.osds.iter().map(|osd| layout.asd(osd.osd)).collect();
    ours.extend([layout.write_buffer(), layout.kv()]);
    let casting = casting(layout, recorder);
    let (runtime, asker) = match make(arguments, &directory, &casting, &record, &ours, entropy) {
        Ok(made) => made,
        Err(failure) => {
            // Nobody else holds it any more: the roles went with their runtime.
            directory.abandon(&ours);
            return Err(failure);
        }
    };
    let wanted = match arguments.vdisk.is_empty() {
        true => vec![settings::default_vdisk()],
        false => arguments.vdisk.clone(),
    };
    Ok(Known { directory, runtime, casting, asker, record, absent: Vec::new(), wanted })
}

/// Makes a new cluster's folders and its record. Gives the runtime in which its KV lives, and who asks it.
fn make(
    arguments: &cli::Up,
    directory: &Directory,
    casting: &Casting,
    record: &ClusterRecord,
    folders: &[PathBuf],
    entropy: &mut Entropy,
) -> Result<(Runtime<Role>, Asker), Failure> {
    directory.begin(folders)?;
    folders::make_all(directory.layout(), record)?;
    let runtime = start_kv(arguments, casting, record.identity)?;
    let mut asker = asker(&runtime, entropy);
    registry::store(&mut asker, record).map_err(|failure| kv_refused(&runtime).unwrap_or(failure))?;
    runtime.log_halts();
    directory.finish(record.identity)?;
    Ok((runtime, asker))
}

fn next_start(
    arguments: &cli::Up,
    identity: ClusterIdentity,
    entropy: &mut Entropy,
) -> Result<Known, Failure> {
    let directory = Directory::open(&arguments.dir)?;
    let layout = directory.layout();
    // What can be known without the KV is found before even that is touched.
    folders::check_kv(layout, identity)?;
    let asds = folders::check_places(layout, identity)?;
    versions::check(layout, &asds)?;
    limits::raise_descriptors(asds.len())?;
    for folder in [layout.kv(), layout.write_buffer()] {
        limits::check_room(&folder)?;
    }
    let casting = casting(layout, recorder(arguments)?);
    let runtime = start_kv(arguments, &casting, identity)?;
    let mut asker = asker(&runtime, entropy);
    let record = registry::load(&mut asker).map_err(|failure| kv_refused(&runtime).unwrap_or(failure))?;
    runtime.log_halts();
    settings::check_against_stored(arguments, &record)?;
    limits::raise_descriptors(record.osds.len())?;
    let absent = folders::check_asds(layout, record.identity, &record.osds)?;
    registry::check_vdisks(&mut asker, &arguments.vdisk, registry::SaidBy::Flags)?;
    let accept = arguments.accept_write_buffer_loss;
    let record = registry::settle_write_buffer(layout, &mut asker, entropy, record, accept)?;
    let wanted = arguments.vdisk.clone();
    Ok(Known { directory, runtime, casting, asker, record, absent, wanted })
}

fn recorder(arguments: &cli::Up) -> Result<Option<Arc<Recorder>>, Failure> {
    Ok(arguments.record.as_deref().map(Recorder::create).transpose()?.map(Arc::new))
}

fn casting(layout: &Layout, recorder: Option<Arc<Recorder>>) -> Casting {
    let (kv, namespaces) = (KvMembers::new(vec![KV]), GroupId::ROOT);
    Casting { nodes: NODES, layout: layout.clone(), kv, namespaces, recorder }
}

fn asker(runtime: &Runtime<Role>, entropy: &mut Entropy) -> Asker {
    Asker::new(runtime.port(), KvMembers::new(vec![KV]), KV_PATIENCE, Entropy::new(entropy.next_bytes()))
}

fn start_kv(
    arguments: &cli::Up,
    casting: &Casting,
    cluster: ClusterIdentity,
) -> Result<Runtime<Role>, Failure> {
    let settings =
        Settings { shards: SHARDS, io: arguments.io, frames: arguments.frames, ..Settings::default() };
    let settings = Settings { log_halts: false, ..settings };
    Builder::new(settings).node(casting.kv(cluster)).start(::roles::perform).map_err(|e| failed_start(&e))
}

/// Why the KV can't serve what its folder holds, in its own words, once it has said so. Nobody else did by then.
fn kv_refused(runtime: &Runtime<Role>) -> Option<Failure> {
    match runtime.states().remove(&KV)? {
        (_, NodeState::Halted { reason }) => Some(Failure::refused(reason)),
        _ => None,
    }
}
