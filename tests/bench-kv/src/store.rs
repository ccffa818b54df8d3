//! What is compared: stores of three servers, and what a client of one does.

use anyhow::Result;

/// How a read may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// What was the newest at some moment between question and answer.
    Linearizable,
    /// What the server that is asked happens to have.
    Stale,
}

/// A running store.
pub trait Store {
    /// Its name in the report.
    fn name(&self) -> &'static str;
    /// A client with a connection of its own. `number` spreads clients that may ask any server.
    fn client(&self, number: usize) -> Result<Box<dyn Client>>;
    /// Ends a server that doesn't lead, without warning.
    fn kill_follower(&mut self) -> Result<()>;
    /// Starts it again, and returns when it has everything.
    fn start_follower(&mut self) -> Result<()>;
    /// Bytes that the servers' processes keep in memory, and that their folders take: of all three together.
    fn footprint(&self) -> Result<Footprint>;
}

/// What a store takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    /// In memory, in bytes.
    pub memory: u64,
    /// On disk, in bytes.
    pub disk: u64,
}

/// One client, which does one thing after another.
pub trait Client: Send {
    /// Sets a key.
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()>;
    /// Reads a key that is there.
    fn get(&mut self, key: &[u8], consistency: Consistency) -> Result<()>;
    /// Sets all keys, if all are there.
    fn sequence(&mut self, keys: &[Vec<u8>], value: &[u8]) -> Result<()>;
    /// Reads the first `limit` keys that start with `prefix`; there are as many.
    fn range(&mut self, prefix: &[u8], limit: usize) -> Result<()>;
}
