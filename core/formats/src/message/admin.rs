//! Management and roles: verbs on vDisks, and what each role says of itself.

use alloc::string::String;
use alloc::vec::Vec;
use consensus::{LogIndex, Member, Membership, Term};
use glossary::{ByteCount, Generation, GroupId, OsdId, VdiskId, VdiskName};
use serde::{Deserialize, Serialize};

use crate::message::standing::Fingerprint;

/// A request of management.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminRequest {
    /// The asker's number for it.
    pub request: u64,
    /// What.
    pub body: AdminBody,
}

/// What management can ask. `Status` goes to any role, the others to a volume driver. Verbs are
/// idempotent where they can be and say so where they can't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminBody {
    /// Creates a thin vDisk.
    CreateVdisk {
        /// Its name, not taken yet.
        name: VdiskName,
        /// Its size.
        size: ByteCount,
    },
    /// Grows a vDisk.
    ResizeVdisk {
        /// Its name.
        name: VdiskName,
        /// Its new size, not below the present one.
        size: ByteCount,
    },
    /// Deletes a vDisk and everything of it.
    DeleteVdisk {
        /// Its name.
        name: VdiskName,
    },
    /// Pushes everything acknowledged to the ASDs; answered when it is there.
    SyncVdisk {
        /// Its name.
        name: VdiskName,
    },
    /// What the role has to say of itself.
    Status,
    /// Changes the group that keeps the KV, or has its member do something. To be asked again until it is done.
    KvGroup(KvGroupVerb),
    /// Makes, drops or lists groups of the KV. To be asked again until it is done.
    KvGroups(KvGroupsVerb),
    /// The same as [`AdminBody::Status`] of a group of the KV beside the root group, by a member of it.
    KvStatusOf {
        /// The group's name.
        name: String,
    },
    /// The same as [`AdminBody::KvGroup`] of a group beside the root group. Its members are those of the root group, and
    /// change with them alone.
    KvGroupOf {
        /// The group's name.
        name: String,
        /// What.
        verb: KvGroupVerb,
    },
    /// Which levels the KV's group and its members have, as the member that is asked knows ([`crate::kv_level`]).
    KvLevels,
}

/// What can be asked of a KV about its groups. Groups are made and dropped by the leader of the root group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvGroupsVerb {
    /// A group of this name, with the members that the root group has.
    Make {
        /// Its name: see [`crate::kv_groups::check_name`].
        name: String,
    },
    /// A group goes, and all that it holds, for good.
    Drop {
        /// Its name.
        name: String,
    },
    /// The member that is asked, whichever, says which groups it has.
    List,
}

/// A group, as a member of it sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvGroupStatus {
    /// Its name.
    pub name: String,
    /// Its number.
    pub group: GroupId,
    /// How many keys it has.
    pub keys: u64,
    /// The number of the last command that is applied here.
    pub index: u64,
    /// Who leads it, as far as the member knows.
    pub leader: Option<Member>,
    /// Who belongs to it.
    pub members: Membership,
    /// Whether it has nothing to do, and no time passes for it.
    pub is_asleep: bool,
}

/// What can be asked of the KV's group, of the member that leads it where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvGroupVerb {
    /// A member that is new: a learner, which gets a vote once it has caught up.
    Add {
        /// Who. Its KV must run, with no log of its own.
        member: Member,
    },
    /// A member without a vote, for good.
    AddLearner {
        /// Who.
        member: Member,
    },
    /// A member leaves. Its server may come back under another number.
    Remove {
        /// Who.
        member: Member,
    },
    /// Another voter leads from now on.
    Transfer {
        /// Which.
        to: Member,
    },
    /// The member that is asked, whichever, replaces its log by a checkpoint.
    Snapshot,
    /// The member that is asked, whichever, says what it has, in short. Who compares asks one member for what it has now,
    /// and the others for what they had at the same entry.
    Fingerprint {
        /// At which entry, of those applied last; now, where none is named.
        at: Option<LogIndex>,
    },
}

/// The answer to management.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminReply {
    /// The asker's number for the request.
    pub request: u64,
    /// What.
    pub body: AdminAnswer,
}

