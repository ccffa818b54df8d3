//! Tests of the session from outside: a client's bytes on one side, a driver over a memory disk on the
//! other.

mod client;
mod corpus;
mod driver;
mod hostile;
mod properties;
mod replies;
mod transcript;
mod transcripts;
