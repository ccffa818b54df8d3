//! A volume driver on a disk, a registry and a backend in memory.

mod crashes;
mod lost;
mod starts;
mod world;
