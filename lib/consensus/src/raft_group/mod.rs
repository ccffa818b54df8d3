//! [`RaftGroup`]: the `raft` crate behind our interface. Nothing of its types leaves this module.
//!
//! What it adds to the library (version 0.7.0), each for a fault named where it is prevented:
//! - election waits that depend on a seed and not on the operating system: `patience.rs`;
//! - messages that wait for what they promise: `pipeline.rs`;
//! - messages that would make it panic, or take a step back that it should not, are refused: `receive.rs`;
//! - a member stands for election only when all it took is durable: [`RaftGroup::may_campaign`];
//! - changes of membership that could leave the group without a majority are refused: `propose.rs`;
//! - every read is answered, and reads share rounds: `reads.rs`;
//! - the data of snapshots travels outside, and lost offers are repeated: `snapshots.rs`.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use raft::{Config as RaftConfig, ProgressState, RawNode, ReadOnlyOption, SnapshotStatus, StateRole};

use crate::{
    BadRecovery, Config, Consensus, Leadership, LogIndex, Member, MembershipChange, Message, Position, Ready,
    Recovered, Refused, Rejected, Role, SnapshotMark, Status, Term,
};

mod convert;
mod heard;
mod log;
mod memberships;
mod patience;
mod pipeline;
mod propose;
mod reads;
mod receive;
mod sink;
mod snapshots;
mod status;
mod take_ready;

use heard::Heard;
use log::Log;
use memberships::Memberships;
use patience::Patience;
use pipeline::Pipeline;
use reads::Reads;
pub use sink::{LogSink, Severity};
use snapshots::Snapshots;

/// One member of a group, by the `raft` crate.
pub struct RaftGroup {
    config: Config,
    node: RawNode<Log>,
    patience: Patience,
    pipeline: Pipeline,
    memberships: Memberships,
    reads: Reads,
    snapshots: Snapshots,
    heard: Heard,
    handed_out: LogIndex,
    /// The write that installs a snapshot, and that snapshot's index.
    installing: Option<(u64, LogIndex)>,
    /// The write that makes the newest change of membership durable.
    changing: Option<u64>,
    /// What the caller was told.
    told: Leadership,
    planted: Option<PlantedBug>,
}

/// Faults of this crate that tests plant, to see that they are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// An overtaken mismatch moves a probe back behind what the member acknowledged.
    OvertakenMismatchCounts,
    /// A voter that was removed is still counted.
    RemovedVoterCounts,
    /// A leader speaks before its term is durable.
    LeaderBeforeItsTerm,
}

impl RaftGroup {
    /// A member that goes on from what it recovered. A group of one leads itself at once. The library's log lines go
    /// to the sink, or nowhere.
    ///
    /// # Errors
    /// Says what is wrong with the settings or with what was recovered.
    pub fn new(
        config: Config,
        recovered: Recovered,
        sink: Option<LogSink>,
    ) -> Result<RaftGroup, BadRecovery> {
        config.check()?;
        let recovered = recovered.check()?;
        let (mark, state) = (recovered.mark.clone(), recovered.hard_state);
        let settings = settings(&config, mark.index);
        let node = RawNode::new(&settings, Log::new(recovered), &sink::logger(sink))
            .expect("settings and log were checked");
        let mut group = RaftGroup {
            patience: Patience::new(&config, state.term),
            pipeline: Pipeline::new(&state, config.uncommitted_bytes_max),
            memberships: Memberships::new(&mark),
            reads: Reads::default(),
            snapshots: Snapshots::default(),
            heard: Heard::new(config.election_ticks),
            handed_out: mark.index,
            installing: None,
            changing: None,
            told: Leadership { term: state.term, ..Leadership::default() },
            config,
            node,
            planted: None,
        };
        group.lead_if_alone();
        Ok(group)
    }

    /// Plants a fault, for tests of the tests.
    pub fn plant(&mut self, bug: Option<PlantedBug>) {
        self.planted = bug;
    }

    fn has_planted(&self, bug: PlantedBug) -> bool {
        self.planted == Some(bug)
    }

    fn term(&self) -> Term {
        Term(self.node.raft.term)
    }

    fn leader(&self) -> Option<Member> {
        Some(Member(self.node.raft.leader_id)).filter(|leader| leader.0 != 0)
    }

    fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    fn role(&self) -> Role {
        match self.node.raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Follower if self.memberships.current().voters.contains(&self.config.me) => {
                Role::Follower
            }
            StateRole::Follower => Role::Learner,
        }
    }

    fn leadership(&self) -> Leadership {
        Leadership { role: self.role(), term: self.term(), leader: self.leader() }
    }

    /// Whether something of the log is not durable yet.
    fn is_log_under_way(&self) -> bool {
        let log = &self.node.raft.raft_log;
        !log.unstable_entries().is_empty()
            || log.unstable_snapshot().is_some()
            || self.pipeline.is_log_under_way()
    }

    /// Whether it may stand for election. Not while something of its log is being written: the library asserts that
    /// a new leader's log is durable, and looks for changes of membership in a log that a snapshot is just replacing.
    /// Besides, a member whose disk does not answer should not lead.
    fn may_campaign(&self) -> bool {
        self.node.raft.promotable() && !self.is_leader() && !self.is_log_under_way()
    }

    /// Nobody else can be asked, so there is nothing to wait for.
    fn lead_if_alone(&mut self) {
        if self.memberships.current().is_led_by_none_but(self.config.me) && self.may_campaign() {
            // It refuses while committed changes of membership are not handed out; take_ready comes here again.
            let _ = self.node.campaign();
            self.after_step();
        }
    }

    /// Brings what hangs on term and leadership into line, after anything that may have changed them.
    fn after_step(&mut self) {
        self.patience.on_term(self.term());
        let leads = self.is_leader().then(|| self.term());
        self.reads.on_leadership(leads);
    }

    fn tick_election(&mut self) {
        let patience = self.patience.ticks();
        let raft = &mut self.node.raft;
        raft.set_randomized_election_timeout(patience);
        let is_over = raft.election_elapsed + 1 >= patience;
        if is_over && !self.may_campaign() {
            // It goes on counting: a learner that stopped here would believe for ever that it hears its leader, and
            // deny a vote to the one that was just promoting it.
            self.node.raft.election_elapsed += 1;
            return;
        }
        self.node.tick();
        if is_over {
            self.patience.on_attempt();
        }
    }

    fn tick_snapshots(&mut self) {
        if !self.is_leader() {
            return;
        }
        let needy = |(id, progress): (&u64, &raft::Progress)| {
            (progress.state == ProgressState::Snapshot).then_some(Member(*id))
        };
        let needy: Vec<Member> = self.node.raft.prs().iter().filter_map(needy).collect();
        let (node, patience) = (&mut self.node, self.config.snapshot_patience_ticks);
        let give_up = |member: Member| node.report_snapshot(member.0, SnapshotStatus::Failure);
        self.snapshots.tick(needy.into_iter(), patience, give_up);
    }
}

