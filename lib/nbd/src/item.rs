//! What a session gives its driver.

use alloc::string::String;

use bytes::Bytes;

use crate::request::Request;

/// One thing for the driver to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Send these bytes: a handshake message, or the answer to a request that the session refused.
    Send(Bytes),
    /// Which exports are there? Answer with [`crate::Session::provide_exports`].
    ListExports,
    /// Is there such an export? Answer with [`crate::Session::provide_export`].
    FindExport {
        /// As the client wrote it: valid UTF-8 without NUL, at most 4096 bytes; empty means the
        /// default export.
        name: String,
        /// What the client is after.
        purpose: Purpose,
    },
    /// A write was announced and is valid; its payload comes next and is still unread. Take a memory
    /// permit for `length` bytes, then go on. It is followed by exactly one [`Item::Request`], once
    /// the payload is there, with nothing in between.
    PayloadAhead {
        /// Bytes of payload; never 0, never above [`crate::Settings::payload_bytes_max`].
        length: u32,
    },
    /// Carry this out and reply to it once.
    Request(Request),
    /// The client said goodbye. Finish what is in flight, then close the connection.
    Disconnect,
}

/// Why a client asks about an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To know what it is like.
    Describe,
    /// To use it: a positive answer begins the transmission phase.
    Attach,
}

/// Why the driver does not answer a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such export.
    Unknown,
    /// This client may not.
    Policy,
    /// The server is going away.
    Shutdown,
    /// It exists, but can't be served now.
    Unserved,
}

/// The session cannot go on: close the connection without a further word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// The client set flags that this server does not know.
    #[error("unknown client flags in {0:#010x}")]
    ClientFlagsUnknown(u32),
    /// An option does not start with its magic number: the stream is out of step.
    #[error("option starts with {0:#018x} instead of its magic number")]
    OptionMagicWrong(u64),
    /// Option data is too long even to be skipped.
    #[error("option data of {0} bytes")]
    OptionTooLong(u32),
    /// More options than [`crate::Settings::options_max`].
    #[error("too many options")]
    OptionsTooMany,
    /// `NBD_OPT_EXPORT_NAME`, which has no error reply, with a name that is no string.
    #[error("export name is too long, not UTF-8, or has a NUL")]
    ExportNameInvalid,
    /// `NBD_OPT_EXPORT_NAME`, which has no error reply, with a name that was refused.
    #[error("export refused: {0:?}")]
    ExportRefused(Refusal),
    /// A request does not start with its magic number: the stream is out of step.
    #[error("request starts with {0:#010x} instead of its magic number")]
    RequestMagicWrong(u32),
    /// The payload of a refused write is too long even to be skipped.
    #[error("write payload of {0} bytes")]
    PayloadTooLong(u32),
}
