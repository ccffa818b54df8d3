//! From a running KV to a served cluster, and back.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use formats::message::admin::{AdminAnswer, AdminBody, RoleStatus, Serves, VdiskStatus};
use gateway::Nbd;
use glossary::{ByteCount, ServerId, VdiskName};
use io::{AskError, GatewaySpec};
use links::{Audit, Links, LocalSocket};

use super::banner::Banner;
use super::control::Control;
use super::roles::{BACKEND_SHARD, Casting, GUEST_SHARD};
use super::signals::Signals;
use super::{STOP, Started, ask, cluster, failed_start, ids};
use crate::cli;
use crate::failure::{ExitCode, Failure};

/// How long vDisks may take to be taken over before `ready` is said all the same.
const TAKE_OVER: Duration = Duration::from_secs(20);

/// How long one question to a role may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts everything behind the KV, serves until a signal comes, and stops.
pub(crate) fn serve(
    arguments: &cli::Up,
    started: Started,
    listener: TcpListener,
    signals: &Signals,
) -> Result<(), Failure> {
    start_roles(&started, arguments.accept_write_buffer_loss)?;
    make_vdisks(&started)?;
    let vdisks = served(&started)?;
    wait_until_taken_over(&started, &vdisks);
    let nbd = listener.local_addr().map_err(|error| Failure::system("listening", &error))?;
    let settings = gateway::Settings::new(ids::EDGE);
    let memory_bound = settings.memory_bound();
    let banner = Banner {
        directory: started.directory.root(),
        record: &started.record,
        absent: &started.absent,
        vdisks: &vdisks,
        halted: &halted(&started),
        nbd,
        memory_bound,
    };
    print!("{}", banner.text());
    let gateway = Nbd::new(listener, settings).map_err(|error| Failure::system("serving NBD", &error))?;
    let spec =
        GatewaySpec { id: ids::NBD, name: "nbd".into(), shard: GUEST_SHARD, gateway: Box::new(gateway) };
    started.runtime.start_gateway(spec).map_err(|error| failed_start(&error))?;
    start_links(&started)?;
    let control = Arc::new(Control::new(arguments, &started, nbd, memory_bound));
    let api = api::serve(&started.directory.socket(), control)
        .map_err(|error| Failure::new(ExitCode::System, error.to_string()))?;
    println!("ready nbd://{nbd}");
    signals.wait()?;
    drop(api);
    stop(started)
}

/// Lets other processes of this machine speak to the KV.
fn start_links(started: &Started) -> Result<(), Failure> {
    let directory = &started.directory;
    let refused = |error: &dyn std::error::Error| Failure::new(ExitCode::System, error.to_string());
    let local = LocalSocket::bind(&directory.kv_socket()).map_err(|error| refused(&error))?;
    let audit = Audit::open(&directory.audit()).map_err(|error| refused(&error))?;
    let settings = links::Settings::new(started.record.identity, ServerId(0));
    let gateway = Box::new(Links::new(settings, audit, local));
    let spec = GatewaySpec { id: ids::LINKS, name: "links".into(), shard: BACKEND_SHARD, gateway };
    started.runtime.start_gateway(spec).map_err(|error| failed_start(&error))
}

fn start_roles(started: &Started, accept_loss: bool) -> Result<(), Failure> {
    let casting = Casting { directory: &started.directory, recorder: started.recorder.as_deref() };
    let absent = |osd| started.absent.iter().any(|absent| absent.osd.osd == osd);
    let present = started.record.osds.iter().filter(|osd| !absent(osd.osd));
    let asds = present.map(|osd| casting.asd(osd));
    let others = [
        casting.objects(&started.record, &started.absent),
        casting.volume_driver(accept_loss),
        casting.edge(),
    ];
    for spec in asds.chain(others) {
        started.runtime.start_node(spec).map_err(|error| failed_start(&error))?;
    }
    Ok(())
}

/// Makes the vDisks that were asked for and aren't there.
fn make_vdisks(started: &Started) -> Result<(), Failure> {
    let there = served(started)?;
    let missing = started.wanted.iter().filter(|(name, _)| there.iter().all(|(known, _)| known != name));
    missing.into_iter().try_for_each(|(name, size)| make_vdisk(started, name, *size))
}

