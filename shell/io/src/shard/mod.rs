//! A shard: one thread, one event loop, the nodes that live on it. Nothing on the path of data is locked.
//!
//! A turn takes in what waits (sockets, mailbox, timers), then runs rounds: deliver what is queued, say
//! `TurnEnd` to the nodes that got something, send messages on, start disk operations. Answers that come at
//! once (local messages, small writes) make further rounds of the same turn. Then gateways send, and the loop
//! looks again or sleeps.

mod command;
mod core;
mod links;
mod slot;
mod spin;
mod turn;

pub(crate) use command::{Command, Failure, NewFolder, NewTenant, Starting};
pub(crate) use core::{Core, Parts};
pub(crate) use links::{Links, through_bytes};
pub use slot::Node;

use crossbeam_channel::Receiver;
use formats::Effect;
use step::{Effects, Timestamp};

use slot::Slot;
use spin::Spinning;

/// A place on a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat(pub(crate) u32);

/// One of those who had a seat, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life(pub(crate) u64);

/// A shard at work.
pub(crate) struct Shard<N> {
    slots: Vec<Slot<N>>,
    core: Core,
    commands: Receiver<Command<N>>,
    effects: Effects<Effect>,
    /// Who got something this round, and among gateways this turn.
    touched: Vec<Seat>,
    touched_gateways: Vec<Seat>,
    spinning: Spinning,
    last_event: Timestamp,
    events: u64,
    /// Set when the runtime ends: only what is in flight is waited for.
    ending: bool,
}

/// A seed that was never used before.
pub(crate) fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    let mut filled = 0;
    while filled < seed.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut seed[filled..], flags)) {
            Ok(count) => filled += count,
            Err(error) => panic!("the operating system has no random numbers: {error}"),
        }
    }
    seed
}
