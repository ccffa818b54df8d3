//! From what a client wants to what the Edge is asked.

use formats::Payload;
use formats::message::guest::GuestBody;
use glossary::VdiskName;
use io::Context;
use nbd::{Command, Cookie, Errno, Purpose, Refusal};

use crate::client::Client;
use crate::hall::Hall;
use crate::requests::Kind;
use crate::zeroes::{piece_end, zeros};

impl Client {
    /// Asks which vDisks there are.
    pub(crate) fn ask_list(&mut self, kind: Kind, hall: &mut Hall, context: &mut Context<'_>) {
        self.asking = true;
        self.ask(kind, 0, GuestBody::List, hall, context);
    }

    /// Asks for a vDisk by name. No name stands for the only one there is.
    pub(crate) fn ask_export(
        &mut self,
        name: String,
        purpose: Purpose,
        hall: &mut Hall,
        context: &mut Context<'_>,
    ) {
        if name.is_empty() {
            return self.ask_list(Kind::FindDefault(purpose), hall, context);
        }
        match VdiskName::new(&name) {
            Ok(vdisk) => {
                self.asking = true;
                self.ask(Kind::Find(purpose, name), 0, GuestBody::Attach { name: vdisk }, hall, context);
            }
            Err(_) => self.provide_export(Err(Refusal::Unknown)),
        }
    }

    /// Carries out a valid request, which has its permit.
    pub(crate) fn carry_out(
        &mut self,
        request: nbd::Request,
        cost: u64,
        hall: &mut Hall,
        context: &mut Context<'_>,
    ) {
        let nbd::Request { cookie, command } = request;
        let vdisk = self.vdisk.expect("requests come when the client is attached");
        let change = |what| Kind::Change { cookie, what };
        let (kind, body) = match command {
            Command::Read { offset, length, .. } => {
                let body = GuestBody::Read { vdisk, offset, length: length.into() };
                (Kind::Read { cookie, offset, length }, body)
            }
            Command::Write { offset, data, fua } => {
                // Here data enters: its checksums are computed, and none after this (F1).
                let payload = Payload::entering(data);
                (change("write"), GuestBody::Write { vdisk, offset, fua, payload })
            }
            Command::Flush => (change("flush"), GuestBody::Flush { vdisk }),
            Command::Trim { offset, length, fua } => {
                (change("trim"), GuestBody::Discard { vdisk, offset, length: length.into(), fua })
            }
            Command::WriteZeroes { fast: true, no_hole: true, .. } => {
                //= NBD#command-flags
                //# MUST be faster than a regular write, or else fail with NBD_ENOTSUP
                return self.refuse(
                    cookie,
                    Errno::NotSupported,
                    "zeros that keep their space are written out",
                );
            }
            Command::WriteZeroes { offset, length, fua, no_hole: true, .. } => {
                let end = offset + u64::from(length);
                let zeroes = Kind::Zeroes { cookie, vdisk, at: offset, end, fua };
                return self.write_zeros(zeroes, cost, hall, context);
            }
            Command::WriteZeroes { offset, length, fua, .. } => {
                (change("write-zeroes"), GuestBody::Discard { vdisk, offset, length: length.into(), fua })
            }
            Command::BlockStatus { offset, length, one } => {
                let body = GuestBody::Extents { vdisk, offset, length: length.into() };
                (Kind::BlockStatus { cookie, length, one }, body)
            }
        };
        self.ask(kind, cost, body, hall, context);
    }

    /// Writes the next piece of zeros that must not become a hole.
    //= NBD#command-flags
    //# If NBD_CMD_FLAG_NO_HOLE is set, the server MUST NOT punch a hole
    pub(crate) fn write_zeros(
        &mut self,
        zeroes: Kind,
        cost: u64,
        hall: &mut Hall,
        context: &mut Context<'_>,
    ) {
        let Kind::Zeroes { cookie, vdisk, at: offset, end, fua } = zeroes else {
            unreachable!("called for zeros")
        };
        let at = piece_end(offset, end);
        let body = GuestBody::Write { vdisk, offset, fua, payload: zeros(at - offset) };
        self.ask(Kind::Zeroes { cookie, vdisk, at, end, fua }, cost, body, hall, context);
    }

    /// Answers a request with an error.
    pub(crate) fn refuse(&mut self, cookie: Cookie, errno: Errno, why: &str) {
        let replies = self.session.replies();
        self.send(|connection| replies.error(connection.head(), cookie, errno, why));
    }
}
