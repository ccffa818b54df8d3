//! `ovs up`: a whole cluster in one process.
//!
//! Everything that can be refused is refused before anything is touched; then the KV starts, says what the
//! cluster is, and the other roles follow.

pub(crate) mod ask;
mod banner;
mod cluster;
mod control;
pub(crate) mod directory;
mod folders;
mod ids;
pub(crate) mod limits;
mod record;
mod roles;
mod serve;
mod settings;
pub(crate) mod signals;
mod versions;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::roles::Role;
use formats::registry::ClusterRecord;
use glossary::{ByteCount, ClusterIdentity, VdiskName};
use io::{Builder, NodeState, Runtime, Settings};
use step::Entropy;

use crate::cli;
use crate::failure::{ExitCode, Failure};
use directory::{Directory, Found};
use folders::Absent;
use record::Recorder;
use roles::Casting;

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(5);

/// What is known when all roles can start.
struct Started {
    directory: Arc<Directory>,
    runtime: Runtime<Role>,
    record: ClusterRecord,
    absent: Vec<Absent>,
    recorder: Option<Arc<Recorder>>,
    /// vDisks that were asked for: those that are not there are made.
    wanted: Vec<(VdiskName, ByteCount)>,
}

/// Runs a cluster until a signal ends it.
pub(crate) fn run(arguments: &cli::Up) -> Result<(), Failure> {
    let listener = bind(arguments)?;
    let found = directory::look(&arguments.dir)?;
    let mut entropy = Entropy::new(seed()?);
    let signals = signals::Signals::catch()?;
    let started = match found {
        Found::New => first_start(arguments, &mut entropy)?,
        Found::Cluster(identity) => next_start(arguments, identity, &mut entropy)?,
    };
    serve::serve(arguments, started, listener, &signals)
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

fn first_start(arguments: &cli::Up, entropy: &mut Entropy) -> Result<Started, Failure> {
    let record = settings::new_cluster(arguments, entropy)?;
    limits::raise_descriptors(record.osds.len())?;
    limits::check_room(&arguments.dir)?;
    let recorder = recorder(arguments)?;
    let directory = Arc::new(Directory::create(&arguments.dir)?);
    let mut ours: Vec<_> = record.osds.iter().map(|osd| directory.asd(osd.osd)).collect();
    ours.extend([directory.write_buffer(), directory.kv()]);
    let made = make(arguments, &directory, &record, &ours, recorder.as_deref(), entropy);
    let runtime = match made {
        Ok(runtime) => runtime,
        Err(failure) => {
            // Nobody else holds it any more: the roles went with their runtime.
            if let Some(directory) = Arc::into_inner(directory) {
                directory.abandon(&ours);
            }
            return Err(failure);
        }
    };
    let wanted = match arguments.vdisk.is_empty() {
        true => vec![settings::default_vdisk()],
        false => arguments.vdisk.clone(),
    };
    Ok(Started { directory, runtime, record, absent: Vec::new(), recorder, wanted })
}

/// Makes a new cluster's folders and its record. Gives the runtime in which its KV lives.
fn make(
    arguments: &cli::Up,
    directory: &Directory,
    record: &ClusterRecord,
    folders: &[PathBuf],
    recorder: Option<&Recorder>,
    entropy: &mut Entropy,
) -> Result<Runtime<Role>, Failure> {
    directory.begin(folders)?;
    folders::make_all(directory, record)?;
    let runtime = start_kv(arguments, directory, record.identity, recorder)?;
    cluster::store(&mut runtime.port(), entropy, record)
        .map_err(|failure| kv_refused(&runtime).unwrap_or(failure))?;
    runtime.log_halts();
    directory.finish(record.identity)?;
    Ok(runtime)
}

fn next_start(
    arguments: &cli::Up,
    identity: ClusterIdentity,
    entropy: &mut Entropy,
) -> Result<Started, Failure> {
    let directory = Arc::new(Directory::open(&arguments.dir)?);
    // What can be known without the KV is found before even that is touched.
    folders::check_kv(&directory, identity)?;
    let asds = folders::check_places(&directory, identity)?;
    versions::check(&directory, &asds)?;
    limits::raise_descriptors(asds.len())?;
    for folder in [directory.kv(), directory.write_buffer()] {
        limits::check_room(&folder)?;
    }
    let recorder = recorder(arguments)?;
    let runtime = start_kv(arguments, &directory, identity, recorder.as_deref())?;
    let mut port = runtime.port();
    let record = cluster::load(&mut port).map_err(|failure| kv_refused(&runtime).unwrap_or(failure))?;
    runtime.log_halts();
    settings::check_against_stored(arguments, &record)?;
    limits::raise_descriptors(record.osds.len())?;
    let absent = folders::check_asds(&directory, &record)?;
    cluster::check_vdisks(&mut port, &arguments.vdisk)?;
    let accept = arguments.accept_write_buffer_loss;
    let (record, lost) = cluster::settle_write_buffer(&directory, &mut port, entropy, record, accept)?;
    if accept {
        tracing::warn!("what the write buffer can't give back of vDisks is taken for lost in this start");
    }
    for vdisk in lost {
        tracing::warn!("{vdisk}: what only the lost write buffer held is gone, as accepted");
    }
    let wanted = arguments.vdisk.clone();
    Ok(Started { directory, runtime, record, absent, recorder, wanted })
}

fn recorder(arguments: &cli::Up) -> Result<Option<Arc<Recorder>>, Failure> {
    Ok(arguments.record.as_deref().map(Recorder::create).transpose()?.map(Arc::new))
}

fn start_kv(
    arguments: &cli::Up,
    directory: &Directory,
    cluster: ClusterIdentity,
    recorder: Option<&Recorder>,
) -> Result<Runtime<Role>, Failure> {
    let settings =
        Settings { shards: roles::SHARDS, io: arguments.io, frames: arguments.frames, ..Settings::default() };
    let settings = Settings { log_halts: false, ..settings };
    let casting = Casting { directory, recorder };
    Builder::new(settings).node(casting.kv(cluster)).start(::roles::perform).map_err(|e| failed_start(&e))
}

/// Why the KV can't serve what its folder holds, in its own words, once it has said so. Nobody else did by then.
fn kv_refused(runtime: &Runtime<Role>) -> Option<Failure> {
    match runtime.states().remove(&ids::KV)? {
        (_, NodeState::Halted { reason }) => Some(Failure::refused(reason)),
        _ => None,
    }
}

fn failed_start(error: &io::StartError) -> Failure {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Failure::new(ExitCode::System, format!("{error}{cause}"))
}

/// Randomness of the operating system, for identities that must never be used twice.
pub(crate) fn seed() -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::system("drawing random numbers", &error.into()))?;
    Ok(seed)
}
