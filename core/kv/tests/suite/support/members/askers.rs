//! What askers send, and what comes back.

use super::{Members, OPERATOR, TALLY, Violation};
use formats::message::kv::{KvBody, KvCommand, KvOf, KvQuery, KvReply, KvRequest, KvStep};
use formats::{Event, Message};
use glossary::{GroupId, NodeId};

impl Members {
    /// Sets a key at the server that leads.
    pub(crate) fn set(&mut self, index: usize, key: &[u8], value: Vec<u8>) -> Result<(), Violation> {
        self.operations += 1;
        let request = self.operations;
        let command = KvCommand::Sequence(vec![KvStep::Set { key: key.to_vec(), value }]);
        let body = KvBody::Command { session: 77, sequence: request, answered_below: 1, command };
        let message = Message::Kv(KvRequest { request, body });
        self.step(index, Event::Message { from: OPERATOR, message })
    }

    /// Asks a server for a key's value. The answer is found in [`Members::told`].
    pub(crate) fn get(&mut self, index: usize, key: &[u8]) -> Result<u64, Violation> {
        self.operations += 1;
        let request = self.operations;
        let body = KvBody::Query(KvQuery::Get { key: key.to_vec() });
        self.step(
            index,
            Event::Message { from: OPERATOR, message: Message::Kv(KvRequest { request, body }) },
        )?;
        Ok(request)
    }

    /// Somebody asks something of a group.
    pub(crate) fn ask_for(&mut self, group: GroupId) {
        let index = self.askers.iter().position(|asker| asker.group == group).expect("it has an asker");
        self.ask_as(index);
    }

    /// How much that was asked is not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.askers.iter().map(|asker| asker.awaited.len()).sum()
    }

    pub(super) fn ask(&mut self) {
        let index = self.chance.below(self.askers.len());
        self.ask_as(index);
    }

    /// Asks how much there is: whoever answers leads, and has all that was answered before.
    pub(super) fn count_as(&mut self, index: usize) {
        let asker = &mut self.askers[index];
        let awaited = self.books[&asker.group].count();
        let asked = asker.client.query(self.now, KvQuery::Function { function: TALLY, query: Vec::new() });
        asker.awaited.insert(asked.1.request, awaited);
        self.send(index, asked);
    }

    pub(super) fn ask_as(&mut self, index: usize) {
        if self.chance.below(10) >= 6 {
            return self.count_as(index);
        }
        let now = self.now;
        let asker = &mut self.askers[index];
        let book = self.books.get_mut(&asker.group).expect("its group was made");
        let filler = "x".repeat(self.chance.below(8) * 700);
        let (command, awaited) = book.issue(&filler);
        let command = KvCommand::Function { function: TALLY, command };
        let asked = asker.client.command(now, command);
        asker.awaited.insert(asked.1.request, awaited);
        self.send(index, asked);
    }

    pub(super) fn resend(&mut self, asker: usize) {
        for asked in self.askers[asker].client.resend_due(self.now) {
            self.send(asker, asked);
        }
    }

    pub(super) fn send(&mut self, asker: usize, (to, request): (NodeId, KvRequest)) {
        let message = match self.askers[asker].group {
            GroupId::ROOT => Message::Kv(request),
            group => Message::KvOf(KvOf { group, request }),
        };
        self.network.push((NodeId(1 + asker as u32), to, message));
    }

    pub(super) fn on_reply(&mut self, index: usize, from: NodeId, reply: KvReply) -> Result<(), Violation> {
        let taken = self.askers[index].client.on_reply(self.now, from, reply);
        self.resend(index);
        let (asker, Some((request, answer))) = (&mut self.askers[index], taken) else { return Ok(()) };
        let awaited = asker.awaited.remove(&request).expect("it was asked");
        self.books.get_mut(&asker.group).expect("its group was made").on_answer(&awaited, &answer)
    }
}
