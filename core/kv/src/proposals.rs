//! What was proposed and is not settled yet, in order of the log; and questions that wait for the leader's
//! confirmation that it leads.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use consensus::{LogIndex, Position};
use formats::kv_store::LoggedCommand;

use crate::asked::Asked;

/// Requests that became an entry. Questions among them see the commands before them.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) position: Position,
    pub(crate) asked: Vec<Asked>,
}

/// Questions that came together.
#[derive(Debug)]
pub(crate) struct Round {
    context: u64,
    asked: Vec<Asked>,
    /// They are answered when this is applied; none before the leader is confirmed.
    from: Option<LogIndex>,
    /// What was proposed before they came: they are answered after it, but where that may take days.
    proposed: LogIndex,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    proposals: VecDeque<Proposal>,
    rounds: VecDeque<Round>,
    last_context: u64,
}

impl Proposals {
    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.proposals.is_empty()
    }

    /// How many entries and rounds of questions are under way.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.proposals.len(), self.rounds.len())
    }

    /// The commands that are under way.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &LoggedCommand> {
        self.proposals.iter().flat_map(|proposal| proposal.asked.iter().filter_map(Asked::command))
    }

    /// The last index that was proposed and is not settled; 0 where there is none.
    pub(crate) fn last(&self) -> LogIndex {
        self.proposals.back().map_or(LogIndex(0), |last| last.position.index)
    }

    pub(crate) fn push(&mut self, proposal: Proposal) {
        self.proposals.push_back(proposal);
    }

    /// An entry was committed: what was asked for with it, and what never will be since it came in its place.
    pub(crate) fn take(&mut self, committed: Position) -> (Option<Vec<Asked>>, Vec<Asked>) {
        let (mut own, mut lost) = (None, Vec::new());
        while let Some(proposal) = self.proposals.pop_front_if(|next| next.position.index <= committed.index)
        {
            if proposal.position == committed {
                own = Some(proposal.asked);
            } else {
                lost.extend(proposal.asked);
            }
        }
        (own, lost)
    }

    /// Questions that came after everything proposed up to `proposed`; returns what the leader is asked with.
    pub(crate) fn ask(&mut self, asked: Vec<Asked>, proposed: LogIndex) -> u64 {
        self.last_context += 1;
        self.rounds.push_back(Round { context: self.last_context, asked, from: None, proposed });
        self.last_context
    }

    /// The leader is confirmed as of `index`.
    pub(crate) fn confirm(&mut self, context: u64, index: LogIndex) {
        if let Some(round) = self.rounds.iter_mut().find(|round| round.context == context) {
            round.from = Some(index);
        }
    }

    /// Nobody knows when what is proposed goes on: questions wait for it no longer.
    pub(crate) fn let_questions_pass(&mut self) {
        self.rounds.iter_mut().for_each(|round| round.proposed = LogIndex(0));
    }

    /// The leader is not: the questions.
    pub(crate) fn lose(&mut self, context: u64) -> Vec<Asked> {
        let place = self.rounds.iter().position(|round| round.context == context);
        place.and_then(|place| self.rounds.remove(place)).map_or(Vec::new(), |round| round.asked)
    }

    /// The next questions that can be answered by a state that has applied so much.
    pub(crate) fn ready(&mut self, applied: LogIndex) -> Option<Vec<Asked>> {
        let is_ready = |round: &Round| round.from.is_some_and(|from| from.max(round.proposed) <= applied);
        let place = self.rounds.iter().position(is_ready)?;
        self.rounds.remove(place).map(|round| round.asked)
    }

    /// Everything, since this member leads no more.
    pub(crate) fn take_all(&mut self) -> Vec<Asked> {
        let proposals = core::mem::take(&mut self.proposals).into_iter().flat_map(|proposal| proposal.asked);
        let rounds = core::mem::take(&mut self.rounds).into_iter().flat_map(|round| round.asked);
        proposals.chain(rounds).collect()
    }

    /// The questions among what was proposed.
    pub(crate) fn take_questions(&mut self) -> Vec<Asked> {
        let mut questions = Vec::new();
        for proposal in &mut self.proposals {
            let (commands, others) =
                core::mem::take(&mut proposal.asked).into_iter().partition(|asked| asked.command().is_some());
            proposal.asked = commands;
            questions.extend::<Vec<_>>(others);
        }
        questions
    }
}
