//! Several requests under way at once: their answers come in any order, and commands are applied in any order.

use formats::message::kv::{Consistency, KvAnswer, KvCommand, KvQuery};

use crate::client::Client;
use crate::error::Error;

/// The most requests under way: fewer than a server lets one connection have.
pub const MAX_OUTSTANDING: usize = 32;

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    /// Its number, from [`Client::submit`] or [`Client::submit_query`].
    pub request: u64,
    /// What became of it.
    pub answer: Result<KvAnswer, Error>,
}

impl Client {
    /// Sends a command and waits for no answer: that comes from [`Client::next_outcome`]. Small requests only: nothing is
    /// read while one is being sent.
    ///
    /// # Errors
    /// [`Error::TooLarge`]: it breaks a bound.
    ///
    /// # Panics
    /// With [`MAX_OUTSTANDING`] requests under way.
    pub fn submit(&mut self, command: KvCommand) -> Result<u64, Error> {
        assert!(self.outstanding() < MAX_OUTSTANDING, "answers are taken before more is asked");
        self.begin(command)
    }

    /// Sends a linearizable read; as [`Client::submit`].
    ///
    /// # Errors
    /// [`Error::TooLarge`]: it breaks a bound.
    ///
    /// # Panics
    /// With [`MAX_OUTSTANDING`] requests under way.
    pub fn submit_query(&mut self, query: KvQuery) -> Result<u64, Error> {
        assert!(self.outstanding() < MAX_OUTSTANDING, "answers are taken before more is asked");
        let query = self.own(query)?;
        Ok(self.begin_query(Consistency::Linearizable, query))
    }

    /// How many requests have no answer yet.
    pub fn outstanding(&self) -> usize {
        self.asks.outstanding() - usize::from(self.learning.is_asking())
    }

    /// Waits for the answer to any request that was submitted.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: all that were under way are given up.
    pub fn next_outcome(&mut self) -> Result<Outcome, Error> {
        let (request, answer) = self.next_answer()?;
        let answer = self.settle_any(answer);
        Ok(Outcome { request, answer })
    }
}
