//! Numbers of the wire. Nothing here decides anything; names are those of the specification.

/// First half of the greeting, ASCII `NBDMAGIC`.
pub(crate) const GREETING_MAGIC: u64 = 0x4e42_444d_4147_4943;
/// Second half of the greeting and start of every option, ASCII `IHAVEOPT`.
pub(crate) const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// Start of every reply to an option.
pub(crate) const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// Start of every request of the transmission phase.
pub(crate) const REQUEST_MAGIC: u32 = 0x2560_9513;
/// Start of a simple reply.
pub(crate) const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;
/// Start of a structured reply chunk.
pub(crate) const STRUCTURED_REPLY_MAGIC: u32 = 0x668e_33ef;

/// Client flags: 32 bits.
pub(crate) const CLIENT_FLAGS_BYTES: usize = 4;
/// Option header: magic, option, length.
pub(crate) const OPTION_HEADER_BYTES: usize = 16;
/// Request header: magic, flags, type, cookie, offset, length.
pub(crate) const REQUEST_BYTES: usize = 28;
/// Simple reply: magic, error, cookie.
pub(crate) const SIMPLE_REPLY_BYTES: usize = 16;
/// Structured reply chunk header: magic, flags, type, cookie, length.
pub(crate) const CHUNK_HEADER_BYTES: usize = 20;
/// Zeroes behind the reply to `NBD_OPT_EXPORT_NAME`, unless the client asked for none.
pub(crate) const EXPORT_NAME_PADDING_BYTES: usize = 124;

//= NBD#conventions
//# MUST be no longer than 4096 bytes
/// Longest string on this wire, in bytes.
pub(crate) const STRING_BYTES_MAX: usize = 4096;

/// A message cut to the longest string that may be sent.
pub(crate) fn for_people(message: &str) -> &str {
    &message[..message.floor_char_boundary(STRING_BYTES_MAX)]
}

pub(crate) mod handshake_flag {
    pub(crate) const FIXED_NEWSTYLE: u16 = 1 << 0;
    pub(crate) const NO_ZEROES: u16 = 1 << 1;
}

pub(crate) mod client_flag {
    pub(crate) const FIXED_NEWSTYLE: u32 = 1 << 0;
    pub(crate) const NO_ZEROES: u32 = 1 << 1;
}

pub(crate) mod option {
    pub(crate) const EXPORT_NAME: u32 = 1;
    pub(crate) const ABORT: u32 = 2;
    pub(crate) const LIST: u32 = 3;
    pub(crate) const INFO: u32 = 6;
    pub(crate) const GO: u32 = 7;
    pub(crate) const STRUCTURED_REPLY: u32 = 8;
    pub(crate) const LIST_META_CONTEXT: u32 = 9;
    pub(crate) const SET_META_CONTEXT: u32 = 10;
}

pub(crate) mod option_reply {
    pub(crate) const ACK: u32 = 1;
    pub(crate) const SERVER: u32 = 2;
    pub(crate) const INFO: u32 = 3;
    pub(crate) const META_CONTEXT: u32 = 4;
    pub(crate) const ERR_UNSUP: u32 = (1 << 31) + 1;
    pub(crate) const ERR_POLICY: u32 = (1 << 31) + 2;
    pub(crate) const ERR_INVALID: u32 = (1 << 31) + 3;
    pub(crate) const ERR_UNKNOWN: u32 = (1 << 31) + 6;
    pub(crate) const ERR_SHUTDOWN: u32 = (1 << 31) + 7;
    pub(crate) const ERR_TOO_BIG: u32 = (1 << 31) + 9;
}

pub(crate) mod info {
    pub(crate) const EXPORT: u16 = 0;
    pub(crate) const NAME: u16 = 1;
    pub(crate) const DESCRIPTION: u16 = 2;
    pub(crate) const BLOCK_SIZE: u16 = 3;
}

pub(crate) mod transmission_flag {
    pub(crate) const HAS_FLAGS: u16 = 1 << 0;
    pub(crate) const READ_ONLY: u16 = 1 << 1;
    pub(crate) const SEND_FLUSH: u16 = 1 << 2;
    pub(crate) const SEND_FUA: u16 = 1 << 3;
    pub(crate) const ROTATIONAL: u16 = 1 << 4;
    pub(crate) const SEND_TRIM: u16 = 1 << 5;
    pub(crate) const SEND_WRITE_ZEROES: u16 = 1 << 6;
    pub(crate) const SEND_DF: u16 = 1 << 7;
    pub(crate) const CAN_MULTI_CONN: u16 = 1 << 8;
    pub(crate) const SEND_FAST_ZERO: u16 = 1 << 11;
}

pub(crate) mod command {
    pub(crate) const READ: u16 = 0;
    pub(crate) const WRITE: u16 = 1;
    pub(crate) const DISC: u16 = 2;
    pub(crate) const FLUSH: u16 = 3;
    pub(crate) const TRIM: u16 = 4;
    pub(crate) const WRITE_ZEROES: u16 = 6;
    pub(crate) const BLOCK_STATUS: u16 = 7;
}

pub(crate) mod command_flag {
    pub(crate) const FUA: u16 = 1 << 0;
    pub(crate) const NO_HOLE: u16 = 1 << 1;
    pub(crate) const DF: u16 = 1 << 2;
    pub(crate) const REQ_ONE: u16 = 1 << 3;
    pub(crate) const FAST_ZERO: u16 = 1 << 4;
}

pub(crate) mod chunk {
    pub(crate) const FLAG_DONE: u16 = 1 << 0;
    pub(crate) const NONE: u16 = 0;
    pub(crate) const OFFSET_DATA: u16 = 1;
    pub(crate) const OFFSET_HOLE: u16 = 2;
    pub(crate) const BLOCK_STATUS: u16 = 5;
    pub(crate) const ERROR: u16 = (1 << 15) + 1;
    pub(crate) const ERROR_OFFSET: u16 = (1 << 15) + 2;
}

pub(crate) mod base_allocation {
    /// The only metadata context there is.
    pub(crate) const NAME: &str = "base:allocation";
    /// The wildcard that lists every context of the namespace.
    pub(crate) const WILDCARD: &str = "base:";
    /// Its id when it is selected. Opaque to the client; not 0, so that a client that takes the
    /// reserved id of a listing for a real one is found out.
    pub(crate) const ID: u32 = 1;
    pub(crate) const STATE_HOLE: u32 = 1 << 0;
    pub(crate) const STATE_ZERO: u32 = 1 << 1;
}
