//! Clients and their sessions: changes come in the order of their numbers, once (L2, E2).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError, EdgeReply};
use formats::{Effect, Message};
use glossary::{CLUSTER_BYTES, ClientId, Generation, SessionId};
use step::Bug;

use super::change::{Change, ChangeKind, Part, ReplyTo};
use super::{Serving, Stop};
use crate::context::Context;
use crate::counters::Counter;

/// Clients that a volume knows at most: their table must fit a TLog's label.
const CLIENTS_MAX: usize = 128;

/// Changes of one session that may come before their predecessors.
const EARLY_MAX: usize = 4096;

/// What is known of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) session: Option<SessionId>,
    /// Every change up to this one was taken.
    pub(crate) accepted: u64,
    /// Every change up to this one is in the log, whole.
    pub(crate) logged: u64,
    /// Changes that are not stable yet, and the log numbers that end them.
    pub(crate) unstable: VecDeque<(u64, u64)>,
    /// Every change up to this one is stable.
    pub(crate) stable: u64,
}

/// A session of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) client: ClientId,
    /// Changes that came before their predecessors.
    pub(crate) early: BTreeMap<u64, Change>,
}

impl Serving {
    /// Opens a session, and ends the client's older one (E2).
    pub(crate) fn open(
        &mut self,
        reply: ReplyTo,
        client: ClientId,
        first_change: u64,
        generation: Generation,
        context: &mut Context<'_>,
    ) {
        let session = reply.session;
        if generation > self.record.generation {
            self.stop = Some(Stop::Restart);
            return;
        }
        self.forget_idle_client(client);
        let known = self.clients.entry(client).or_default();
        if let Some(older) = known.session.replace(session).filter(|older| *older != session) {
            self.sessions.remove(&older);
        }
        known.accepted = known.accepted.max(first_change.saturating_sub(1));
        known.logged = known.logged.max(known.accepted.min(first_change.saturating_sub(1)));
        let applied = known.accepted;
        self.sessions.entry(session).or_insert_with(|| Session { client, early: BTreeMap::new() });
        let answer = EdgeAnswer::Opened { vdisk: self.id, size: self.record.size, applied };
        self.answer(reply, answer, context);
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
            EdgeBody::List | EdgeBody::Open { .. } => {}
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
        let (accepted, logged) = (self.clients[&client].accepted, self.clients[&client].logged);
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
        self.accept(change, range, context);
        while let Some(next) = self.next_early(reply.session, client) {
            let range = byte_range(&next.kind);
            self.accept(next, range, context);
        }
    }

    fn accept(&mut self, change: Change, (offset, length): (u64, u64), context: &mut Context<'_>) {
        let client = self.clients.get_mut(&change.client).expect("a session's client is known");
        client.accepted = client.accepted.max(change.number);
        if offset.checked_add(length).is_none_or(|end| end > self.record.size.0) {
            self.refuse(&change, EdgeError::OutOfBounds, context);
        } else if length == 0 {
            let kind = ChangeKind::Parts(VecDeque::new());
            self.queue.push_back(Change { kind, ..change });
        } else {
            self.queue.push_back(change);
        }
    }

    fn next_early(&mut self, session: SessionId, client: ClientId) -> Option<Change> {
        let next = self.clients[&client].accepted + 1;
        self.sessions.get_mut(&session)?.early.remove(&next)
    }

    /// Answers a change that can't be, once for all.
    pub(crate) fn refuse(&mut self, change: &Change, error: EdgeError, context: &mut Context<'_>) {
        self.answer(change.reply, EdgeAnswer::Failed(error), context);
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
        if let Some(closed) = self.sessions.remove(&session)
            && let Some(client) = self.clients.get_mut(&closed.client)
        {
            client.session = client.session.filter(|current| *current != session);
        }
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

    /// Makes room for one more client: one without a session and with nothing unstable goes.
    fn forget_idle_client(&mut self, newcomer: ClientId) {
        if self.clients.len() < CLIENTS_MAX || self.clients.contains_key(&newcomer) {
            return;
        }
        let idle = |c: &Client| c.session.is_none() && c.unstable.is_empty() && c.accepted == c.logged;
        let oldest = self.clients.iter().find(|(_, client)| idle(client)).map(|(id, _)| *id);
        let any = || self.clients.iter().find(|(_, c)| c.accepted == c.logged).map(|(id, _)| *id);
        if let Some(id) = oldest.or_else(any)
            && let Some(session) = self.clients.remove(&id).and_then(|client| client.session)
        {
            self.sessions.remove(&session);
        }
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
        ChangeKind::Parts(parts) => match parts.front() {
            Some(Part::Write { address, payload, .. }) => (address * CLUSTER_BYTES, payload.len() as u64),
            Some(Part::Discard { address, clusters }) => (address * CLUSTER_BYTES, clusters * CLUSTER_BYTES),
            None => (0, 0),
        },
        ChangeKind::Merging => (0, 0),
    }
}
