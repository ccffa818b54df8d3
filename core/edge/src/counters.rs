//! What an Edge counts since its start.

use alloc::vec::Vec;

macro_rules! counters {
    ($($name:ident: $text:literal, $help:literal;)*) => {
        /// Names one of [`COUNTERS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Counter {
            $($name,)*
        }

        /// Name and meaning of every counter, in the order in which a status lists their values.
        pub const COUNTERS: &[(&str, &str)] = &[$(($text, $help),)*];
    };
}

counters! {
    Reads: "reads", "Reads that guests asked for";
    ReadBytes: "read_bytes", "Bytes that guests asked to read";
    Writes: "writes", "Writes that guests asked for";
    WriteBytes: "write_bytes", "Bytes that guests wrote";
    Discards: "discards", "Discards that guests asked for";
    Flushes: "flushes", "Flushes that guests asked for";
    OwnFlushes: "own_flushes", "Flushes that the Edge asked for to get room in its memory of changes";
    HeldBack: "held_back", "Changes that waited for room in the memory of changes";
    Failed: "failed", "Requests of guests that failed";
    Sessions: "sessions", "Sessions opened with the volume driver";
    Resent: "resent", "Requests sent to the volume driver again";
    DamagedReads: "damaged_reads", "Answers to reads that did not match their checksums";
    StaleAnswers: "stale_answers", "Answers dropped because their owner or session was replaced";
}

/// The values, since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counters([u64; COUNTERS.len()]);

impl Counters {
    pub(crate) fn new() -> Self {
        Counters([0; COUNTERS.len()])
    }

    pub(crate) fn add(&mut self, counter: Counter, amount: u64) {
        let value = &mut self.0[counter as usize];
        *value = value.wrapping_add(amount);
    }

    pub(crate) fn values(&self) -> Vec<u64> {
        self.0.to_vec()
    }
}
