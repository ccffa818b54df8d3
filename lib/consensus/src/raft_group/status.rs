//! How a member and its group are.

use raft::ProgressState;

use super::RaftGroup;
use crate::{LogIndex, Member, Progress, ProgressKind, Status};

impl RaftGroup {
    pub(super) fn collect_status(&self) -> Status {
        let raft = &self.node.raft;
        let membership = self.memberships.current().clone();
        let others = raft.prs().iter().filter(|(id, _)| **id != self.config.me.0);
        let progress = others.map(|(id, progress)| (Member(*id), of_progress(progress)));
        Status {
            me: self.config.me,
            leadership: self.leadership(),
            last: LogIndex(raft.raft_log.last_index()),
            durable: LogIndex(raft.raft_log.persisted),
            commit: LogIndex(raft.raft_log.committed),
            handed_out: self.handed_out,
            snapshot: self.node.store().mark().index,
            progress: if self.is_leader() { progress.collect() } else { Default::default() },
            quorum: self.heard.quorum(self.config.me, &membership),
            handing_over_to: raft.lead_transferee.map(Member),
            membership,
            is_membership_durable: self.changing.is_none() && self.installing.is_none(),
        }
    }
}

fn of_progress(progress: &raft::Progress) -> Progress {
    let kind = match progress.state {
        ProgressState::Probe => ProgressKind::Probing,
        ProgressState::Replicate => ProgressKind::Replicating,
        ProgressState::Snapshot => ProgressKind::NeedsSnapshot,
    };
    Progress { matched: LogIndex(progress.matched), next: LogIndex(progress.next_idx), kind }
}
