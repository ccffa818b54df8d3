//! What is asked of the group, and what must hold once all is healed.

use bytes::Bytes;
use consensus::{Consensus, Member, ReadAnswer, Role};

use super::checker::Violation;
use super::node::Read;
use super::registers::{Answer, Asked, draw_change, draw_read};
use super::{Bug, Event, World};

impl World {
    /// Clients ask whoever may lead, and sometimes whoever does not.
    pub(super) fn on_client(&mut self) -> Result<(), Violation> {
        let delay = self.rng.between(5, 60);
        self.schedule(delay, Event::Client);
        let members = self.members();
        for _ in 0..=self.rng.below(3) {
            let Some(member) = self.rng.pick(&members) else { return Ok(()) };
            let member = if self.rng.percent(60) { self.leader().unwrap_or(member) } else { member };
            if self.rng.percent(60) {
                self.propose(member);
            } else {
                self.read(member)?;
            }
            self.settle(member)?;
        }
        Ok(())
    }

    fn propose(&mut self, member: Member) {
        self.commands_begun += 1;
        let (operation, command) = draw_change(&mut self.rng, self.commands_begun);
        let is_calm = self.is_calm;
        let Some(life) = self.nodes.get_mut(&member).and_then(|node| node.life.as_mut()) else { return };
        if let Ok(position) = life.group.propose(Bytes::from(command)) {
            let call = self.history.begin(self.commands_begun, operation);
            life.asked.insert(position.index, Asked { term: position.term, call });
            if is_calm {
                self.awaited.push(position);
            }
        }
    }

    fn read(&mut self, member: Member) -> Result<(), Violation> {
        self.commands_begun += 1;
        let (context, asked_at) = (self.commands_begun, self.checker.newest());
        let operation = draw_read(&mut self.rng);
        let is_bug = self.bug == Some(Bug::ReadWithoutQuorum);
        let Some(life) = self.nodes.get_mut(&member).and_then(|node| node.life.as_mut()) else {
            return Ok(());
        };
        let key = operation.key;
        if is_bug {
            if life.group.status().leadership.role == Role::Leader {
                let call = self.history.begin(context, operation);
                let value = life.machine.registers.get(&key).copied();
                self.history.end(call, Answer::Value(value));
            }
            return Ok(());
        }
        if life.group.read(context).is_ok() {
            let call = self.history.begin(context, operation);
            life.reads.insert(context, Read { asked_at, key, call });
        }
        Ok(())
    }

    /// A read was confirmed or lost.
    pub(super) fn on_answer(&mut self, member: Member, answer: ReadAnswer) -> Result<(), Violation> {
        let life = self.living(member).expect("it is alive");
        let (ReadAnswer::Confirmed { context, .. } | ReadAnswer::Lost { context }) = answer;
        let read = life.reads.remove(&context).ok_or(format!("read {context} was answered twice"))?;
        if let ReadAnswer::Confirmed { index, .. } = answer {
            life.confirmed.push((index, read));
            self.outcome.reads += 1;
            self.checker.on_read(read.asked_at, index)?;
        }
        self.answer_reads(member);
        Ok(())
    }

    /// Answers reads from the state once that is new enough.
    pub(super) fn answer_reads(&mut self, member: Member) {
        let Some(life) = self.nodes.get_mut(&member).and_then(|node| node.life.as_mut()) else { return };
        let applied = life.machine.applied;
        for (_, read) in life.confirmed.extract_if(.., |(index, _)| *index <= applied) {
            let value = life.machine.registers.get(&read.key).copied();
            self.history.end(read.call, Answer::Value(value));
        }
    }

    /// A healed group serves, and all its members get the same.
    pub(super) fn check_calm(&mut self) -> Result<(), Violation> {
        let place = format!("seed {}, healed", self.seed);
        let leader = self.leader().ok_or(format!("{place}: nobody leads"))?;
        let status = self.nodes[&leader].status().expect("it leads");
        if let Some(refusal) = status.refusal() {
            return Err(format!("{place}: {refusal}"));
        }
        let before = self.awaited.len();
        let served = self.awaited.iter().filter(|position| position.index <= status.handed_out).count();
        if served == 0 || before - served > 40 {
            return Err(format!("{place}: {served} of {before} commands were committed"));
        }
        for member in status.membership.voters.iter().chain(&status.membership.learners) {
            let node = self.nodes.get(member).and_then(super::Node::status);
            let node = node.ok_or(format!("{place}: {member} was switched off, and is a member"))?;
            if node.handed_out.0 + 20 < status.handed_out.0 {
                return Err(format!(
                    "{place}: {member} is behind: {} of {}",
                    node.handed_out, status.handed_out
                ));
            }
        }
        let waiting = self.living(leader).map_or(0, |life| life.reads.len());
        if waiting > 20 {
            return Err(format!("{place}: {waiting} reads got no answer"));
        }
        Ok(())
    }
}
