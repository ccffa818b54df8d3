//! A volume driver in a small world: crashes at any point, and what starts and verbs meet before it serves.

mod crashes;
mod starts;
mod world;
