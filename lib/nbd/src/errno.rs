//! Error values of replies.

/// What went wrong with a request, as the client is told. Numbers are those of `NBD#error-values`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Errno {
    /// `NBD_EPERM`: a write to a read-only export.
    NotPermitted = 1,
    /// `NBD_EIO`: the data could not be read or written.
    InputOutput = 5,
    /// `NBD_ENOMEM`: avoid it if at all possible.
    NoMemory = 12,
    /// `NBD_EINVAL`: the request itself is wrong.
    Invalid = 22,
    /// `NBD_ENOSPC`: no room left, or a write beyond the end of the export.
    NoSpace = 28,
    /// `NBD_EOVERFLOW`: only for a read that may not be fragmented and is too long for that.
    Overflow = 75,
    /// `NBD_ENOTSUP`: only for write-zeroes with `fast`, when it would not be fast.
    NotSupported = 95,
    /// `NBD_ESHUTDOWN`: the server is going away.
    Shutdown = 108,
}

impl Errno {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}
