//! Clients and their sessions: changes come in the order of their numbers, once (L2, E2).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError, EdgeReply, Opening};
use formats::{Effect, Message};
use glossary::{CLUSTER_BYTES, ClientId, SessionId};
use step::Bug;

use super::change::{Change, ChangeKind, Part, Parts, ReplyTo};
use super::clients::NO_SESSION;
use super::{Serving, Stop};
use crate::context::Context;
use crate::counters::Counter;

/// Changes of one session that may come before their predecessors.
const EARLY_MAX: usize = 4096;

/// An open session of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) client: ClientId,
    /// What the client had in the log when it was opened.
    pub(crate) applied: u64,
    /// Changes that came before their predecessors.
    pub(crate) early: BTreeMap<u64, Change>,
}

impl Serving {
    /// Opens a session, and ends the client's older one first (E2).
    pub(crate) fn open(&mut self, reply: ReplyTo, opening: &Opening, context: &mut Context<'_>) {
        if opening.generation > self.record.generation {
            self.stop = Some(Stop::Restart);
            return;
        }
        let newest = self.clients.get(&opening.client).map_or(NO_SESSION, |client| client.newest);
        if newest != reply.session {
            if (opening.generation, opening.newest) != (self.record.generation, newest) {
                let error = EdgeError::NotNewest { newest };
                return self.answer(reply, EdgeAnswer::Failed(error), context);
            }
            if !self.make_room_for(opening.client) {
                return self.answer_io_error(reply, "too many clients write to this vDisk", context);
            }
            self.begin_session(reply.session, opening);
        }
        let last = self.log.last_number();
        if opening.first_change == 0 && self.log.synced < last {
            // Nobody would send the former life's changes again: they become stable before this one builds
            // on them (P3), and whoever reads them now finds them later, too (P5).
            self.flushes.wait_to_open(reply, last);
        } else {
            self.answer_open(reply, context);
        }
    }

    /// Says that the session is open, if it still is.
    pub(crate) fn answer_open(&mut self, reply: ReplyTo, context: &mut Context<'_>) {
        let answer = match self.sessions.get(&reply.session) {
            Some(Session { applied, .. }) => {
                EdgeAnswer::Opened { vdisk: self.id, size: self.record.size, applied: *applied }
            }
            None => EdgeAnswer::Failed(EdgeError::NoSession),
        };
        self.answer(reply, answer, context);
    }

    fn begin_session(&mut self, session: SessionId, opening: &Opening) {
        self.drop_queued(opening.client);
        let client = self.clients.entry(opening.client).or_default();
        self.sessions.remove(&client.newest);
        client.newest = session;
        let applied = client.accepted;
        // What is missing in between was lost with an earlier life: it will not come.
        client.accepted = applied.max(opening.first_change.saturating_sub(1));
        client.logged = client.accepted;
        self.sessions.insert(session, Session { client: opening.client, applied, early: BTreeMap::new() });
    }

    /// A request in a session.
    pub(crate) fn request(&mut self, reply: ReplyTo, body: EdgeBody, context: &mut Context<'_>) {
        let session = reply.session;
        if self.stop.is_some() {
            return;
        }
        if !self.sessions.contains_key(&session) {
            self.answer(reply, EdgeAnswer::Failed(EdgeError::NoSession), context);
            return;
        }
        match body {
            EdgeBody::Read { offset, length } => self.guest_read(reply, offset, length, context),
            EdgeBody::Extents { offset, length } => self.extents(reply, offset, length, context),
            EdgeBody::Flush => self.flush(reply, context),
            EdgeBody::Write { change, offset, fua, payload } => {
                let length = payload.len() as u64;
                let kind = if aligned(offset, length) {
                    ChangeKind::one(Part::Write { address: offset / CLUSTER_BYTES, payload, done: 0 })
                } else {
                    ChangeKind::PartialWrite { offset, payload }
                };
                self.change(reply, change, fua, (offset, length), kind, context);
            }
            EdgeBody::Discard { change, offset, length, fua } => {
                let kind = if aligned(offset, length) {
                    let (address, clusters) = (offset / CLUSTER_BYTES, length / CLUSTER_BYTES);
                    ChangeKind::one(Part::Discard { address, clusters })
                } else {
                    ChangeKind::PartialDiscard { offset, length }
                };
                self.change(reply, change, fua, (offset, length), kind, context);
            }
            EdgeBody::Close => {
                self.close(session);
                self.answer(reply, EdgeAnswer::Done, context);
            }
            EdgeBody::List | EdgeBody::Open(_) => {}
        }
    }

