//! Room in the write buffer, shared by the volumes of a driver.

/// Bytes that files of the write buffer take, and may take (P9). Guests' data counts when it is given its
/// place in a SCO, and stops counting when the file is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    /// Somebody found none since the last look.
    pub(crate) wanted: bool,
}

impl Room {
    /// Takes room for a guest's data, or notes that it was wanted.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let fits = self.used + bytes <= self.limit;
        if fits {
            self.used += bytes;
        } else {
            self.wanted = true;
        }
        fits
    }

    /// Counts what is there anyway: files found at a start, TLogs.
    pub(crate) fn count(&mut self, bytes: u64) {
        self.used += bytes;
    }

    pub(crate) fn release(&mut self, bytes: u64) {
        self.used = self.used.checked_sub(bytes).expect("what is released was counted");
    }
}
