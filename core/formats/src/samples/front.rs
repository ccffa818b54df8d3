//! Guest, Edge and management.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use consensus::{LogIndex, Member, Membership, Term};
use glossary::{ByteCount, ClientId, Generation, GroupId, OsdId, SessionId, VdiskId};

use super::{all, name, payload, size};
use crate::Message;
use crate::message::admin::{
    AdminAnswer, AdminBody, AdminReply, AdminRequest, KvGroupStatus, KvGroupVerb, KvGroupsVerb, KvLevels,
    OsdState, RoleStatus, Serves, VdiskStatus,
};
use crate::message::edge::{EdgeAnswer, EdgeBody, EdgeError, EdgeReply, EdgeRequest, Opening};
use crate::message::guest::{GuestAnswer, GuestBody, GuestError, GuestReply, GuestRequest};
use crate::message::standing::Fingerprint;

pub(super) fn messages() -> Vec<Message> {
    let session = SessionId(0x77);
    let mut messages = Vec::new();
    messages.extend(all(guest_body).map(|body| Message::Guest(GuestRequest { request: 1, body })));
    let answers = all(guest_answer).chain(all(guest_error).map(GuestAnswer::Failed));
    messages.extend(answers.map(|body| Message::GuestReply(GuestReply { request: 2, body })));
    messages.extend(all(edge_body).map(|body| Message::Edge(EdgeRequest { session, request: 3, body })));
    let answers = all(edge_answer).chain(all(edge_error).map(EdgeAnswer::Failed));
    messages.extend(answers.map(|body| {
        let generation = Generation(5);
        Message::EdgeReply(EdgeReply { session, request: 300, generation, stable: 41, body })
    }));
    messages.extend(all(admin_body).map(|body| Message::Admin(AdminRequest { request: 4, body })));
    let answers = all(admin_answer).chain(all(status).chain([vdisk_states()]).map(AdminAnswer::Status));
    let fingerprint = Fingerprint { scheme: 1, index: LogIndex(300), hash: u64::MAX - 7 };
    let last = [
        AdminAnswer::NotYet("why".to_string()),
        AdminAnswer::NotAllowed("why".to_string()),
        AdminAnswer::Fingerprint(fingerprint),
        AdminAnswer::KvGroups(vec![kv_group()]),
        AdminAnswer::KvLevels(KvLevels { own: 2, group: 1, members: vec![(Member(0x1_0003), 300)] }),
    ];
    let answers = answers.chain(last);
    messages.extend(answers.map(|body| Message::AdminReply(AdminReply { request: 5, body })));
    messages
}

fn kv_group() -> KvGroupStatus {
    KvGroupStatus {
        name: "a-1".to_string(),
        group: GroupId(300),
        keys: 301,
        index: 302,
        leader: Some(Member(2)),
        members: Membership { voters: [Member(1), Member(2)].into(), learners: [Member(3)].into() },
        is_asleep: true,
    }
}

fn guest_body(last: Option<&GuestBody>) -> Option<GuestBody> {
    let vdisk = VdiskId(7);
    let (offset, length) = (4096, 65_536);
    Some(match last {
        None => GuestBody::List,
        Some(GuestBody::List) => GuestBody::Attach { name: name() },
        Some(GuestBody::Attach { .. }) => GuestBody::Read { vdisk, offset, length },
        Some(GuestBody::Read { .. }) => GuestBody::Write { vdisk, offset, fua: true, payload: payload() },
        Some(GuestBody::Write { .. }) => GuestBody::Discard { vdisk, offset, length, fua: false },
        Some(GuestBody::Discard { .. }) => GuestBody::Flush { vdisk },
        Some(GuestBody::Flush { .. }) => GuestBody::Extents { vdisk, offset, length },
        Some(GuestBody::Extents { .. }) => return None,
    })
}

fn guest_answer(last: Option<&GuestAnswer>) -> Option<GuestAnswer> {
    Some(match last {
        None => GuestAnswer::Vdisks(vec![(name(), size())]),
        Some(GuestAnswer::Vdisks(_)) => GuestAnswer::Attached { vdisk: VdiskId(7), size: size() },
        Some(GuestAnswer::Attached { .. }) => GuestAnswer::Data(payload()),
        Some(GuestAnswer::Data(_)) => GuestAnswer::Extents(vec![(4096, true), (8192, false)]),
        Some(GuestAnswer::Extents(_)) => GuestAnswer::Done,
        // The errors have a chain of their own.
        Some(GuestAnswer::Done | GuestAnswer::Failed(_)) => return None,
    })
}

