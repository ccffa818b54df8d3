//! What is asked of the group, and what must hold once all is healed.

use bytes::Bytes;
use consensus::{Consensus, Member, Role};

use super::checker::Violation;
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
        let mut command = self.commands_begun.to_le_bytes().to_vec();
        command.resize(8 + self.rng.below(100) as usize, 7);
        let is_calm = self.is_calm;
        let Some(life) = self.living(member) else { return };
        let proposed = life.group.propose(Bytes::from(command));
        if let (Ok(position), true) = (proposed, is_calm) {
            self.awaited.push(position);
        }
    }

    fn read(&mut self, member: Member) -> Result<(), Violation> {
        self.commands_begun += 1;
        let (context, asked_at) = (self.commands_begun, self.checker.newest());
        let is_bug = self.bug == Some(Bug::ReadWithoutQuorum);
        let Some(life) = self.living(member) else { return Ok(()) };
        if is_bug {
            let status = life.group.status();
            if status.leadership.role == Role::Leader {
                return self.checker.on_read(asked_at, status.commit);
            }
            return Ok(());
        }
        if life.group.read(context).is_ok() {
            life.reads.insert(context, asked_at);
        }
        Ok(())
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