impl Consensus for RaftGroup {
    fn tick(&mut self) {
        self.heard.tick();
        self.tick_snapshots();
        if self.is_leader() {
            self.node.tick();
        } else {
            self.tick_election();
        }
        self.after_step();
    }

    fn receive(&mut self, from: Member, message: Message) -> Result<(), Rejected> {
        self.receive_checked(from, message)
    }

    fn propose(&mut self, command: Bytes) -> Result<Position, Refused> {
        self.propose_command(command)
    }

    fn propose_membership(&mut self, change: MembershipChange) -> Result<Position, Refused> {
        self.propose_change(change)
    }

    fn transfer_leader(&mut self, to: Member) -> Result<(), Refused> {
        if !self.is_leader() {
            return Err(Refused::NotLeader { leader: self.leader() });
        }
        if !self.memberships.current().voters.contains(&to) {
            return Err(Refused::NotVoter(to));
        }
        self.node.transfer_leader(to.0);
        Ok(())
    }

    fn campaign(&mut self) {
        if self.may_campaign() {
            // Refused while committed changes of membership are not handed out; patience will end again.
            let _ = self.node.campaign();
            self.after_step();
        }
    }

    fn read(&mut self, context: u64) -> Result<(), Refused> {
        if !self.is_leader() {
            return Err(Refused::NotLeader { leader: self.leader() });
        }
        if self.reads.len() >= self.config.reads_max as usize {
            return Err(Refused::Busy);
        }
        self.reads.ask(context);
        Ok(())
    }

    fn mark(&self, applied: LogIndex) -> Option<SnapshotMark> {
        // While a snapshot is being installed the log on the disk may still be one that conflicts with it.
        if applied > self.handed_out || self.installing.is_some() {
            return None;
        }
        let term = self.node.store().term_at(applied)?;
        Some(SnapshotMark { index: applied, term, membership: self.memberships.at(applied)?.clone() })
    }

    fn compact(&mut self, mark: &SnapshotMark, keep_after: LogIndex) -> Result<(), Refused> {
        let is_newer = mark.index >= self.node.store().mark().index;
        if !is_newer || self.mark(mark.index).as_ref() != Some(mark) {
            return Err(Refused::NoSnapshotThere(mark.index));
        }
        let log = self.node.mut_store();
        log.compact(mark.clone(), keep_after);
        let before = log.before();
        self.memberships.forget_before(before);
        Ok(())
    }

    fn snapshot_arrived(&mut self, mark: &SnapshotMark) -> bool {
        self.install_arrived(mark)
    }

    fn snapshot_failed(&mut self, mark: &SnapshotMark) {
        self.snapshots.end(mark);
    }

    fn report_unreachable(&mut self, member: Member) {
        self.node.report_unreachable(member.0);
    }

    fn report_snapshot(&mut self, member: Member, is_sent: bool) {
        let status = if is_sent { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.node.report_snapshot(member.0, status);
    }

    fn take_ready(&mut self) -> Option<Ready> {
        self.collect_ready()
    }

    fn persisted(&mut self, number: u64) {
        if let Some(settled) = self.pipeline.persisted(number) {
            self.on_settled(settled);
        }
    }

    fn status(&self) -> Status {
        self.collect_status()
    }
}

impl fmt::Debug for RaftGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftGroup").field("status", &self.collect_status()).finish_non_exhaustive()
    }
}

fn settings(config: &Config, applied: LogIndex) -> RaftConfig {
    RaftConfig {
        id: config.me.0,
        election_tick: config.election_ticks as usize,
        min_election_tick: config.election_ticks as usize,
        max_election_tick: 2 * config.election_ticks as usize,
        heartbeat_tick: config.heartbeat_ticks as usize,
        applied: applied.0,
        max_size_per_msg: u64::from(config.message_bytes_max),
        max_inflight_msgs: config.inflight_messages_max as usize,
        // Without both, a member that was cut off comes back with a higher term and deposes a leader that works.
        check_quorum: true,
        pre_vote: true,
        // A lease would trust clocks to run at one rate.
        read_only_option: ReadOnlyOption::Safe,
        skip_bcast_commit: false,
        batch_append: true,
        priority: 0,
        max_uncommitted_size: config.uncommitted_bytes_max,
        max_committed_size_per_ready: config.apply_bytes_max,
    }
}
