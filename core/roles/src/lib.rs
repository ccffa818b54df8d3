//! Composition: which parts make a role, and nothing else. The only crate that sees two parts.
//!
//! | role | part | hosts | talks to |
//! |---|---|---|---|
//! | Edge | `edge` | | volume driver |
//! | volume driver | `volume` | | objects client, KV |
//! | objects client | `objects` | | ASDs, KV |
//! | ASD | `asd` | | |
//! | KV | `kv` | `namespaces` | |
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

#[cfg(not(target_os = "none"))]
mod cast;
mod counters;
mod folders;
mod functions;
mod work;

#[cfg(not(target_os = "none"))]
pub use cast::{cast, kv_config, kv_member, kv_role};
pub use counters::counters_of;
pub use folders::first_files;
pub use functions::Hosted;
pub use kv::is_healable;
pub use work::perform;

use alloc::boxed::Box;
use formats::{Effect, Event};
use step::{Effects, Machine, Timestamp};

/// A role of a server: what an executor runs. On bare metal there is no KV, as its group needs a
/// hosted library, and so no cast: the build shows that what is pure reaches no clock, file or socket.
#[derive(Debug)]
pub enum Role {
    /// Between guests and the volume driver.
    Edge(Box<edge::Edge>),
    /// Turns block writes into a log of objects.
    VolumeDriver(Box<volume::VolumeDriver>),
    /// Stores objects as fragments on ASDs.
    Objects(Box<objects::Objects>),
    /// A store on one disk.
    Asd(Box<asd::Asd>),
    /// The consistent key/value store.
    #[cfg(not(target_os = "none"))]
    Kv(Box<kv::Kv<Hosted, consensus::RaftGroup>>),
}

impl Machine for Role {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        match self {
            Role::Edge(role) => role.step(now, event, effects),
            Role::VolumeDriver(role) => role.step(now, event, effects),
            Role::Objects(role) => role.step(now, event, effects),
            Role::Asd(role) => role.step(now, event, effects),
            #[cfg(not(target_os = "none"))]
            Role::Kv(role) => role.step(now, event, effects),
        }
    }
}
