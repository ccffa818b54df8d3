//! What operators ask of the running cluster, answered by asking its roles.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::model::{ClusterStatus, Facts, Kv, LostRange, Metrics, Osd, OsdState, Settings, Vdisk, WriteBuffer};
use api::{Admin, Kind, Refusal};
use formats::message::admin::{AdminAnswer, AdminBody, RoleStatus, Serves, VdiskStatus};
use formats::registry::{ClusterRecord, OsdRecord};
use glossary::{ByteCount, NodeId, OsdId, VdiskName};
use io::{AskError, Handle, IoChoice, Port};
use roles::Role;

use super::ask;
use super::casting::Casting;
use super::folders::{self, Absent};
use super::guests::{Door, Started};
use super::ports::Ports;
use crate::config::ServerConfig;
use crate::group;

/// How long one role may take to say how it is: it does so at once or not at all.
const ROLE_PATIENCE: Duration = Duration::from_secs(2);

/// How often what starts is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Whom to ask how the KV is.
pub(crate) enum KvStatus {
    /// A member in this process.
    Here(NodeId),
    /// Any server of the group.
    Elsewhere(Box<ServerConfig>),
}

/// How this process works, beside what the cluster is.
pub(crate) struct How {
    pub(crate) io: IoChoice,
    pub(crate) frames: bool,
    pub(crate) door: Door,
    pub(crate) kv: KvStatus,
}

/// What stands behind the API.
pub(crate) struct Control {
    handle: Handle<Role>,
    ports: Ports,
    casting: Arc<Casting>,
    /// As it was last read.
    record: Mutex<ClusterRecord>,
    how: How,
    /// Disks that an operator stopped.
    stopped: Mutex<BTreeSet<OsdId>>,
    /// Disks whose folder was missing or damaged.
    absent: Mutex<Vec<Absent>>,
}

impl Control {
    pub(crate) fn new(started: &Started, how: How) -> Self {
        Control {
            handle: started.handle.clone(),
            ports: started.ports.clone(),
            casting: Arc::clone(&started.casting),
            record: Mutex::new(started.record.clone()),
            how,
            stopped: Mutex::new(BTreeSet::new()),
            absent: Mutex::new(started.absent.clone()),
        }
    }

    /// The cluster has another record now.
    pub(crate) fn record_changed(&self, record: ClusterRecord) {
        *self.record.lock().expect("nobody panics with it") = record;
    }

    fn record(&self) -> ClusterRecord {
        self.record.lock().expect("nobody panics with it").clone()
    }

    /// An OSD of this process.
    fn own_osd(&self, osd: OsdId) -> Result<OsdRecord, Refusal> {
        let found = self.record().osds.into_iter().find(|record| record.osd == osd);
        let record = found.ok_or_else(|| Refusal::no_osd(osd))?;
        if record.osd.server() == self.casting.nodes.server {
            return Ok(record);
        }
        let why = format!("asd-{osd} is a disk of server {}", osd.server());
        Err(Refusal::new(Kind::Conflict, why).hint("stop or start the process that runs it there"))
    }

    fn kv_status(&self, port: &mut Port, patience: Duration) -> Option<RoleStatus> {
        match &self.how.kv {
            KvStatus::Here(node) => ask::status(port, *node, patience),
            KvStatus::Elsewhere(config) => group::status(config),
        }
    }

    /// The disks that are full, as whoever stores on them was told.
    fn full(&self, port: &mut Port, patience: Duration) -> BTreeSet<OsdId> {
        let Some(RoleStatus::Objects { osds, .. }) =
            ask::status(port, self.casting.nodes.objects(), patience)
        else {
            return BTreeSet::new();
        };
        let full = osds.into_iter().filter(|(_, state)| *state == formats::message::admin::OsdState::Full);
        full.map(|(osd, _)| osd).collect()
    }