fn make_vdisk(started: &Started, name: &VdiskName, size: ByteCount) -> Result<(), Failure> {
    let mut port = started.runtime.port();
    // The volume driver may still be starting.
    for _ in 0..20 {
        let body = AdminBody::CreateVdisk { name: name.clone(), size };
        match ask::admin(&mut port, ids::VOLUME_DRIVER, body, PATIENCE) {
            Ok(AdminAnswer::Done) => return Ok(()),
            Ok(AdminAnswer::NotYet(_)) => std::thread::sleep(PATIENCE / 100),
            Ok(AdminAnswer::Failed(why) | AdminAnswer::NotAllowed(why)) => {
                return Err(Failure::refused(format!("vDisk {name}: {why}")));
            }
            Ok(AdminAnswer::Status(_) | AdminAnswer::Fingerprint(_) | AdminAnswer::KvGroups(_)) | Err(_) => {}
        }
    }
    Err(Failure::new(
        ExitCode::Failed,
        format!("vDisk {name} could not be made: the volume driver does not answer"),
    ))
}

fn served(started: &Started) -> Result<Vec<(VdiskName, ByteCount)>, Failure> {
    let vdisks = cluster::vdisks(&mut started.runtime.port())?;
    let live = vdisks.into_iter().map(|(_, _, vdisk)| vdisk).filter(|vdisk| !vdisk.deleting);
    let mut live: Vec<_> = live.map(|vdisk| (vdisk.name, vdisk.size)).collect();
    live.sort();
    Ok(live)
}

/// The vDisks that don't serve, and why.
fn halted(started: &Started) -> BTreeMap<VdiskName, String> {
    match ask::status(&mut started.runtime.port(), ids::VOLUME_DRIVER, PATIENCE) {
        Some(RoleStatus::VolumeDriver { vdisks, .. }) => {
            let why = |vdisk: VdiskStatus| Some((vdisk.name, vdisk.serves.why_not()?.to_owned()));
            vdisks.into_iter().filter_map(why).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// Waits until no vDisk is being taken over any more: those that can serve do, the others say why not.
fn wait_until_taken_over(started: &Started, vdisks: &[(VdiskName, ByteCount)]) {
    let mut port = started.runtime.port();
    let step = Duration::from_millis(20);
    for _ in 0..TAKE_OVER.as_millis() / step.as_millis() {
        match ask::admin(&mut port, ids::VOLUME_DRIVER, AdminBody::Status, PATIENCE) {
            Ok(AdminAnswer::Status(RoleStatus::VolumeDriver { vdisks: known, .. })) => {
                if vdisks.iter().all(|(name, _)| is_settled(&known, name)) {
                    return;
                }
            }
            // It halted, and has said why.
            Err(AskError::NotRunning(_)) => return,
            Ok(_) | Err(AskError::TimedOut(_)) => {}
        }
        std::thread::sleep(step);
    }
    tracing::warn!("some vDisks are still being taken over");
}

/// Whether the volume driver has read of a vDisk in the registry, and has taken it over or given that up.
fn is_settled(known: &[VdiskStatus], name: &VdiskName) -> bool {
    known.iter().any(|vdisk| vdisk.name == *name && !matches!(vdisk.serves, Serves::NotYet(_)))
}

/// Stops: guests first, then everything else. What was acknowledged is in the log either way.
fn stop(started: Started) -> Result<(), Failure> {
    if started.runtime.stop_node(ids::NBD, STOP / 2).is_err() {
        tracing::warn!("guests were cut off with requests in flight");
    }
    if started.runtime.stop_node(ids::LINKS, STOP / 4).is_err() {
        tracing::warn!("clients of the KV were cut off with requests in flight");
    }
    let stopped = started.runtime.shut_down(STOP / 4);
    stopped.map_err(|_| {
        Failure::new(ExitCode::Failed, "a disk takes too long to stop; nothing acknowledged is lost")
    })
}
