//! From what is known of a cluster to guests that are served.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Admin;
use formats::message::admin::{AdminAnswer, AdminBody, RoleStatus, Serves, VdiskStatus};
use formats::registry::{ClusterRecord, OsdRecord};
use gateway::Nbd;
use glossary::{ByteCount, VdiskName};
use io::{AskError, GatewaySpec, Handle};
use roles::Role;

use super::asker::Asker;
use super::banner::Banner;
use super::casting::{Casting, GUEST_SHARD};
use super::folders::Absent;
use super::ports::Ports;
use super::{ask, failed_start, registry};
use crate::failure::{ExitCode, Failure};

/// How long vDisks may take to be made, and to be taken over before `ready` is said all the same.
const TAKE_OVER: Duration = Duration::from_secs(20);

/// How long one question to a role may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether what starts has started.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is known when all roles can start.
pub(crate) struct Started {
    pub(crate) casting: Arc<Casting>,
    pub(crate) handle: Handle<Role>,
    pub(crate) ports: Ports,
    pub(crate) asker: Asker,
    pub(crate) record: ClusterRecord,
    /// ASDs of this process that can't start.
    pub(crate) absent: Vec<Absent>,
    /// vDisks that were asked for: those that are not there are made.
    pub(crate) wanted: Vec<(VdiskName, ByteCount)>,
}

/// Where guests are served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    pub(crate) nbd: SocketAddr,
    /// What requests under way take of memory at most.
    pub(crate) memory_bound: ByteCount,
}

/// Starts the ASDs of this process.
pub(crate) fn start_asds(
    casting: &Casting,
    handle: &Handle<Role>,
    osds: &[OsdRecord],
    absent: &[Absent],
) -> Result<(), Failure> {
    let is_absent = |osd: &OsdRecord| absent.iter().any(|absent| absent.osd.osd == osd.osd);
    let here = osds.iter().filter(|osd| osd.osd.server() == casting.nodes.server && !is_absent(osd));
    here.into_iter()
        .try_for_each(|osd| handle.start_node(casting.asd(osd)).map_err(|error| failed_start(&error)))
}

/// Starts everything between the ASDs and guests, and makes the vDisks that were asked for.
pub(crate) fn start_roles(started: &mut Started, accept_loss: bool) -> Result<(), Failure> {
    let casting = &started.casting;
    let specs = [
        casting.objects(&started.record, &started.absent),
        casting.volume_driver(accept_loss),
        casting.edge(),
    ];
    for spec in specs {
        started.handle.start_node(spec).map_err(|error| failed_start(&error))?;
    }
    make_vdisks(started)
}

/// Waits for the vDisks, says what there is, and lets guests in. What comes behind the door can be asked from then on.
pub(crate) fn open(started: &mut Started, listener: TcpListener) -> Result<Door, Failure> {
    let vdisks = served(started)?;
    wait_until_taken_over(started, &vdisks);
    let nbd = listener.local_addr().map_err(|error| Failure::system("listening", &error))?;
    let nodes = started.casting.nodes;
    let settings = gateway::Settings::new(nodes.edge());
    let memory_bound = settings.memory_bound();
    let banner = Banner {
        directory: started.casting.layout.root(),
        record: &started.record,
        absent: &started.absent,
        vdisks: &vdisks,
        halted: &halted(started),
        nbd,
        memory_bound,
    };
    print!("{}", banner.text());
    let gateway = Nbd::new(listener, settings).map_err(|error| Failure::system("serving NBD", &error))?;
    let spec =
        GatewaySpec { id: nodes.nbd(), name: "nbd".into(), shard: GUEST_SHARD, gateway: Box::new(gateway) };
    started.handle.start_gateway(spec).map_err(|error| failed_start(&error))?;
    Ok(Door { nbd, memory_bound })
}

/// Lets operators in.
pub(crate) fn let_operators_in(casting: &Casting, control: Arc<dyn Admin>) -> Result<api::Server, Failure> {
    api::serve(&casting.layout.socket(), control)
        .map_err(|error| Failure::new(ExitCode::System, error.to_string()))
}

/// Makes the vDisks that were asked for and aren't there.
fn make_vdisks(started: &mut Started) -> Result<(), Failure> {
    let there = served(started)?;
    let missing = started.wanted.iter().filter(|(name, _)| there.iter().all(|(known, _)| known != name));
    missing.into_iter().try_for_each(|(name, size)| make_vdisk(started, name, *size))
}

fn make_vdisk(started: &Started, name: &VdiskName, size: ByteCount) -> Result<(), Failure> {
    let mut port = started.ports.open();
    let until = Instant::now() + TAKE_OVER;
    // The volume driver may still be starting.
    while Instant::now() < until {
        let body = AdminBody::CreateVdisk { name: name.clone(), size };
        match ask::admin(&mut port, started.casting.nodes.volume_driver(), body, PATIENCE) {
            Ok(AdminAnswer::Done) => return Ok(()),
            Ok(AdminAnswer::NotYet(_)) => std::thread::sleep(LOOK_AGAIN),
            Ok(AdminAnswer::Failed(why) | AdminAnswer::NotAllowed(why)) => {
                return Err(Failure::refused(format!("vDisk {name}: {why}")));
            }
            Ok(
                AdminAnswer::Status(_)
                | AdminAnswer::Fingerprint(_)
                | AdminAnswer::KvGroups(_)
                | AdminAnswer::KvLevels(_),
            )
            | Err(_) => {}
        }
    }
    Err(Failure::new(
        ExitCode::Failed,
        format!("vDisk {name} could not be made: the volume driver does not answer"),
    ))
}

fn served(started: &mut Started) -> Result<Vec<(VdiskName, ByteCount)>, Failure> {
    let vdisks = registry::vdisks(&mut started.asker)?;
    let live = vdisks.into_iter().map(|(_, _, vdisk)| vdisk).filter(|vdisk| !vdisk.deleting);
    let mut live: Vec<_> = live.map(|vdisk| (vdisk.name, vdisk.size)).collect();
    live.sort();
    Ok(live)
}

/// The vDisks that don't serve, and why.
fn halted(started: &Started) -> BTreeMap<VdiskName, String> {
    match ask::status(&mut started.ports.open(), started.casting.nodes.volume_driver(), PATIENCE) {
        Some(RoleStatus::VolumeDriver { vdisks, .. }) => {
            let why = |vdisk: VdiskStatus| Some((vdisk.name, vdisk.serves.why_not()?.to_owned()));
            vdisks.into_iter().filter_map(why).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// Waits until no vDisk is being taken over any more: those that can serve do, the others say why not.
fn wait_until_taken_over(started: &Started, vdisks: &[(VdiskName, ByteCount)]) {
    let mut port = started.ports.open();
    let until = Instant::now() + TAKE_OVER;
    while Instant::now() < until {
        match ask::admin(&mut port, started.casting.nodes.volume_driver(), AdminBody::Status, PATIENCE) {
            Ok(AdminAnswer::Status(RoleStatus::VolumeDriver { vdisks: known, .. })) => {
                if vdisks.iter().all(|(name, _)| is_settled(&known, name)) {
                    return;
                }
            }
            // It halted, and has said why.
            Err(AskError::NotRunning(_)) => return,
            Ok(_) | Err(AskError::TimedOut(_)) => {}
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    tracing::warn!("some vDisks are still being taken over");
}

/// Whether the volume driver has read of a vDisk in the registry, and has taken it over or given that up.
fn is_settled(known: &[VdiskStatus], name: &VdiskName) -> bool {
    known.iter().any(|vdisk| vdisk.name == *name && !matches!(vdisk.serves, Serves::NotYet(_)))
}
