//! From what the Edge answers to what the client is told.

use formats::message::guest::{GuestAnswer, GuestError};
use glossary::ByteCount;
use io::Context;
use nbd::{Allocation, BlockSizes, Cookie, Errno, Export, Extent, Features, Listing, Purpose, Refusal};

use crate::client::{Client, SHUTTING_DOWN};
use crate::hall::Hall;
use crate::requests::{Kind, Request};

impl Client {
    /// The answer to a request of this client.
    pub(crate) fn on_answer(
        &mut self,
        request: Request,
        answer: GuestAnswer,
        hall: &mut Hall,
        context: &mut Context<'_>,
    ) {
        self.in_flight -= 1;
        match request.kind {
            Kind::List => self.on_list(&answer),
            Kind::FindDefault(purpose) => self.on_default(answer, purpose, hall, context),
            Kind::Find(purpose, name) => self.on_found(&answer, purpose, name),
            Kind::Zeroes { at, end, .. } if answer == GuestAnswer::Done && at < end && !hall.stopping => {
                return self.write_zeros(request.kind, request.cost, hall, context);
            }
            // The permits of these are given back when the answer was sent.
            Kind::Read { cookie, offset, length } => {
                return self.on_read(cookie, offset, length, answer, request.cost);
            }
            Kind::BlockStatus { cookie, length, one } => {
                return self.on_extents(cookie, length, one, answer, request.cost);
            }
            Kind::Change { cookie, what } => self.on_change(cookie, what, answer),
            Kind::Zeroes { cookie, at, end, .. } if answer == GuestAnswer::Done && at < end => {
                self.refuse(cookie, Errno::Shutdown, SHUTTING_DOWN);
            }
            Kind::Zeroes { cookie, .. } => self.on_change(cookie, "write-zeroes", answer),
        }
        hall.permits.release(request.cost);
    }

    fn on_list(&mut self, answer: &GuestAnswer) {
        self.asking = false;
        let listings: Result<Vec<Listing<'_>>, Refusal> = match answer {
            GuestAnswer::Vdisks(vdisks) => {
                Ok(vdisks.iter().map(|(name, _)| Listing { name: name.as_str(), description: "" }).collect())
            }
            other => Err(Refusal::Unavailable(reason(other.clone()).1)),
        };
        let reply = self.session.provide_exports(listings.as_deref().map_err(Clone::clone));
        self.send(|connection| connection.head().extend_from_slice(&reply));
    }

    fn on_default(
        &mut self,
        answer: GuestAnswer,
        purpose: Purpose,
        hall: &mut Hall,
        context: &mut Context<'_>,
    ) {
        self.asking = false;
        match answer {
            GuestAnswer::Vdisks(vdisks) if vdisks.len() == 1 => {
                let name = vdisks[0].0.as_str().to_owned();
                self.ask_export(name, purpose, hall, context);
            }
            GuestAnswer::Vdisks(_) => self.provide_export(Err(Refusal::Unknown)),
            other => self.provide_export(Err(Refusal::Unavailable(reason(other).1))),
        }
    }

    fn on_found(&mut self, answer: &GuestAnswer, purpose: Purpose, name: String) {
        self.asking = false;
        match answer {
            GuestAnswer::Attached { vdisk, size } => {
                if purpose == Purpose::Attach {
                    self.vdisk = Some(*vdisk);
                }
                self.provide_export(Ok(export(name, *size)));
            }
            GuestAnswer::Failed(GuestError::NotFound) => self.provide_export(Err(Refusal::Unknown)),
            answer => {
                let why = reason(answer.clone()).1;
                tracing::warn!(connection = self.id.0, vdisk = %name, %why, "a client can't attach");
                self.provide_export(Err(Refusal::Unavailable(why)));
            }
        }
    }

    /// Answers the session's question for an export.
    pub(crate) fn provide_export(&mut self, export: Result<Export, Refusal>) {
        match self.session.provide_export(export) {
            Ok(reply) => self.send(|connection| connection.head().extend_from_slice(&reply)),
            Err(fatal) => {
                tracing::info!(connection = self.id.0, %fatal, "an NBD client is disconnected");
                self.ending = true;
            }
        }
    }

    fn on_read(&mut self, cookie: Cookie, offset: u64, length: u32, answer: GuestAnswer, cost: u64) {
        let replies = self.session.replies();
        self.outgoing.queue(&mut self.connection, cost, |connection| match answer {
            GuestAnswer::Data(payload) if payload.len() as u64 == u64::from(length) => {
                replies.read(connection.head(), cookie, offset, length);
                payload.pieces().iter().for_each(|piece| connection.push(piece.clone()));
            }
            other => {
                let (errno, why) = reason(other);
                replies.error(connection.head(), cookie, errno, &why);
            }
        });
    }

    fn on_change(&mut self, cookie: Cookie, what: &str, answer: GuestAnswer) {
        if answer == GuestAnswer::Done {
            let replies = self.session.replies();
            return self.send(|connection| replies.ok(connection.head(), cookie));
        }
        let (errno, why) = reason(answer);
        if errno == Errno::InputOutput {
            tracing::warn!(connection = self.id.0, vdisk = ?self.vdisk, %why, "a {what} failed");
        }
        self.refuse(cookie, errno, &why);
    }

    fn on_extents(&mut self, cookie: Cookie, length: u32, one: bool, answer: GuestAnswer, cost: u64) {
        let replies = self.session.replies();
        self.outgoing.queue(&mut self.connection, cost, |connection| match answer {
            GuestAnswer::Extents(extents) => {
                let extents = extents.into_iter().map(|(length, data)| Extent {
                    length,
                    allocation: if data { Allocation::Data } else { Allocation::Hole },
                });
                replies.block_status(connection.head(), cookie, length, one, extents);
            }
            other => {
                let (errno, why) = reason(other);
                replies.error(connection.head(), cookie, errno, &why);
            }
        });
    }
}

fn export(name: String, size: ByteCount) -> Export {
    Export {
        name,
        description: String::new(),
        size: size.0,
        block_sizes: BlockSizes::DEFAULT,
        // All connections of a gateway are one client of the vDisk (E4), so a flush on one of them covers what
        // was acknowledged on any.
        features: Features::ALL,
    }
}

/// What a client is told of a failure.
fn reason(answer: GuestAnswer) -> (Errno, String) {
    match answer {
        GuestAnswer::Failed(GuestError::NoSpace) => (Errno::NoSpace, "no room for a write".to_owned()),
        GuestAnswer::Failed(GuestError::OutOfBounds) => {
            (Errno::Invalid, "beyond the end of the vDisk".to_owned())
        }
        GuestAnswer::Failed(GuestError::NotFound) => (Errno::InputOutput, "the vDisk is gone".to_owned()),
        GuestAnswer::Failed(GuestError::Io(why)) => (Errno::InputOutput, why),
        _ => (Errno::InputOutput, "an answer that doesn't fit the question".to_owned()),
    }
}
