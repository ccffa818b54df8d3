//! The interface of a replicated log.

use bytes::Bytes;

use crate::{
    LogIndex, Member, MembershipChange, Message, Position, Ready, Refused, Rejected, SnapshotMark, Status,
};

/// One member of a group that agrees on a log. Pure: the same calls give the same answers. After any call,
/// [`Consensus::take_ready`] until it has nothing.
pub trait Consensus {
    /// Time passes. Members may differ in rate; only availability depends on it.
    fn tick(&mut self);

    /// A message from another member arrives. `from` is known from the connection.
    ///
    /// # Errors
    /// Says why it was dropped. Nothing changed.
    fn receive(&mut self, from: Member, message: Message) -> Result<(), Rejected>;

    /// Asks for a command to be appended. It is committed once an entry with the term and index of the answer is
    /// handed out; if another term is handed out at that index, it never will be. If neither happens the outcome is
    /// open, and the caller's commands must bear being asked for twice.
    ///
    /// # Errors
    /// Says why it was not begun.
    fn propose(&mut self, command: Bytes) -> Result<Position, Refused>;

    /// Asks for a change of membership, one at a time: learners first, promoted when they have caught up.
    ///
    /// # Errors
    /// Says why it was not begun.
    fn propose_membership(&mut self, change: MembershipChange) -> Result<Position, Refused>;

    /// Hands leadership to another voter, or gives up after `election_ticks`. Proposals are refused meanwhile.
    ///
    /// # Errors
    /// Says why it was not begun.
    fn transfer_leader(&mut self, to: Member) -> Result<(), Refused>;

    /// Stands for election now instead of when patience ends, if it can.
    fn campaign(&mut self);

    /// Asks whether this member still leads, and from which index on the state is fresh enough for a linearizable
    /// read. The answer comes in [`Ready::reads`], with this context.
    ///
    /// # Errors
    /// Says why it was not begun.
    fn read(&mut self, context: u64) -> Result<(), Refused>;

    /// What a snapshot of the state after `applied` stands for. None where that was not handed out, or is
    /// gone, or while an installed snapshot is not durable yet.
    fn mark(&self, applied: LogIndex) -> Option<SnapshotMark>;

    /// A snapshot is durable: entries up to `keep_after` may be forgotten (those between it and the mark serve
    /// followers that are a little behind). From now on, followers that need a snapshot need this one.
    ///
    /// # Errors
    /// The mark does not fit: see [`Refused::NoSnapshotThere`].
    fn compact(&mut self, mark: &SnapshotMark, keep_after: LogIndex) -> Result<(), Refused>;

    /// The data of an offered snapshot is here, checked and durable. If it is still needed, the next [`Ready`] says to
    /// install it. Returns whether it was waited for; if not, its data may be deleted.
    fn snapshot_arrived(&mut self, mark: &SnapshotMark) -> bool;

    /// An offered snapshot cannot be had; the leader will offer another.
    fn snapshot_failed(&mut self, mark: &SnapshotMark);

    /// As leader: a message to a member was certainly lost, so what was under way to it is sent again carefully.
    fn report_unreachable(&mut self, member: Member);

    /// As leader: sending a snapshot to a member ended, well or not. Not needed where followers fetch: their answers
    /// tell, and after `snapshot_patience_ticks` it is offered again.
    fn report_snapshot(&mut self, member: Member, is_sent: bool);

    /// What is to be done now; none when nothing is.
    fn take_ready(&mut self) -> Option<Ready>;

    /// This [`crate::Persist`] and all before it survive a power cut from now on.
    fn persisted(&mut self, number: u64);

    /// How it and its group are.
    fn status(&self) -> Status;
}
