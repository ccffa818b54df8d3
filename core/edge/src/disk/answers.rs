//! Answers of the volume driver.

use alloc::string::ToString;
use formats::Payload;
use formats::message::edge::{EdgeAnswer, EdgeError, EdgeReply};
use formats::message::guest::{GuestAnswer, GuestError};
use glossary::Generation;
use step::Bug;

use super::ending::to_guest;
use super::{Disk, Fate, State, session};
use crate::ask::{Ask, What};
use crate::change::ChangeBody;
use crate::context::Context;
use crate::counters::Counter;
use crate::cut::{clip_extents, clusters_around, cut_to_range};

/// How often a read is asked for before the guest gets an error, when no answer matches its checksums.
const READ_TRIES: u32 = 3;

impl Disk {
    /// An answer within the current session.
    pub(crate) fn on_reply(&mut self, reply: EdgeReply, context: &mut Context<'_>) -> Fate {
        if self.opening.is_some_and(|(request, _)| request == reply.request) {
            return self.on_open_answer(reply, context);
        }
        if !matches!(self.state, State::Resent | State::Requests) {
            return Fate::Stays;
        }
        // Whoever says this, opening a session anew does no harm.
        if reply.body == EdgeAnswer::Failed(EdgeError::NoSession) {
            self.generation = self.generation.max(reply.generation);
            self.begin_session(context);
            return Fate::Stays;
        }
        if reply.generation != self.generation {
            self.on_other_generation(reply.generation, context);
            return Fate::Stays;
        }
        self.on_heard(context);
        self.memory.stable_through(reply.stable);
        if let Some(position) = self.memory.position(reply.request) {
            self.on_change_answer(position, reply.body, context);
        } else if let Some(ask) = self.take_awaited(reply.request) {
            self.on_answer(reply.request, ask, reply.body, context);
        }
        self.forget(context);
        self.advance(context);
        Fate::Stays
    }

    /// An answer of a lower generation is never accepted (O6). One of a higher generation can't count in this
    /// session either: what its owner lacks was not sent again.
    fn on_other_generation(&mut self, generation: Generation, context: &mut Context<'_>) {
        context.count(Counter::StaleAnswers, 1);
        if generation > self.generation {
            self.generation = generation;
            self.begin_session(context);
        }
    }

    fn on_open_answer(&mut self, reply: EdgeReply, context: &mut Context<'_>) -> Fate {
        match reply.body {
            EdgeAnswer::Opened { vdisk, .. } if vdisk != self.id => {
                self.end(&GuestError::NotFound, context);
                Fate::Gone
            }
            EdgeAnswer::Opened { size, applied, .. } => {
                self.on_opened(reply.generation, reply.stable, size.0, applied, context);
                Fate::Stays
            }
            EdgeAnswer::Failed(EdgeError::NotFound) => {
                self.end(&GuestError::NotFound, context);
                self.refuse_attachers(&GuestError::NotFound, context);
                Fate::Gone
            }
            EdgeAnswer::Failed(EdgeError::NotNewest { newest }) if reply.generation >= self.generation => {
                self.on_not_newest(newest, reply.generation, context);
                Fate::Stays
            }
            EdgeAnswer::Failed(error @ (EdgeError::Io(_) | EdgeError::NoSpace | EdgeError::OutOfBounds)) => {
                self.on_not_opened(&to_guest(error), context);
                Fate::Stays
            }
            // Nothing that answers this question: it is asked again.
            _ => Fate::Stays,
        }
    }

    fn on_opened(
        &mut self,
        generation: Generation,
        stable: u64,
        size: u64,
        applied: u64,
        context: &mut Context<'_>,
    ) {
        if generation < self.generation {
            context.count(Counter::StaleAnswers, 1);
            return;
        }
        if self.state != State::Opened && generation > self.generation {
            // It was only to look at the vDisk again, and a new owner has opened the old session.
            self.on_other_generation(generation, context);
            return;
        }
        self.opening = None;
        self.size = size;
        if self.state == State::Opened {
            if applied < self.memory.stable_effect() {
                self.fail(
                    "the volume driver lost changes that it had called stable; what guests wrote may be gone. \
                     Check the data, then attach anew",
                    context,
                );
                return;
            }
            self.memory.stable_through(stable);
            self.on_session_opened(generation, applied, context);
        }
        for asker in core::mem::take(&mut self.attachers) {
            self.attach(asker, context);
        }
    }