    /// Waits until an ASD that was started serves.
    fn wait_until_it_serves(&self, osd: OsdId, patience: Duration) -> Result<(), Refusal> {
        let mut port = self.ports.open();
        let began = Instant::now();
        loop {
            let left = patience.saturating_sub(began.elapsed());
            let trouble = match ask::status(&mut port, NodeId::asd(osd), left.min(ROLE_PATIENCE)) {
                Some(RoleStatus::Asd { serves: Serves::Yes, .. }) => return Ok(()),
                Some(RoleStatus::Asd { serves: Serves::NotYet(why), .. }) => why,
                Some(RoleStatus::Asd { serves: Serves::No(why), .. }) => {
                    return Err(Refusal::new(Kind::Unavailable, format!("asd-{osd} started: {why}")));
                }
                _ => "it does not answer".into(),
            };
            if left.is_zero() {
                let refusal =
                    Refusal::new(Kind::TimedOut, format!("asd-{osd} does not serve yet: {trouble}"));
                return Err(refusal.hint("`ovs osd list` says when it does; --timeout allows more time"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn osd_facts(
        &self,
        port: &mut Port,
        record: &OsdRecord,
        full: &BTreeSet<OsdId>,
        patience: Duration,
    ) -> Osd {
        let mut facts = Osd {
            osd: record.osd,
            name: format!("asd-{}", record.osd),
            state: OsdState::Failed,
            used: ByteCount(0),
            capacity: record.capacity,
            dead: ByteCount(0),
            keys: 0,
            trouble: None,
        };
        let absent = self.absent.lock().expect("nobody panics with it");
        if let Some(absent) = absent.iter().find(|absent| absent.osd.osd == record.osd) {
            (facts.state, facts.trouble) = (OsdState::Missing, Some(absent.why.clone()));
        } else if self.stopped.lock().expect("nobody panics with it").contains(&record.osd) {
            facts.state = OsdState::Stopped;
        } else if let Some(RoleStatus::Asd { used, dead, keys, serves, .. }) =
            ask::status(port, NodeId::asd(record.osd), patience)
        {
            (facts.used, facts.dead, facts.keys) = (used, dead, keys);
            facts.state = match &serves {
                _ if full.contains(&record.osd) => OsdState::Full,
                Serves::Yes => OsdState::Up,
                Serves::No(_) | Serves::NotYet(_) => OsdState::Failed,
            };
            facts.trouble = serves.why_not().map(str::to_owned);
        } else {
            facts.trouble = Some("it does not answer".into());
        }
        facts
    }

    /// A verb on a vDisk that is there.
    fn verb_on(&self, name: &VdiskName, body: AdminBody, patience: Duration) -> Result<(), Refusal> {
        self.verb(body, patience).map_err(|refusal| match self.vdisk_info(name, patience) {
            Err(missing) if missing.kind == Kind::NotFound && refusal.kind == Kind::Conflict => missing,
            _ => refusal,
        })
    }

    /// Asks a volume driver's verb, again while it can't be done yet; what it refuses is a conflict with how things
    /// are.
    fn verb(&self, body: AdminBody, patience: Duration) -> Result<(), Refusal> {
        let mut port = self.ports.open();
        let began = Instant::now();
        loop {
            let left = patience.saturating_sub(began.elapsed());
            let late = |why: String| {
                let refusal = Refusal::new(Kind::TimedOut, why);
                Err(refusal.hint("`ovs status` says how the cluster is; --timeout allows more time"))
            };
            match ask::admin(
                &mut port,
                self.casting.nodes.volume_driver(),
                body.clone(),
                left.max(LOOK_AGAIN),
            ) {
                Ok(AdminAnswer::Failed(why) | AdminAnswer::NotAllowed(why)) => {
                    return Err(Refusal::new(Kind::Conflict, why));
                }
                Ok(AdminAnswer::NotYet(why)) if left <= LOOK_AGAIN => return late(why),
                Ok(AdminAnswer::NotYet(_)) => std::thread::sleep(LOOK_AGAIN),
                Ok(
                    AdminAnswer::Done
                    | AdminAnswer::Status(_)
                    | AdminAnswer::Fingerprint(_)
                    | AdminAnswer::KvGroups(_)
                    | AdminAnswer::KvLevels(_),
                ) => return Ok(()),
                Err(AskError::TimedOut(_)) => return late("no answer in time; it may still happen".into()),
                Err(AskError::NotRunning(_)) => {
                    return Err(Refusal::new(Kind::Unavailable, "the volume driver does not run"));
                }
            }
        }
    }

    fn volume_facts(&self, status: Option<RoleStatus>, facts: &mut Facts) {
        let Some(RoleStatus::VolumeDriver { vdisks, buffered, buffer_limit, .. }) = status else {
            facts.troubles.push("the volume driver does not answer".into());
            return;
        };
        facts.write_buffer = WriteBuffer { used: buffered, limit: buffer_limit };
        facts.vdisks = vdisks.into_iter().map(|vdisk| self.vdisk_facts(vdisk)).collect();
    }

    fn vdisk_facts(&self, status: VdiskStatus) -> Vdisk {
        let lost = |(offset, length)| LostRange { offset: ByteCount(offset), length: ByteCount(length) };
        Vdisk {
            uri: format!("nbd://{}/{}", self.how.door.nbd, status.name),
            name: status.name,
            id: status.vdisk.0,
            size: status.size,
            generation: status.generation.0,
            stored: status.stored,
            unsafe_bytes: status.unsafe_bytes,
            halted: status.serves.why_not().map(str::to_owned),
            lost: status.lost.into_iter().map(lost).collect(),
        }
    }

    fn halted_roles(&self) -> Vec<String> {
        let states = self.handle.states().into_iter();
        let halted = states.filter_map(|(_, (name, state))| match state {
            io::NodeState::Halted { reason } => Some(format!("{name} has stopped: {reason}")),
            _ => None,
        });
        halted.collect()
    }
}

impl Admin for Control {
    fn status(&self, patience: Duration) -> Result<ClusterStatus, Refusal> {
        let mut port = self.ports.open();
        let record = self.record();
        // Roles answer at once or not at all.
        let each = patience.min(ROLE_PATIENCE);
        let kv = match self.kv_status(&mut port, each) {
            Some(RoleStatus::Kv { keys, index, trouble, .. }) => Kv { copies: 1, keys, index, trouble },
            Some(RoleStatus::KvMember { keys, index, trouble, members, .. }) => {
                Kv { copies: members.voters.len() as u32, keys, index, trouble }
            }
            _ => Kv {
                copies: self.casting.kv.nodes().len() as u32,
                keys: 0,
                index: 0,
                trouble: Some("it does not answer".into()),
            },
        };
        let full = self.full(&mut port, each);
        let osd_facts = |osd| self.osd_facts(&mut port, osd, &full, each);
        let mut facts = Facts {
            cluster: record.identity.to_string(),
            policies: record.policies.clone(),
            osds: record.osds.iter().map(osd_facts).collect(),
            vdisks: Vec::new(),
            write_buffer: WriteBuffer { used: ByteCount(0), limit: record.write_buffer },
            kv,
            memory_limit: self.how.door.memory_bound,
            troubles: self.halted_roles(),
        };
        let volume_driver = ask::status(&mut port, self.casting.nodes.volume_driver(), each);
        self.volume_facts(volume_driver, &mut facts);
        Ok(ClusterStatus::of(facts))
    }

    fn metrics(&self, patience: Duration) -> Result<Metrics, Refusal> {
        let mut metrics = Metrics::of(&self.status(patience)?);
        let mut port = self.ports.open();
        let mut nodes: Vec<(NodeId, String)> = vec![
            (self.casting.nodes.edge(), "edge".into()),
            (self.casting.nodes.volume_driver(), "volume-driver".into()),
            (self.casting.nodes.objects(), "objects".into()),
        ];
        if let KvStatus::Here(node) = &self.how.kv {
            nodes.push((*node, "kv".into()));
        }
        nodes.extend(self.record().osds.iter().map(|osd| (NodeId::asd(osd.osd), format!("asd-{}", osd.osd))));
        for (node, name) in nodes {
            let Some(status) = ask::status(&mut port, node, patience.min(ROLE_PATIENCE)) else {
                continue;
            };
            let (role, described, values) = roles::counters_of(&status);
            metrics.add_counters(role, &name, described, values);
        }
        Ok(metrics)
    }

    fn settings(&self) -> Settings {
        let record = self.record();
        Settings {
            disks: record.osds.len() as u32,
            disk_size: record.osds.first().map_or(ByteCount(0), |osd| osd.capacity),
            policies: record.policies,
            sco_size: record.sco_size,
            write_buffer: record.write_buffer,
            nbd: self.how.door.nbd,
            io: format!("{:?}", self.how.io).to_lowercase(),
            frames: self.how.frames,
        }
    }

    fn create_vdisk(&self, name: &VdiskName, size: ByteCount, patience: Duration) -> Result<(), Refusal> {
        self.verb(AdminBody::CreateVdisk { name: name.clone(), size }, patience)
    }

    fn resize_vdisk(&self, name: &VdiskName, size: ByteCount, patience: Duration) -> Result<(), Refusal> {
        self.verb_on(name, AdminBody::ResizeVdisk { name: name.clone(), size }, patience)
    }

    fn delete_vdisk(&self, name: &VdiskName, patience: Duration) -> Result<(), Refusal> {
        self.verb_on(name, AdminBody::DeleteVdisk { name: name.clone() }, patience)
    }

    fn sync_vdisk(&self, name: Option<&VdiskName>, patience: Duration) -> Result<(), Refusal> {
        let names = match name {
            Some(name) => vec![name.clone()],
            None => self.list_vdisks(patience)?.into_iter().map(|vdisk| vdisk.name).collect(),
        };
        let sync = |name: &VdiskName| AdminBody::SyncVdisk { name: name.clone() };
        names.iter().try_for_each(|name| self.verb_on(name, sync(name), patience))
    }

    fn stop_osd(&self, osd: OsdId, patience: Duration) -> Result<(), Refusal> {
        self.own_osd(osd)?;
        let stopped = self.handle.stop_node(NodeId::asd(osd), patience);
        self.stopped.lock().expect("nobody panics with it").insert(osd);
        stopped.map_err(|_| {
            Refusal::new(Kind::TimedOut, format!("asd-{osd} is stopping; its disk takes its time"))
        })
    }

    fn start_osd(&self, osd: OsdId, patience: Duration) -> Result<(), Refusal> {
        let record = self.own_osd(osd)?;
        let absent = folders::check_asds(&self.casting.layout, self.record().identity, &[record])
            .map_err(|failure| Refusal::new(Kind::Conflict, failure.message))?;
        if let Some(absent) = absent.iter().find(|absent| absent.osd.osd == osd) {
            return Err(Refusal::new(Kind::Conflict, format!("asd-{osd} can't start: {}", absent.why)));
        }
        match self.handle.start_node(self.casting.asd(&record)) {
            Ok(()) | Err(io::StartError::Running(_)) => {}
            Err(error) => return Err(Refusal::new(Kind::Unavailable, error.to_string())),
        }
        self.stopped.lock().expect("nobody panics with it").remove(&osd);
        self.absent.lock().expect("nobody panics with it").retain(|absent| absent.osd.osd != osd);
        self.wait_until_it_serves(osd, patience)
    }
}
