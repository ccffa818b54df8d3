//! What a server stores, from its start: waits for the KV, registers disks, starts ASDs, the volume driver and the way of
//! guests to it, and follows the cluster's record from then on.
//!
//! With other disks in the record the objects client, which keeps nothing, begins anew.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ::roles::Role;
use certificates::Role as CertificateRole;
use formats::message::admin::RoleStatus;
use formats::message::member::server_of;
use formats::registry::{self as records, ClusterRecord};
use glossary::{NodeId, ServerId};
use io::{Handle, IoChoice};
use step::Entropy;

use super::{disks, owner};
use crate::config::ServerConfig;
use crate::failure::{ExitCode, Failure};
use crate::group;
use crate::storage::asker::Asker;
use crate::storage::casting::Casting;
use crate::storage::control::{Control, How, KvStatus};
use crate::storage::folders::{self, Absent};
use crate::storage::guests::{self, Started};
use crate::storage::layout::Layout;
use crate::storage::members::KvMembers;
use crate::storage::namespaces;
use crate::storage::nodes::Nodes;
use crate::storage::ports::Ports;
use crate::storage::{self, ask, failed_start, registry, settings};

/// How long the KV may take for one question before why nothing goes on is logged.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is logged again what is waited for.
const SAY_EVERY: u32 = 30;

/// How long a node may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// A server that stores, at its start.
pub(super) struct Store {
    pub(super) config: ServerConfig,
    pub(super) layout: Layout,
    pub(super) handle: Handle<Role>,
    pub(super) ports: Ports,
    /// Where guests come, where they do.
    pub(super) listener: Option<TcpListener>,
    /// What the write buffer lost is accepted as lost.
    pub(super) accept_loss: bool,
    /// Its end is the server's.
    pub(super) ended: Receiver<()>,
}

impl Store {
    /// Runs until the server ends, or it can't go on.
    ///
    /// # Errors
    /// What forbids it, in words.
    pub(super) fn run(mut self) -> Result<(), Failure> {
        let mut entropy = storage::entropy()?;
        let Some(kv) = self.find_group() else { return Ok(()) };
        self.handle.log_halts();
        let mut asker = Asker::new(self.ports.open(), kv.clone(), PATIENCE, storage::entropy()?);
        let Some(record) = self.know_cluster(&mut asker, &mut entropy)? else { return Ok(()) };
        let namespaces = self.wait("waits for the KV", || patient(namespaces::group(&mut asker)))?;
        let Some(namespaces) = namespaces else { return Ok(()) };
        let nodes = Nodes { server: self.config.server };
        let layout = self.layout.clone();
        let casting = Arc::new(Casting { nodes, layout, kv, namespaces, recorder: None });
        let absent = self.start_disks(&casting, &record)?;
        match self.listener.take() {
            Some(listener) => self.serve(casting, asker, record, absent, listener, &mut entropy),
            None => Ok(()),
        }
    }

    /// The members of the KV's group, once one of them tells. None: the server ends before.
    fn find_group(&self) -> Option<KvMembers> {
        self.wait("waits for the KV: no member of its group answers", || {
            let me = self.config.server;
            let own = self.config.roles.has(CertificateRole::Kv).then(|| NodeId::kv_of(me));
            let own = own.and_then(|own| ask::status(&mut self.ports.open(), own, LOOK_EVERY));
            let members = own.and_then(|status| members(me, status)).or_else(|| {
                let (server, status) = group::told(&self.config)?;
                members(server, status)
            });
            Ok(members.ok_or_else(String::new))
        })
        .ok()?
        .map(KvMembers::new)
    }

    /// The cluster's record, with this server's disks in it.
    fn know_cluster(
        &self,
        asker: &mut Asker,
        entropy: &mut Entropy,
    ) -> Result<Option<ClusterRecord>, Failure> {
        let (config, storage) = (&self.config, &self.config.storage);
        let known = self.wait("waits for the KV", || {
            patient(match &storage.volume_driver {
                Some(wanted) => owner::own(config, wanted, &self.layout, asker, entropy).map(Some),
                None => registry::read(asker, records::CLUSTER_KEY)
                    .and_then(|record| registry::expect_whole(asker).map(|()| record)),
            })
            .map(|known| known.and_then(|record| record.ok_or_else(no_cluster)))
        })?;
        match (&storage.asd, known) {
            (Some(wanted), Some(_)) => self.wait("waits for the KV", || {
                patient(disks::register(config, wanted, &self.layout, asker, entropy))
            }),
            (_, known) => Ok(known),
        }
    }

    /// Starts this server's ASDs. Gives those that can't.
    fn start_disks(&self, casting: &Casting, record: &ClusterRecord) -> Result<Vec<Absent>, Failure> {
        let own = disks::own(&self.config, record);
        let absent = folders::check_asds(&self.layout, record.identity, &own)?;
        guests::start_asds(casting, &self.handle, &own, &absent)?;
        let names: Vec<_> = own.iter().map(|osd| format!("asd-{}", osd.osd)).collect();
        if !names.is_empty() {
            println!("disks {}", names.join(" "));
        }
        for absent in &absent {
            println!("degraded: asd-{} is not there: {}", absent.osd.osd, absent.why);
        }
        Ok(absent)
    }