fn guest_error(last: Option<&GuestError>) -> Option<GuestError> {
    Some(match last {
        None => GuestError::NotFound,
        Some(GuestError::NotFound) => GuestError::OutOfBounds,
        Some(GuestError::OutOfBounds) => GuestError::NoSpace,
        Some(GuestError::NoSpace) => GuestError::Io("why".to_string()),
        Some(GuestError::Io(_)) => return None,
    })
}

fn edge_body(last: Option<&EdgeBody>) -> Option<EdgeBody> {
    let (change, offset, length) = (300, 4096, 65_536);
    Some(match last {
        None => EdgeBody::List,
        Some(EdgeBody::List) => EdgeBody::Open(opening()),
        Some(EdgeBody::Open(_)) => EdgeBody::Read { offset, length },
        Some(EdgeBody::Read { .. }) => EdgeBody::Write { change, offset, fua: false, payload: payload() },
        Some(EdgeBody::Write { .. }) => EdgeBody::Discard { change, offset, length, fua: true },
        Some(EdgeBody::Discard { .. }) => EdgeBody::Flush,
        Some(EdgeBody::Flush) => EdgeBody::Extents { offset, length },
        Some(EdgeBody::Extents { .. }) => EdgeBody::Close,
        Some(EdgeBody::Close) => return None,
    })
}

fn opening() -> Opening {
    let (client, newest, generation) = (ClientId(9), SessionId(10), Generation(5));
    Opening { name: name(), client, newest, first_change: 299, generation }
}

fn edge_answer(last: Option<&EdgeAnswer>) -> Option<EdgeAnswer> {
    Some(match last {
        None => EdgeAnswer::Vdisks(vec![(name(), size())]),
        Some(EdgeAnswer::Vdisks(_)) => EdgeAnswer::Opened { vdisk: VdiskId(7), size: size(), applied: 299 },
        Some(EdgeAnswer::Opened { .. }) => EdgeAnswer::Data(payload()),
        Some(EdgeAnswer::Data(_)) => EdgeAnswer::Extents(vec![(4096, true), (8192, false)]),
        Some(EdgeAnswer::Extents(_)) => EdgeAnswer::Done,
        Some(EdgeAnswer::Done | EdgeAnswer::Failed(_)) => return None,
    })
}

fn edge_error(last: Option<&EdgeError>) -> Option<EdgeError> {
    Some(match last {
        None => EdgeError::NotFound,
        Some(EdgeError::NotFound) => EdgeError::NoSession,
        Some(EdgeError::NoSession) => EdgeError::NotNewest { newest: SessionId(11) },
        Some(EdgeError::NotNewest { .. }) => EdgeError::OutOfBounds,
        Some(EdgeError::OutOfBounds) => EdgeError::NoSpace,
        Some(EdgeError::NoSpace) => EdgeError::Io("why".to_string()),
        Some(EdgeError::Io(_)) => return None,
    })
}

fn admin_body(last: Option<&AdminBody>) -> Option<AdminBody> {
    Some(match last {
        None => AdminBody::CreateVdisk { name: name(), size: size() },
        Some(AdminBody::CreateVdisk { .. }) => AdminBody::ResizeVdisk { name: name(), size: size() },
        Some(AdminBody::ResizeVdisk { .. }) => AdminBody::DeleteVdisk { name: name() },
        Some(AdminBody::DeleteVdisk { .. }) => AdminBody::SyncVdisk { name: name() },
        Some(AdminBody::SyncVdisk { .. }) => AdminBody::Status,
        Some(AdminBody::Status) => AdminBody::KvGroup(KvGroupVerb::Add { member: Member(0x1_0003) }),
        Some(AdminBody::KvGroup(verb)) => AdminBody::KvGroup(match verb {
            KvGroupVerb::Add { member } => KvGroupVerb::AddLearner { member: *member },
            KvGroupVerb::AddLearner { member } => KvGroupVerb::Remove { member: *member },
            KvGroupVerb::Remove { member } => KvGroupVerb::Transfer { to: *member },
            KvGroupVerb::Transfer { .. } => KvGroupVerb::Snapshot,
            KvGroupVerb::Snapshot => KvGroupVerb::Fingerprint { at: None },
            KvGroupVerb::Fingerprint { at: None } => KvGroupVerb::Fingerprint { at: Some(LogIndex(300)) },
            KvGroupVerb::Fingerprint { at: Some(_) } => {
                return Some(AdminBody::KvGroups(KvGroupsVerb::Make { name: "a-1".to_string() }));
            }
        }),
        Some(AdminBody::KvGroups(verb)) => AdminBody::KvGroups(match verb {
            KvGroupsVerb::Make { name } => KvGroupsVerb::Drop { name: name.clone() },
            KvGroupsVerb::Drop { .. } => KvGroupsVerb::List,
            KvGroupsVerb::List => return Some(AdminBody::KvStatusOf { name: "a-1".to_string() }),
        }),
        Some(AdminBody::KvStatusOf { name }) => {
            AdminBody::KvGroupOf { name: name.clone(), verb: KvGroupVerb::Transfer { to: Member(3) } }
        }
        Some(AdminBody::KvGroupOf { .. }) => AdminBody::KvLevels,
        Some(AdminBody::KvLevels) => return None,
    })
}

