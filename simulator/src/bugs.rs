//! Bugs that can be planted, by name: each must be found by the promises alone.

use step::Bug;

/// Seeds within which a planted bug must be found.
pub const SEEDS_MAX: u64 = 500;

/// A planted bug, its name, and what goes wrong with it.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// What roles are told.
    pub bug: Bug,
    /// Its name on the command line.
    pub name: &'static str,
    /// A seed in which it showed when that was last noted: looked at first.
    pub seed: u64,
    /// What it does.
    pub about: &'static str,
    /// Members of the KV's group where it can show, or shows soonest; drawn by seed where that is no matter.
    pub members: Option<u16>,
    /// Groups beside the root group where it can show, or shows soonest; drawn by seed where that is no matter.
    pub groups: Option<usize>,
}

/// Those that guests, or askers of the KV, can come to notice.
pub const ALL: [Planted; 35] = [
    planted(2, Bug::AckBeforeSync, "ack-before-sync", "FLUSH is answered before the sync completed"),
    planted(10, Bug::TlogBeforeSco, "tlog-before-sco", "a write is acknowledged without its data in the SCO"),
    planted(3, Bug::TornTailAccepted, "torn-tail-accepted", "recovery takes a torn end of a log as it is"),
    planted(
        27,
        Bug::DamageTakenForTail,
        "damage-taken-for-tail",
        "recovery takes damage for the end of a log",
    ),
    planted(
        1,
        Bug::CheckpointAheadOfLog,
        "checkpoint-ahead-of-log",
        "a checkpoint names what is not durable",
    ),
    // It needs a crash at one moment of an ASD's. A group of one says nothing by itself, so which seeds find this does not
    // change with what members tell each other.
    Planted {
        members: Some(1),
        ..planted(
            23,
            Bug::SegmentReusedEarly,
            "segment-reused-early",
            "a segment goes before its checkpoint is durable",
        )
    },
    planted(1, Bug::ReplyMixedUp, "reply-mixed-up", "two reads in flight get each other's data"),
    planted(7, Bug::CrcUnchecked, "crc-unchecked", "a read doesn't check what it got"),
    planted(7, Bug::CrcMadeAnew, "crc-made-anew", "checksums are made anew after decoding"),
    planted(1, Bug::OverlapInTwoOrders, "overlap-in-two-orders", "log and map disagree on who came last"),
    planted(
        5,
        Bug::FragmentCountedBeforeSync,
        "fragment-counted-before-sync",
        "an ASD answers before its sync",
    ),
    planted(6, Bug::SyncRetried, "sync-retried", "a failed sync is tried again and believed"),
    planted(2, Bug::DiscardNotLogged, "discard-not-logged", "a discard changes the map but not the log"),
    planted(
        5,
        Bug::ChangeAppliedTwice,
        "change-applied-twice",
        "a write that was sent again is applied again",
    ),
    planted(1, Bug::LiveScoDeleted, "live-sco-deleted", "a SCO goes though the map still needs it"),
    planted(6, Bug::KvAnswersBeforeSync, "kv-answers-before-sync", "the KV answers before its log is synced"),
    planted(
        1,
        Bug::EdgeForgetsEarly,
        "edge-forgets-early",
        "the Edge forgets what is acknowledged but not stable",
    ),
    planted(
        1,
        Bug::SessionsLostInCheckpoint,
        "sessions-lost-in-checkpoint",
        "a checkpoint of the KV has no sessions",
    ),
    of_group(
        3,
        Bug::KvVotesBeforeSync,
        "kv-votes-before-sync",
        "a KV member votes before its vote is synced",
    ),
    of_group(
        2,
        Bug::KvReadsWithoutQuorum,
        "kv-reads-without-quorum",
        "a KV leader answers without being confirmed",
    ),
    of_group(1, Bug::KvFollowerAnswers, "kv-follower-answers", "any KV member answers questions"),
    of_group(
        1,
        Bug::KvAnswersBeforeQuorum,
        "kv-answers-before-quorum",
        "a KV leader answers before others have it",
    ),
    planted(3, Bug::KvAppliesTwice, "kv-applies-twice", "the KV applies what is sent again once more"),
    of_group(9, Bug::KvInstallKeepsOld, "kv-install-keeps-old", "a snapshot is added to what a member had"),
    of_group(6, Bug::KvOvertakenMismatch, "kv-overtaken-mismatch", "raft-rs before its #557, unguarded"),
    of_group(
        1,
        Bug::KvDiverges,
        "kv-diverges",
        "a KV member that follows passes over a command now and then",
    ),
    of_groups(
        7,
        Bug::KvSleeperAnswers,
        "kv-sleeper-answers",
        "the leader of a KV group that sleeps answers alone",
    ),
    of_groups(1, Bug::KvGroupMixedUp, "kv-group-mixed-up", "records of one KV group are logged as another's"),
    of_groups(
        1,
        Bug::KvCutForgetsGroups,
        "kv-cut-forgets-groups",
        "a KV log that begins anew leaves out groups that are quiet",
    ),
    of_group(
        1,
        Bug::KvServesDamaged,
        "kv-serves-damaged",
        "a damaged state of the KV is taken for an empty one",
    ),
    of_group(
        13,
        Bug::KvHealingForgets,
        "kv-healing-forgets",
        "a KV member that is healed passes over what came meanwhile",
    ),
    of_group(
        9,
        Bug::KvRaisesEarly,
        "kv-raises-early",
        "a KV leader raises the group's level before all members know it",
    ),
    // Askers of groups change the same few keys again and again; alone, nobody gives a state that is not whole anew.
    Planted {
        seed: 2,
        bug: Bug::CheckpointOfManyMoments,
        name: "checkpoint-of-many-moments",
        about: "a KV's checkpoint is gathered as it goes",
        members: Some(1),
        groups: Some(2),
    },
    // Only in a group of two nobody else can lead for long.
    Planted {
        seed: 16,
        bug: Bug::KvHealingServes,
        name: "kv-healing-serves",
        about: "a KV member that leads without its state answers",
        members: Some(2),
        groups: None,
    },
    of_group(
        1,
        Bug::FirstMembersOnly,
        "first-members-only",
        "roles never learn of members of the KV's group that join later",
    ),
];

const fn planted(seed: u64, bug: Bug, name: &'static str, about: &'static str) -> Planted {
    Planted { seed, bug, name, about, members: None, groups: None }
}

/// A mistake of a member among others.
const fn of_group(seed: u64, bug: Bug, name: &'static str, about: &'static str) -> Planted {
    Planted { seed, bug, name, about, members: Some(3), groups: None }
}

/// A mistake of a member among others, about groups beside the root group.
const fn of_groups(seed: u64, bug: Bug, name: &'static str, about: &'static str) -> Planted {
    Planted { seed, bug, name, about, members: Some(3), groups: Some(2) }
}

/// A bug by its name.
pub fn by_name(name: &str) -> Option<Planted> {
    ALL.into_iter().find(|planted| planted.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_a_name_of_its_own() {
        for planted in ALL {
            assert_eq!(by_name(planted.name).map(|found| found.bug), Some(planted.bug));
        }
        assert!(by_name("no-such-bug").is_none());
    }
}
