//! What a KV counts since its start.

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
    Commands: "commands", "Commands applied, those that were refused included";
    CommandsAgain: "commands_again", "Commands that came again: answered from memory or already on their way";
    Queries: "queries", "Questions answered";
    NotNow: "not_now", "Requests turned away because the KV was starting or too many waited";
    TooLarge: "too_large", "Requests refused because they break a bound";
    Batches: "batches", "Batches of commands written and synced";
    LogBytes: "log_bytes", "Bytes of batches written";
    Marks: "marks", "Marks written behind the last batch before a pause";
    Checkpoints: "checkpoints", "Checkpoints finished";
    CheckpointsGivenUp: "checkpoints_given_up", "Checkpoints, and states that other members gave, given up because the disk was full";
    Full: "full", "Times that the log met a full disk";
    Refused: "refused", "Commands refused to keep the room that a checkpoint needs";
    Rejected: "rejected", "Messages of other members, or of strangers, that were dropped";
    Installed: "installed", "States taken over from another member";
    Differed: "differed", "Times that another member had other pairs or sessions at the same entry; never without a fault";
    Healed: "healed", "States that were damaged on the disk, and were given anew by another member";
    SessionsRefused: "sessions_refused", "Commands refused as they would begin a session, and too many were in use";
    SessionsUnknown: "sessions_unknown", "Commands refused as their session was forgotten long ago: they may have been applied";
    Unknown: "unknown", "Messages of other members that were dropped, as this member is held at an older level";
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

    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    pub(crate) fn values(&self) -> Vec<u64> {
        self.0.to_vec()
    }
}
