//! Mistakes that a role can be told to make, so that the simulator can show that its checkers find them.

/// A planted bug. Production never sets one; the simulator sets at most one per run, and each that guests can
/// notice must be found by the promise checkers alone within 500 seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// The volume answers FLUSH before the sync completed.
    AckBeforeSync,
    /// The volume acknowledges when the TLog is written though the SCO's data is not.
    TlogBeforeSco,
    /// Recovery takes entries at the torn end of a log as they are.
    TornTailAccepted,
    /// Recovery takes damage in the middle of a log for its end.
    DamageTakenForTail,
    /// A checkpoint names a log position that is not yet durable.
    CheckpointAheadOfLog,
    /// A segment is deleted before the checkpoint that no longer needs it is durable.
    SegmentReusedEarly,
    /// Two reads in flight get each other's data.
    ReplyMixedUp,
    /// A read doesn't check what it got.
    CrcUnchecked,
    /// After decoding, checksums are made anew instead of compared.
    CrcMadeAnew,
    /// Overlapping writes take effect in one order in the log and in another in the map.
    OverlapInTwoOrders,
    /// An ASD answers before its sync completed.
    FragmentCountedBeforeSync,
    /// A sync that failed is tried again and believed.
    SyncRetried,
    /// A discard changes the map but is not logged.
    DiscardNotLogged,
    /// A write that was sent again is applied again.
    ChangeAppliedTwice,
    /// A SCO is deleted though the map still holds a cluster of it.
    LiveScoDeleted,
    /// The KV answers before its log is synced.
    KvAnswersBeforeSync,
    /// The KV forgets its sessions in a checkpoint, so that a command sent again is applied again.
    SessionsLostInCheckpoint,
    /// The Edge forgets a change when it is acknowledged instead of when it is stable.
    EdgeForgetsEarly,
    /// A member of the KV's group says for whom it votes before that is synced.
    KvVotesBeforeSync,
    /// A leader of the KV's group answers questions without asking whether it still leads.
    KvReadsWithoutQuorum,
    /// Any member of the KV's group answers questions.
    KvFollowerAnswers,
    /// A leader of the KV's group answers commands that only its own log may have.
    KvAnswersBeforeQuorum,
    /// The KV applies a command again that was applied before.
    KvAppliesTwice,
    /// A snapshot that another member of the KV's group gives is added to what there was.
    KvInstallKeepsOld,
    /// A leader of the KV's group believes a follower's old answer over a newer one (raft-rs before its #557).
    KvOvertakenMismatch,
    /// A member of the KV's group that does not lead passes over a command now and then.
    KvDiverges,
    /// The leader of a group of the KV that sleeps goes on sleeping whoever is silent, and answers questions alone.
    KvSleeperAnswers,
    /// Records of a group of the KV are logged as those of another whose are in the same batch.
    KvGroupMixedUp,
    /// A log of the KV that begins anew says nothing again of groups that have nothing new to say.
    KvCutForgetsGroups,
    /// A member of a group of the KV whose state is damaged goes on from an empty one.
    KvServesDamaged,
    /// A member whose state was given anew passes over the entries that were committed meanwhile.
    KvHealingForgets,
    /// A checkpoint of the KV that is gathered over several steps has pairs as they are when they are gathered.
    CheckpointOfManyMoments,
    /// A member of the KV's group that leads without its state, to hand over, answers questions meanwhile.
    KvHealingServes,
    /// A leader of the KV's group takes its own level for the group's, whatever the other members know.
    KvRaisesEarly,
    /// Roles ask the members of the KV's group that were configured, and never learn of others.
    FirstMembersOnly,
}