    fn take_awaited(&mut self, request: u64) -> Option<Ask> {
        self.asks.get(&request)?.awaited?;
        self.asks.remove(&request)
    }

    fn on_change_answer(&mut self, position: usize, answer: EdgeAnswer, context: &mut Context<'_>) {
        let change = self.memory.at(position);
        let error = match answer {
            EdgeAnswer::Done => None,
            EdgeAnswer::Failed(error) => Some(error),
            // Not an answer to a change; it is awaited further.
            _ => return,
        };
        if change.awaited.take().is_none() {
            return;
        }
        self.limbo -= usize::from(core::mem::take(&mut change.limbo));
        match (change.asker.take(), error) {
            (Some(asker), None) => {
                context.reply(asker, GuestAnswer::Done);
                if context.has(Bug::EdgeForgetsEarly) {
                    self.void(position, context);
                }
            }
            (Some(asker), Some(error)) => {
                context.fail(asker, to_guest(error));
                self.void(position, context);
                // Its number has to come all the same: what follows waits for it.
                session::send_change(self.memory.at(position), self.session, &mut self.quiet_since, context);
            }
            (None, _) if change.body == ChangeBody::Void => {}
            (None, None) => self.owed -= 1,
            (None, Some(error @ (EdgeError::Io(_) | EdgeError::NoSpace))) => {
                self.on_not_taken(&to_guest(error), context);
            }
            (None, Some(error)) => {
                self.owed -= 1;
                let why = alloc::format!("a change that was acknowledged can't be written again: {error:?}");
                self.fail(&why, context);
            }
        }
    }

    fn on_answer(&mut self, request: u64, mut ask: Ask, answer: EdgeAnswer, context: &mut Context<'_>) {
        if let (What::Read { .. }, EdgeAnswer::Data(_)) = (&ask.what, &answer)
            && context.has(Bug::ReplyMixedUp)
        {
            self.mix_up(&mut ask);
        }
        match (ask.what, answer) {
            (What::Read { asker, offset, length, damaged }, EdgeAnswer::Data(data)) => {
                if self.is_right(&data, offset, length, context) {
                    context.reply(asker, GuestAnswer::Data(cut_to_range(data, offset, length)));
                    return;
                }
                context.count(Counter::DamagedReads, 1);
                if damaged + 1 < READ_TRIES {
                    self.ask(What::Read { asker, offset, length, damaged: damaged + 1 }, context);
                } else {
                    let why = "what was read does not match its checksums".to_string();
                    context.fail(asker, GuestError::Io(why));
                }
            }
            (What::Extents { asker, length, .. }, EdgeAnswer::Extents(extents)) => {
                context.reply(asker, GuestAnswer::Extents(clip_extents(extents, length)));
            }
            (What::Flush { asker, covers }, EdgeAnswer::Done) => {
                self.memory.stable_through(covers);
                match asker {
                    Some(asker) => context.reply(asker, GuestAnswer::Done),
                    None => (self.own_flush, self.own_flush_failed) = (false, false),
                }
            }
            (What::Flush { asker: None, .. }, EdgeAnswer::Failed(error)) => {
                (self.own_flush, self.own_flush_failed) = (false, true);
                self.refuse_held(&to_guest(error), context);
            }
            (what, EdgeAnswer::Failed(error)) => {
                let asker = what.asker().expect("only flushes are the Edge's own");
                context.fail(asker, to_guest(error));
            }
            // Not an answer to this question; it is awaited further.
            (what, _) => drop(self.asks.insert(request, Ask { what, awaited: ask.awaited })),
        }
    }

    /// The last hop's check: the right number of clusters, each with the checksum it entered with (P6).
    fn is_right(&self, data: &Payload, offset: u64, length: u64, context: &Context<'_>) -> bool {
        data.clusters() == Some(clusters_around(offset, length))
            && (context.has(Bug::CrcUnchecked) || data.verify())
    }

    /// The planted bug: two reads of the same shape get each other's data.
    fn mix_up(&mut self, ask: &mut Ask) {
        let shape = |what: &What| match what {
            What::Read { offset, length, .. } => Some((offset % glossary::CLUSTER_BYTES, *length)),
            _ => None,
        };
        let mut others = self.asks.values_mut();
        if let Some(other) =
            others.find(|other| other.awaited.is_some() && shape(&other.what) == shape(&ask.what))
        {
            core::mem::swap(&mut other.what, &mut ask.what);
        }
    }
}