fn admin_answer(last: Option<&AdminAnswer>) -> Option<AdminAnswer> {
    Some(match last {
        None => AdminAnswer::Done,
        Some(AdminAnswer::Done) => AdminAnswer::Failed("why".to_string()),
        // These come behind what a role says of itself.
        Some(
            AdminAnswer::Failed(_)
            | AdminAnswer::Status(_)
            | AdminAnswer::NotYet(_)
            | AdminAnswer::NotAllowed(_)
            | AdminAnswer::Fingerprint(_)
            | AdminAnswer::KvGroups(_)
            | AdminAnswer::KvLevels(_),
        ) => return None,
    })
}

fn status(last: Option<&RoleStatus>) -> Option<RoleStatus> {
    let counters = vec![1, 200, 0];
    Some(match last {
        None => RoleStatus::Edge { remembered: ByteCount(4096), counters },
        Some(RoleStatus::Edge { .. }) => volume_driver(vec![vdisk_status(Serves::No("why".to_string()))]),
        Some(RoleStatus::VolumeDriver { .. }) => {
            let osds = (0_u32..).zip(all(osd_state)).map(|(osd, state)| (OsdId(osd), state)).collect();
            RoleStatus::Objects { osds, counters }
        }
        Some(RoleStatus::Objects { .. }) => RoleStatus::Asd {
            used: ByteCount(1 << 20),
            capacity: ByteCount(1 << 40),
            dead: ByteCount(4096),
            keys: 300,
            serves: Serves::Yes,
            counters,
        },
        Some(RoleStatus::Asd { .. }) => {
            RoleStatus::Kv { keys: 12, index: 345, trouble: Some("why".to_string()), counters }
        }
        Some(RoleStatus::Kv { .. }) => RoleStatus::KvMember {
            keys: 12,
            index: 345,
            trouble: None,
            counters,
            me: Member(2),
            leader: Some(Member(1)),
            term: Term(3),
            commit: LogIndex(346),
            members: Membership::of_voters([Member(1), Member(2), Member(3)]),
            refusal: Some("member 1 leads; ask it".to_string()),
        },
        Some(RoleStatus::KvMember { .. }) => return None,
    })
}

fn volume_driver(vdisks: Vec<VdiskStatus>) -> RoleStatus {
    let (buffered, buffer_limit) = (ByteCount(8192), ByteCount(2 << 30));
    RoleStatus::VolumeDriver { vdisks, buffered, buffer_limit, counters: vec![1, 200, 0] }
}

/// A volume driver with a vDisk in every state.
fn vdisk_states() -> RoleStatus {
    volume_driver(all(serves).map(vdisk_status).collect())
}

fn serves(last: Option<&Serves>) -> Option<Serves> {
    Some(match last {
        None => Serves::Yes,
        Some(Serves::Yes) => Serves::No("why".to_string()),
        Some(Serves::No(_)) => Serves::NotYet("why".to_string()),
        Some(Serves::NotYet(_)) => return None,
    })
}

fn osd_state(last: Option<&OsdState>) -> Option<OsdState> {
    Some(match last {
        None => OsdState::Up,
        Some(OsdState::Up) => OsdState::Full,
        Some(OsdState::Full) => OsdState::Down,
        Some(OsdState::Down) => OsdState::Gone,
        Some(OsdState::Gone) => return None,
    })
}

fn vdisk_status(serves: Serves) -> VdiskStatus {
    VdiskStatus {
        vdisk: VdiskId(7),
        name: name(),
        size: size(),
        generation: Generation(5),
        stored: ByteCount(1 << 20),
        unsafe_bytes: ByteCount(4096),
        serves,
        lost: vec![(4096, 8192)],
    }
}
