//! What an operator asks of members, and what it is answered.

use super::{Members, OPERATOR, Violation};
use formats::Event;
use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, KvGroupVerb, KvGroupsVerb, RoleStatus};
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvOf, KvQuery, KvRequest, KvStep};
use glossary::{GroupId, NodeId};
use kv::COUNTERS;

impl Members {
    /// Asks a server something; what it is answered is found in [`Members::answer`].
    pub(crate) fn ask_admin(&mut self, index: usize, body: AdminBody) -> Result<u64, Violation> {
        self.operations += 1;
        let request = self.operations;
        let message = Message::Admin(AdminRequest { request, body });
        self.step(index, Event::Message { from: OPERATOR, message })?;
        Ok(request)
    }

    /// What a server answers at once that is asked what a group holds.
    pub(crate) fn ask_of(&mut self, index: usize, group: GroupId) -> Option<KvAnswer> {
        self.answer_at_once(index, group, KvBody::Query(KvQuery::Get { key: b"k".to_vec() }))
    }

    /// What a server answers at once that is told to set something; none, where it takes its time.
    pub(crate) fn set_at_once(&mut self, index: usize, group: GroupId, sequence: u64) -> Option<KvAnswer> {
        let command = KvCommand::Sequence(vec![KvStep::Set { key: b"k".to_vec(), value: vec![1] }]);
        let body = KvBody::Command { session: 78, sequence, answered_below: 1, command };
        self.answer_at_once(index, group, body)
    }

    /// A server is told to set a key of the root group's map: who leads does.
    pub(crate) fn set_in_root(
        &mut self,
        index: usize,
        (key, value): (Vec<u8>, Vec<u8>),
        sequence: u64,
    ) -> Result<(), Violation> {
        let command = KvCommand::Sequence(vec![KvStep::Set { key, value }]);
        let body = KvBody::Command { session: 79, sequence, answered_below: 1, command };
        let message = Message::Kv(KvRequest { request: 1, body });
        self.step(index, Event::Message { from: OPERATOR, message })
    }

    fn answer_at_once(&mut self, index: usize, group: GroupId, body: KvBody) -> Option<KvAnswer> {
        let message = Message::KvOf(KvOf { group, request: KvRequest { request: 1, body } });
        self.step_one(index, Event::Message { from: OPERATOR, message }).ok()?;
        match self.network.pop()? {
            (.., Message::KvReply(reply)) => Some(reply.body),
            other => {
                self.network.push(other);
                None
            }
        }
    }

    /// The answer to a request, if it came.
    pub(crate) fn answer(&self, request: u64) -> Option<&AdminAnswer> {
        self.answers.get(&request)
    }

    /// Asks whoever leads until the answer is more than "not yet".
    pub(crate) fn ask_group(&mut self, verb: KvGroupVerb) -> Result<AdminAnswer, Violation> {
        self.ask_leader(AdminBody::KvGroup(verb))
    }

    /// The same of one beside the root group.
    pub(crate) fn ask_group_of(&mut self, name: &str, verb: KvGroupVerb) -> Result<AdminAnswer, Violation> {
        let body = AdminBody::KvGroupOf { name: name.into(), verb };
        let request = |world: &mut Self, index| world.ask_admin(index, body.clone());
        for index in (0..self.servers.len()).cycle().take(400) {
            let request = request(self, index)?;
            self.pass(5)?;
            match self.answer(request) {
                None | Some(AdminAnswer::NotYet(_)) => {}
                Some(answer) => return Ok(answer.clone()),
            }
        }
        Err(format!("{verb:?} is never done"))
    }

    /// The same about groups.
    pub(crate) fn ask_groups(&mut self, verb: &KvGroupsVerb) -> Result<AdminAnswer, Violation> {
        self.ask_leader(AdminBody::KvGroups(verb.clone()))
    }

    pub(super) fn ask_leader(&mut self, body: AdminBody) -> Result<AdminAnswer, Violation> {
        for _ in 0..400 {
            self.pass(5)?;
            let Some(leader) = self.leader() else { continue };
            let request = self.ask_admin(leader, body.clone())?;
            self.pass(5)?;
            match self.answer(request) {
                None | Some(AdminAnswer::NotYet(_)) => {}
                Some(answer) => return Ok(answer.clone()),
            }
        }
        Err(format!("{body:?} is never done"))
    }

    /// The status of a server's member.
    pub(crate) fn status(&mut self, index: usize) -> Result<RoleStatus, Violation> {
        let request = self.ask_admin(index, AdminBody::Status)?;
        for _ in 0..10_000 {
            self.deliver()?;
            if let Some(AdminAnswer::Status(status)) = self.answer(request) {
                return Ok(status.clone());
            }
        }
        Err("no status".into())
    }

    /// A counter of a member's present life.
    pub(crate) fn counter(&mut self, index: usize, name: &str) -> Result<u64, Violation> {
        let message = Message::Admin(AdminRequest { request: 1, body: AdminBody::Status });
        self.step_one(index, Event::Message { from: NodeId(99), message })?;
        let Some((.., Message::AdminReply(reply))) = self.network.pop() else {
            return Err("no status".into());
        };
        let AdminAnswer::Status(RoleStatus::Kv { counters, .. } | RoleStatus::KvMember { counters, .. }) =
            reply.body
        else {
            return Err(format!("{:?}", reply.body));
        };
        let place = COUNTERS.iter().position(|(counter, _)| *counter == name).expect("a counter");
        Ok(counters[place])
    }
}
