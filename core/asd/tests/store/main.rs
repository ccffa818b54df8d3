//! An ASD seen from outside: exact effects, and random lives with crashes against a model.

mod answers;
mod blocks;
mod crash;
mod damage;
mod disk;
mod full;
mod lives;
mod model;
mod replay;
mod rot;
mod starts;
mod tidying;
mod transcripts;
mod world;
