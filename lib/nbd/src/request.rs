//! Requests: how they look on the wire, and which of them an export accepts.

use bytes::{Buf, Bytes};

use crate::errno::Errno;
use crate::export::Export;
use crate::item::Fatal;
use crate::wire::{REQUEST_MAGIC, command, command_flag as flag};

/// The client's mark on a request, which the reply carries back. Any value; a client is free to use
/// one twice, so it identifies nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cookie(pub u64);

/// One valid request: what it needs was advertised, it lies within the export and is aligned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Goes back with the reply.
    pub cookie: Cookie,
    /// What to do.
    pub command: Command,
}

/// What a client wants done. Offsets and lengths are in bytes; `offset + length` is within the export
/// and `length` is never 0. A `fua` command is answered only when its effect is on stable storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Read; at most [`crate::Settings::payload_bytes_max`].
    Read {
        /// Where.
        offset: u64,
        /// How much.
        length: u32,
        /// Answer with a single content chunk.
        dont_fragment: bool,
    },
    /// Write.
    Write {
        /// Where.
        offset: u64,
        /// What: a slice of the input, not a copy.
        data: Bytes,
        /// Force unit access.
        fua: bool,
    },
    /// Make everything stable that was acknowledged before, on any connection to this export if it
    /// says `multi_conn`.
    Flush,
    /// The content is no longer needed. A hint.
    Trim {
        /// Where.
        offset: u64,
        /// How much, up to 2^32 - 1.
        length: u32,
        /// Force unit access.
        fua: bool,
    },
    /// Make it read as zeroes.
    WriteZeroes {
        /// Where.
        offset: u64,
        /// How much, up to 2^32 - 1.
        length: u32,
        /// Force unit access.
        fua: bool,
        /// Keep the space allocated.
        no_hole: bool,
        /// Fail at once with [`Errno::NotSupported`] unless it is faster than writing; without this
        /// flag that error must not be used.
        fast: bool,
    },
    /// Tell what is allocated; answer with [`crate::Replies::block_status`].
    BlockStatus {
        /// Where.
        offset: u64,
        /// How much, up to 2^32 - 1.
        length: u32,
        /// Only the first extent is wanted.
        one: bool,
    },
}

/// A request as it stands on the wire, before anything about it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestHeader {
    pub(crate) flags: u16,
    pub(crate) kind: u16,
    pub(crate) cookie: Cookie,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// Why a request is refused: the error, and words for the person in front of the client.
