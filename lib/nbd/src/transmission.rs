//! The transmission phase: requests, one after the other.

use bytes::{Bytes, BytesMut};

use crate::errno::Errno;
use crate::export::Export;
use crate::item::{Fatal, Item};
use crate::reply::Replies;
use crate::request::{Command, Cookie, Request, RequestHeader};
use crate::session::{Limits, Step};
use crate::wire::{REQUEST_BYTES, command, command_flag as flag};

/// A session that is attached to an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transmission {
    export: Export,
    structured: bool,
    block_status: bool,
    state: State,
}

/// States are named for what they await.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Request,
    Payload { cookie: Cookie, offset: u64, length: u32, fua: bool },
    Disconnect,
}

impl Transmission {
    /// `block_status`: whether `base:allocation` was selected for this export.
    pub(crate) fn new(export: Export, structured: bool, block_status: bool) -> Self {
        Self { export, structured, block_status, state: State::Request }
    }

    pub(crate) fn export(&self) -> &Export {
        &self.export
    }

    pub(crate) fn structured(&self) -> bool {
        self.structured
    }

    pub(crate) fn wants(&self) -> usize {
        match self.state {
            State::Request => REQUEST_BYTES,
            State::Payload { length, .. } => length as usize,
            State::Disconnect => 0,
        }
    }

    pub(crate) fn step(&mut self, limits: &Limits, input: &mut Bytes) -> Result<Step, Fatal> {
        if input.len() < self.wants() {
            return Ok(Step::Wait);
        }
        match self.state {
            State::Request => self.on_request(limits, RequestHeader::decode(input)?),
            State::Payload { cookie, offset, length, fua } => {
                self.state = State::Request;
                let data = input.split_to(length as usize);
                Ok(Step::Give(Item::Request(Request {
                    cookie,
                    command: Command::Write { offset, data, fua },
                })))
            }
            State::Disconnect => Ok(Step::Give(Item::Disconnect)),
        }
    }

    fn on_request(&mut self, limits: &Limits, header: RequestHeader) -> Result<Step, Fatal> {
        //= NBD#request-types
        //# There is no reply to an NBD_CMD_DISC
        if header.kind == command::DISC {
            self.state = State::Disconnect;
            return Ok(Step::Give(Item::Disconnect));
        }
        //= NBD#terminating-the-transmission-phase
        //# The error value for any subsequently received requests SHOULD be NBD_ESHUTDOWN
        if limits.shutting_down {
            return self.refuse(limits, &header, Errno::Shutdown, "the server is shutting down");
        }
        let payload_max = self.export.block_sizes.maximum(&limits.settings);
        match header.check(&self.export, self.structured, self.block_status, payload_max) {
            Err((errno, why)) => self.refuse(limits, &header, errno, why),
            Ok(()) if header.length == 0 && header.kind != command::FLUSH => {
                self.on_empty_range(limits, &header)
            }
            Ok(()) => Ok(Step::Give(self.accept(&header))),
        }
    }

    /// A length of 0 never reaches the driver.
    fn on_empty_range(&self, limits: &Limits, header: &RequestHeader) -> Result<Step, Fatal> {
        //= NBD#request-types
        //# length of 0 is unspecified although the server SHOULD NOT disconnect
        //= NBD#request-types
        //# MUST return at least one status descriptor, and each has a non-zero length
        if header.kind == command::BLOCK_STATUS {
            return self.refuse(limits, header, Errno::Invalid, "status of nothing");
        }
        let mut out = BytesMut::new();
        if header.kind == command::READ {
            self.replies().read_nothing(&mut out, header.cookie);
        } else {
            self.replies().ok(&mut out, header.cookie);
        }
        Ok(Step::Give(Item::Send(out.freeze())))
    }

    /// What the driver gets for a request that is valid and not empty.
    fn accept(&mut self, header: &RequestHeader) -> Item {
        let RequestHeader { cookie, offset, length, .. } = *header;
        let has = |bit: u16| header.flags & bit != 0;
        let fua = has(flag::FUA);
        let command = match header.kind {
            command::WRITE => {
                self.state = State::Payload { cookie, offset, length, fua };
                return Item::PayloadAhead { length };
            }
            command::READ => Command::Read { offset, length, dont_fragment: has(flag::DF) },
            command::TRIM => Command::Trim { offset, length, fua },
            command::WRITE_ZEROES => Command::WriteZeroes {
                offset,
                length,
                fua,
                no_hole: has(flag::NO_HOLE),
                fast: has(flag::FAST_ZERO),
            },
            command::BLOCK_STATUS => Command::BlockStatus { offset, length, one: has(flag::REQ_ONE) },
            command::FLUSH => Command::Flush,
            other => unreachable!("command {other} passed a check that knows it not"),
        };
        Item::Request(Request { cookie, command })
    }

    /// Answers a request that is not carried out. The payload of a write is skipped first, so that the
    /// next request is found, and so that a client which only reads after it has written is not
    /// answered in the middle of its words.
    fn refuse(
        &self,
        limits: &Limits,
        header: &RequestHeader,
        errno: Errno,
        why: &'static str,
    ) -> Result<Step, Fatal> {
        //= NBD#request-message
        //# length bytes of data if the request is of type NBD_CMD_WRITE
        let length = if header.kind == command::WRITE { header.length } else { 0 };
        //= NBD#block-size-constraints
        //# MAY initiate a hard disconnect if the payload would be a denial of service attack
        if length > limits.settings.skip_bytes_max {
            return Err(Fatal::PayloadTooLong(length));
        }
        let mut out = BytesMut::new();
        self.replies().error(&mut out, header.cookie, errno, why);
        Ok(Step::Skip { length, reply: out.freeze() })
    }

    fn replies(&self) -> Replies {
        Replies::new(self.structured)
    }
}