/// What management can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminAnswer {
    /// Done.
    Done,
    /// Not done, and why: one sentence for people.
    Failed(String),
    /// What a role has to say of itself.
    Status(RoleStatus),
    /// Not done, for something that ends by itself: the same question gets another answer soon. Why: one sentence.
    NotYet(String),
    /// Not done: who asks may not. Said where requests come in. Why, and who may: one sentence for people.
    NotAllowed(String),
    /// What a member of the KV's group has, or had.
    Fingerprint(Fingerprint),
    /// The groups of the KV beside the root group, in order of their names.
    KvGroups(Vec<KvGroupStatus>),
    /// The levels of the KV's group and its members.
    KvLevels(KvLevels),
}

/// Levels, as a member knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvLevels {
    /// What the member goes up to.
    pub own: u32,
    /// The group's.
    pub group: u32,
    /// What each member of the group has said that it goes up to; 0 for one that has not.
    pub members: Vec<(Member, u32)>,
}

/// Whether a role or a vDisk serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Serves {
    /// It does.
    Yes,
    /// It doesn't, and won't by itself: why.
    No(String),
    /// It doesn't yet, and will by itself: what it does, or what it waits for.
    NotYet(String),
}

impl Serves {
    /// Why it doesn't; `None` when it does.
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Serves::Yes => None,
            Serves::No(why) | Serves::NotYet(why) => Some(why),
        }
    }
}

/// What a role says of itself. Counters are named in the crate `facts`, in the order of its tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleStatus {
    /// An Edge.
    Edge {
        /// Bytes of changes that it remembers until they are stable (E1).
        remembered: ByteCount,
        /// Its counters.
        counters: Vec<u64>,
    },
    /// A volume driver.
    VolumeDriver {
        /// Its vDisks, ordered by name.
        vdisks: Vec<VdiskStatus>,
        /// Bytes that the write buffer holds and the ASDs lack.
        buffered: ByteCount,
        /// Bytes that the write buffer may hold.
        buffer_limit: ByteCount,
        /// Its counters.
        counters: Vec<u64>,
    },
    /// An objects client.
    Objects {
        /// Its OSDs: which, and whether it answers.
        osds: Vec<(OsdId, OsdState)>,
        /// Its counters.
        counters: Vec<u64>,
    },
    /// An ASD.
    Asd {
        /// Bytes that its log takes.
        used: ByteCount,
        /// Bytes that its log may take.
        capacity: ByteCount,
        /// Bytes of the log that no key needs any more.
        dead: ByteCount,
        /// How many keys.
        keys: u64,
        /// Whether it serves.
        serves: Serves,
        /// Its counters.
        counters: Vec<u64>,
    },
    /// A KV.
    Kv {
        /// How many keys.
        keys: u64,
        /// The number of the last command.
        index: u64,
        /// Why it can't serve, when it can't.
        trouble: Option<String>,
        /// Its counters.
        counters: Vec<u64>,
    },
    /// A member of a KV's group of several.
    KvMember {
        /// How many keys.
        keys: u64,
        /// The number of the last command that is applied here.
        index: u64,
        /// Why it can't serve, when it can't.
        trouble: Option<String>,
        /// Its counters.
        counters: Vec<u64>,
        /// Itself.
        me: Member,
        /// Who leads, as far as it knows.
        leader: Option<Member>,
        /// The newest term that it has seen.
        term: Term,
        /// The last entry that it knows to be committed.
        commit: LogIndex,
        /// Who belongs to the group.
        members: Membership,
        /// Why nothing can be changed through it at the moment, in words; none where it leads a majority.
        refusal: Option<String>,
    },
}

/// How an OSD looks from an objects client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OsdState {
    /// Answers.
    Up,
    /// Answers, but has no room for guests.
    Full,
    /// Doesn't answer.
    Down,
    /// Doesn't answer, and won't before an operator acts: its folder was missing or damaged when it was to start,
    /// or its ASD said so itself. What it holds counts as lost until it is heard again.
    Gone,
}

/// What a volume driver says of a vDisk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VdiskStatus {
    /// Which.
    pub vdisk: VdiskId,
    /// Its name.
    pub name: VdiskName,
    /// Its size.
    pub size: ByteCount,
    /// The owner's generation.
    pub generation: Generation,
    /// Bytes of clusters that hold data.
    pub stored: ByteCount,
    /// Bytes that the ASDs don't hold yet with redundancy (L8).
    pub unsafe_bytes: ByteCount,
    /// Whether it serves.
    pub serves: Serves,
    /// Ranges that can't be read, in bytes: from, length; the first few.
    pub lost: Vec<(u64, u64)>,
}