    fn change(
        &mut self,
        reply: ReplyTo,
        number: u64,
        fua: bool,
        range: (u64, u64),
        kind: ChangeKind,
        context: &mut Context<'_>,
    ) {
        let client = self.sessions[&reply.session].client;
        let known = &self.clients[&client];
        let (accepted, logged) = (known.accepted, known.logged);
        if number <= accepted && !context.config.has(Bug::ChangeAppliedTwice) {
            context.count(Counter::Repeated, 1);
            if number <= logged {
                self.answer_again(reply, client, number, fua, context);
            } else {
                self.retarget(client, number, reply);
            }
            return;
        }
        let change = Change { reply, client, number, fua, kind };
        if number > accepted + 1 {
            let session = self.sessions.get_mut(&reply.session).expect("the session is open");
            if session.early.len() < EARLY_MAX {
                session.early.insert(number, change);
            }
            return;
        }
        if self.accept(change, range, context) {
            while let Some(next) = self.next_early(reply.session, client) {
                let range = byte_range(&next.kind);
                if !self.accept(next, range, context) {
                    return;
                }
            }
        }
    }

    /// Takes the client's next change into the queue; `false` when it was refused. Its number is still to come
    /// then: with a change that does nothing, or with the same one, to be refused again.
    fn accept(&mut self, change: Change, (offset, length): (u64, u64), context: &mut Context<'_>) -> bool {
        if offset.checked_add(length).is_none_or(|end| end > self.record.size.0) {
            self.answer(change.reply, EdgeAnswer::Failed(EdgeError::OutOfBounds), context);
            return false;
        }
        let client = self.clients.get_mut(&change.client).expect("a session's client is known");
        client.accepted = client.accepted.max(change.number);
        let kind = if length == 0 { ChangeKind::Parts(Parts::default()) } else { change.kind };
        self.queue.push_back(Change { kind, ..change });
        true
    }

    /// A change that was accepted can't be after all: what its client sent after it waits for its number again.
    pub(crate) fn take_back(&mut self, refused: &Change) {
        let client = self.clients.get_mut(&refused.client).expect("a change's client is known");
        client.accepted = refused.number - 1;
        let newest = client.newest;
        let queue = core::mem::take(&mut self.queue);
        let (later, others) = queue.into_iter().partition(|change| change.client == refused.client);
        self.queue = others;
        let later: VecDeque<Change> = later;
        if let Some(session) = self.sessions.get_mut(&newest) {
            session.early.extend(later.into_iter().map(|change| (change.number, change)));
        }
    }

    fn next_early(&mut self, session: SessionId, client: ClientId) -> Option<Change> {
        let early = &mut self.sessions.get_mut(&session)?.early;
        if early.is_empty() {
            return None;
        }
        early.remove(&(self.clients[&client].accepted + 1))
    }

    /// A change that is in the log was sent again.
    fn answer_again(
        &mut self,
        reply: ReplyTo,
        client: ClientId,
        number: u64,
        fua: bool,
        context: &mut Context<'_>,
    ) {
        let place = self.clients[&client].unstable.iter().find(|(change, _)| *change == number);
        let Some(log_number) = place.map(|(_, log_number)| *log_number) else {
            self.answer(reply, EdgeAnswer::Done, context);
            return;
        };
        let waiting =
            self.log.acknowledgements.iter_mut().find(|ack| ack.client == client && ack.change == number);
        match waiting {
            Some(ack) => ack.reply = reply,
            None if fua => self.flushes.wait(reply, log_number),
            None => self.answer(reply, EdgeAnswer::Done, context),
        }
    }

    /// A change that waits in the queue was sent again: the answer goes to the new asker.
    fn retarget(&mut self, client: ClientId, number: u64, reply: ReplyTo) {
        if let Some(change) = self.queue.iter_mut().find(|c| c.client == client && c.number == number) {
            change.reply = reply;
        }
    }

    /// Ends a session.
    pub(crate) fn close(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    pub(crate) fn answer(&mut self, to: ReplyTo, body: EdgeAnswer, context: &mut Context<'_>) {
        let client = self.sessions.get(&to.session).map(|session| session.client);
        let stable = client.and_then(|client| self.clients.get(&client)).map_or(0, |client| client.stable);
        let (session, request, generation) = (to.session, to.request, self.record.generation);
        let message = Message::EdgeReply(EdgeReply { session, request, generation, stable, body });
        context.effects.push(Effect::Send { to: to.node, message });
    }

    pub(crate) fn answer_io_error(&mut self, to: ReplyTo, why: &str, context: &mut Context<'_>) {
        self.answer(to, EdgeAnswer::Failed(EdgeError::Io(why.to_string())), context);
    }
}

fn aligned(offset: u64, length: u64) -> bool {
    offset.is_multiple_of(CLUSTER_BYTES) && length.is_multiple_of(CLUSTER_BYTES)
}

/// The bytes that a change of one part covers.
fn byte_range(kind: &ChangeKind) -> (u64, u64) {
    match kind {
        ChangeKind::PartialWrite { offset, payload } => (*offset, payload.len() as u64),
        ChangeKind::PartialDiscard { offset, length } => (*offset, *length),
        ChangeKind::Parts(parts) => match parts.first() {
            Some(Part::Write { address, payload, .. }) => (address * CLUSTER_BYTES, payload.len() as u64),
            Some(Part::Discard { address, clusters }) => (address * CLUSTER_BYTES, clusters * CLUSTER_BYTES),
            None => (0, 0),
        },
        ChangeKind::Merging => (0, 0),
    }
}
