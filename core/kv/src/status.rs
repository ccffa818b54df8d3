//! What the KV says of itself.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use consensus::Role;
use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, RoleStatus};
use step::Function;

use crate::counters::Counters;
use crate::group::Group;
use crate::hosted::Hosted;
use crate::serving::Serving;

/// Answers management; `serving` is none while the KV starts, `no_room` when it can't for want of room.
pub(crate) fn answer<F: Function, C: Group>(
    body: &AdminBody,
    serving: Option<&Serving<F, C>>,
    counters: &Counters,
    no_room: bool,
) -> AdminAnswer {
    if *body != AdminBody::Status {
        return AdminAnswer::Failed(
            "the KV knows no verbs but its status and those of its group".to_string(),
        );
    }
    let (root, keys, index) = (serving.map(Serving::root), 0, 0);
    let (trouble, counters) = (trouble(serving, no_room), counters.values());
    match root {
        Some(root) => of_member(root, trouble, counters),
        None => AdminAnswer::Status(RoleStatus::Kv { keys, index, trouble, counters }),
    }
}

/// What a member of a group beside the root group says of itself. What it counts is the KV's.
pub(crate) fn of_group<F: Function, C: Group>(
    hosted: &Hosted<F, C>,
    trouble: Option<String>,
    counters: &Counters,
) -> AdminAnswer {
    of_member(hosted, trouble, counters.values())
}

fn of_member<F: Function, C: Group>(
    hosted: &Hosted<F, C>,
    trouble: Option<String>,
    counters: Vec<u64>,
) -> AdminAnswer {
    let (keys, index) = (hosted.state.map.len(), hosted.state.index);
    if !hosted.replica.has_others {
        return AdminAnswer::Status(RoleStatus::Kv { keys, index, trouble, counters });
    }
    let status = hosted.replica.status();
    AdminAnswer::Status(RoleStatus::KvMember {
        keys,
        index,
        trouble,
        counters,
        me: status.me,
        leader: status.leadership.leader,
        term: status.leadership.term,
        commit: status.commit,
        refusal: status.refusal(),
        members: status.membership,
    })
}

fn trouble<F: Function, C: Group>(serving: Option<&Serving<F, C>>, no_room: bool) -> Option<String> {
    let Some(serving) = serving else {
        let why = match no_room {
            true => "its disk is full: it can't start, and tries again by itself",
            false => "it is reading its log",
        };
        return Some(why.to_string());
    };
    let (root, device) = (serving.root(), &serving.device);
    match root.difference() {
        _ if root.unreadable.is_some() => root.unreadable_text(),
        _ if root.replica.has_others && !root.replica.is_member() => Some(
            "it does not belong to the KV's group: it was removed, and can be switched off, or it has not been added \
             yet"
                .to_string(),
        ),
        Some(difference) => Some(difference),
        None if serving.difference_elsewhere().is_some() => serving.difference_elsewhere(),
        None if serving.healing().is_some() => serving.healing().map(|group| serving.healing_text(group)),
        None if device.log.is_full() => {
            Some("its disk is full: it answers questions and takes no commands".to_string())
        }
        None if device.log.hangs() => Some(
            "its disk hangs: what is written there doesn't end, and it leads no group that another can lead; see to it"
                .to_string(),
        ),
        None if root.leadership().role == Role::Leader && !root.can_keep(device.disk_room()) => Some(
            "the disks of too many members are full or hang: it answers questions and takes no commands until a majority can keep \
             them; free space there"
                .to_string(),
        ),
        None if !device.has_room() && device.has_some_room() => Some(
            "its disk is nearly full: it turned a command away that was too large for what is left; free space on its disk"
                .to_string(),
        ),
        None if !device.has_room() => Some(
            "its disk is nearly full: it takes only commands that remove, to keep room for its checkpoints; free \
             space on its disk"
                .to_string(),
        ),
        None => None,
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// That a state was given that can't be read here, in words.
    pub(crate) fn unreadable_text(&self) -> Option<String> {
        self.unreadable.map(|member| {
            format!(
                "member {member} gives it a state with rows that this program can't read: a newer program wrote them, or they \
                 are damaged there; start the newest program of the group's servers here, or compare members (ovs kv \
                 verify)"
            )
        })
    }
}

/// Wraps an answer.
pub(crate) fn reply(request: u64, body: AdminAnswer) -> Message {
    Message::AdminReply(AdminReply { request, body })
}