    /// Starts the volume driver and what is before and behind it, and lets guests in.
    fn serve(
        &self,
        casting: Arc<Casting>,
        mut asker: Asker,
        record: ClusterRecord,
        absent: Vec<Absent>,
        listener: TcpListener,
        entropy: &mut Entropy,
    ) -> Result<(), Failure> {
        let Some(record) = self.await_disks(&mut asker, record)? else { return Ok(()) };
        let wanted = self.config.storage.volume_driver.as_ref().map_or(Vec::new(), |it| it.vdisks.clone());
        let known = self.wait("waits for the KV", || {
            let checked = registry::check_vdisks(&mut asker, &wanted, registry::SaidBy::Configuration);
            let (layout, asker, record) = (&self.layout, &mut asker, record.clone());
            patient(checked.and_then(|()| {
                registry::settle_write_buffer(layout, asker, entropy, record, self.accept_loss)
            }))
        })?;
        let Some(record) = known else { return Ok(()) };
        let (handle, ports) = (self.handle.clone(), self.ports.clone());
        let mut started = Started { casting, handle, ports, asker, record, absent, wanted };
        guests::start_roles(&mut started, self.accept_loss)?;
        let door = guests::open(&mut started, listener)?;
        let kv = match self.config.roles.has(CertificateRole::Kv) {
            true => KvStatus::Here(NodeId::kv_of(self.config.server)),
            false => KvStatus::Elsewhere(Box::new(self.config.clone())),
        };
        let how = How { io: IoChoice::default(), frames: false, door, kv };
        let control = Arc::new(Control::new(&started, how));
        let api = guests::let_operators_in(&started.casting, Arc::clone(&control) as _)?;
        println!("ready nbd://{}", door.nbd);
        let followed = self.follow(&mut started, &control);
        drop(api);
        followed
    }

    /// Waits until the policies can be followed with the disks that are registered.
    fn await_disks(
        &self,
        asker: &mut Asker,
        record: ClusterRecord,
    ) -> Result<Option<ClusterRecord>, Failure> {
        let mut latest = Some(record);
        self.wait("waits for disks", || {
            let record = match latest.take() {
                Some(record) => record,
                None => match patient(registry::load(asker))? {
                    Ok(record) => record,
                    Err(why) => return Ok(Err(why)),
                },
            };
            Ok(match settings::unplaceable(&record.policies, &record.osds) {
                Some(why) => Err(why),
                None => Ok(record),
            })
        })
    }

    /// Takes disks up that are registered from now on, until the server ends.
    fn follow(&self, started: &mut Started, control: &Control) -> Result<(), Failure> {
        while self.goes_on() {
            let Ok(record) = registry::load(&mut started.asker) else { continue };
            if record.osds != started.record.osds {
                let count = record.osds.len();
                tracing::info!(count, "the cluster has other disks now: the objects client begins anew");
                started.record = record;
                control.record_changed(started.record.clone());
                self.begin_objects_anew(started)?;
            }
        }
        Ok(())
    }

    /// The objects client keeps nothing: who asked it asks again.
    fn begin_objects_anew(&self, started: &Started) -> Result<(), Failure> {
        let objects = started.casting.nodes.objects();
        if self.handle.stop_node(objects, STOP).is_err() {
            return Err(Failure::new(ExitCode::Failed, "the objects client does not stop"));
        }
        let spec = started.casting.objects(&started.record, &started.absent);
        self.handle.start_node(spec).map_err(|error| failed_start(&error))
    }

    /// Waits a moment; whether the server goes on after it.
    fn goes_on(&self) -> bool {
        self.ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout)
    }

    /// Does something again until it is done. Why it isn't is logged when that is another reason, and once in a while.
    /// None: the server ends before.
    fn wait<T>(
        &self,
        what: &str,
        mut act: impl FnMut() -> Result<Result<T, String>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let (mut said, mut times) = (None, 0);
        loop {
            let why = match act()? {
                Ok(done) => return Ok(Some(done)),
                Err(why) => why,
            };
            if said.as_ref() != Some(&why) || times % SAY_EVERY == 0 {
                tracing::warn!("{what}{}{why}", if why.is_empty() { "" } else { ": " });
                said = Some(why);
            }
            times += 1;
            if !self.goes_on() {
                return Ok(None);
            }
        }
    }
}

/// What can be waited for is no failure: that the KV doesn't answer.
fn patient<T>(tried: Result<T, Failure>) -> Result<Result<T, String>, Failure> {
    match tried {
        Ok(done) => Ok(Ok(done)),
        Err(failure) if failure.code == ExitCode::TimedOut => Ok(Err(failure.message)),
        Err(failure) => Err(failure),
    }
}

fn no_cluster() -> String {
    "no server with the role volume-driver has made the cluster's record yet".into()
}

/// The nodes of the members that a server's KV names: voters first. None where it names none, as one that starts or joins.
fn members(server: ServerId, status: RoleStatus) -> Option<Vec<NodeId>> {
    let nodes: Vec<_> = match status {
        RoleStatus::KvMember { members, .. } => {
            let all = members.voters.into_iter().chain(members.learners);
            all.map(|member| NodeId::kv_of(server_of(member))).collect()
        }
        // A group of one; before it serves it says the same, and has applied nothing.
        RoleStatus::Kv { index, .. } if index > 0 => vec![NodeId::kv_of(server)],
        _ => Vec::new(),
    };
    (!nodes.is_empty()).then_some(nodes)
}