pub(crate) type Refused = (Errno, &'static str);

/// What one command type demands.
struct Rule {
    /// Whether the export offers it.
    offered: bool,
    /// Flags that are documented for it and negotiated.
    flags: u16,
    /// Whether it changes the export.
    writes: bool,
    /// Longest length.
    length_max: u32,
    /// The error for a range that does not lie within the export.
    beyond_end: Errno,
}

impl RequestHeader {
    /// Takes [`crate::wire::REQUEST_BYTES`] off the front of `input`, which has them.
    pub(crate) fn decode(input: &mut Bytes) -> Result<Self, Fatal> {
        let magic = input.get_u32();
        let header = Self {
            flags: input.get_u16(),
            kind: input.get_u16(),
            cookie: Cookie(input.get_u64()),
            offset: input.get_u64(),
            length: input.get_u32(),
        };
        //= NBD#terminating-the-transmission-phase
        //# MAY initiate a hard disconnect if it detects a violation of a mandatory condition
        if magic == REQUEST_MAGIC { Ok(header) } else { Err(Fatal::RequestMagicWrong(magic)) }
    }

    /// Whether an export accepts this request. `payload_max` is the maximum block size.
    pub(crate) fn check(
        &self,
        export: &Export,
        structured: bool,
        block_status: bool,
        payload_max: u32,
    ) -> Result<(), Refused> {
        //= NBD#error-values
        //# SHOULD return NBD_EINVAL if it receives an unknown command
        let rule = rule(self.kind, export, structured, block_status, payload_max)
            .ok_or((Errno::Invalid, "unknown command"))?;
        if !rule.offered {
            return Err((Errno::Invalid, "this export does not offer that command"));
        }
        //= NBD#error-values
        //# SHOULD return NBD_EINVAL if it receives a flag not documented as applicable to the request
        if self.flags & !rule.flags != 0 {
            return Err((Errno::Invalid, "flag unknown, not negotiated, or not for this command"));
        }
        //= NBD#request-types
        //# For a flush request, length and offset are reserved, and MUST be set to all-zero
        if self.kind == command::FLUSH && (self.offset, self.length) != (0, 0) {
            return Err((Errno::Invalid, "flush takes no range"));
        }
        //= NBD#error-values
        //# SHOULD return NBD_EPERM if it receives a write or trim request on a read-only export
        if rule.writes && export.features.read_only {
            return Err((Errno::NotPermitted, "the export is read-only"));
        }
        self.check_range(export, &rule)
    }

    fn check_range(&self, export: &Export, rule: &Rule) -> Result<(), Refused> {
        //= NBD#block-size-constraints
        //# SHOULD report an NBD_EINVAL error if larger than the advertised maximum block size
        if self.length > rule.length_max {
            return Err((Errno::Invalid, "longer than the maximum block size"));
        }
        //= NBD#block-size-constraints
        //# SHOULD report an NBD_EINVAL error if not aligned to advertised minimum block size
        let aligned_to = export.block_sizes.minimum();
        if !self.offset.is_multiple_of(aligned_to.into()) || !self.length.is_multiple_of(aligned_to) {
            return Err((Errno::Invalid, "not aligned to the minimum block size"));
        }
        match self.offset.checked_add(self.length.into()) {
            Some(end) if end <= export.size => Ok(()),
            _ => Err((rule.beyond_end, "beyond the end of the export")),
        }
    }
}

fn rule(kind: u16, export: &Export, structured: bool, block_status: bool, payload_max: u32) -> Option<Rule> {
    let features = &export.features;
    let when = |set: bool, bit: u16| if set { bit } else { 0 };
    //= NBD#command-flags
    //# NBD_CMD_FLAG_FUA; valid for all commands, provided NBD_FLAG_SEND_FUA has been negotiated
    let fua = when(features.fua, flag::FUA);
    // Lengths of commands without a payload are bounded by their field alone: clients rely on large
    // discards, and nothing here grows with them.
    let any = u32::MAX;
    //= NBD#error-values
    //# SHOULD return NBD_ENOSPC if it receives a write request beyond the size of the device
    //= NBD#error-values
    //# SHOULD return NBD_EINVAL if it receives a read or trim request beyond the size of the device
    let (full, wrong) = (Errno::NoSpace, Errno::Invalid);
    let (offered, flags, writes, length_max, beyond_end) = match kind {
        command::READ => (true, fua | when(structured, flag::DF), false, payload_max, wrong),
        command::WRITE => (true, fua, true, payload_max, full),
        command::FLUSH => (features.flush, fua, false, any, wrong),
        command::TRIM => (features.trim, fua, true, any, wrong),
        command::WRITE_ZEROES => {
            //= NBD#command-flags
            //# MUST NOT set FAST_ZERO unless the server advertised NBD_FLAG_SEND_FAST_ZERO
            let flags = fua | flag::NO_HOLE | when(features.fast_zero, flag::FAST_ZERO);
            (features.write_zeroes, flags, true, any, full)
        }
        //= NBD#metadata-querying
        //# SHOULD reply with NBD_EINVAL without selecting at least one metadata context
        command::BLOCK_STATUS => (block_status, fua | flag::REQ_ONE, false, any, wrong),
        // NBD_CMD_CACHE among them: it is not advertised.
        _ => return None,
    };
    Some(Rule { offered, flags, writes, length_max, beyond_end })
}
