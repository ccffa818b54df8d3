//! An ASD seen from outside: exact effects, and random lives with crashes against a model.

mod answers;
mod blocks;
mod crash;
mod disk;
mod full;
mod model;
mod replay;
mod starts;
mod tidying;
mod transcripts;
mod world;
