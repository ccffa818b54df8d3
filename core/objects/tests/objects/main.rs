//! Tests of the objects client, by its events and effects alone.

mod asd;
mod away;
mod exact;
mod faults;
mod gone;
mod layout;
mod namespaces;
mod perform;
mod placement;
mod reads;
mod seeds;
mod silence;
mod uploads;
mod world;
