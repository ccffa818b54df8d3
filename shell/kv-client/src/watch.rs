//! Hearing what was changed.

use std::time::{Duration, Instant};

use formats::kv_client::WATCH_WAIT;
use formats::message::kv::{Consistency, KvFound, KvQuery};

use crate::client::{Client, nonsense};
use crate::error::Error;

/// What a watch hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Keys were changed.
    Changed {
        /// All commands up to this index were looked at.
        through: u64,
        /// Each key with its value now; `None`: it is gone. A key may come again with the same value.
        changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    },
    /// Something was changed, and what is not known: read the range anew. The watch goes on from `through`.
    Missed {
        /// A read at least here shows what was missed.
        through: u64,
    },
}

/// A watch of the keys that start with a prefix. As an iterator it waits for ever, and ends with no error that passes.
#[derive(Debug)]
pub struct Watch<'a> {
    client: &'a mut Client,
    prefix: Vec<u8>,
    after: u64,
}

impl Client {
    /// Watches what commands behind `after` change. [`Client::index`] after a read of the range is where to begin.
    pub fn watch(&mut self, prefix: &[u8], after: u64) -> Watch<'_> {
        Watch { client: self, prefix: prefix.to_vec(), after }
    }
}

impl Watch<'_> {
    /// All commands up to here were looked at.
    pub fn through(&self) -> u64 {
        self.after
    }

    /// Waits for the next event, about so long; none when there was none.
    ///
    /// # Errors
    /// When the KV can't be reached, or didn't answer in time.
    pub fn next_within(&mut self, patience: Duration) -> Result<Option<Event>, Error> {
        let until = Instant::now() + patience;
        loop {
            let event = self.ask()?;
            if event.is_some() || Instant::now() >= until {
                return Ok(event);
            }
        }
    }

    /// Asks once: a member answers when something changed, or after a while.
    fn ask(&mut self) -> Result<Option<Event>, Error> {
        let query = KvQuery::Watch { prefix: self.prefix.clone(), after: self.after };
        let found = self.client.query_longer(WATCH_WAIT, Consistency::Stale, query)?;
        let event = match found {
            KvFound::Missed => {
                self.after = self.client.index();
                Some(Event::Missed { through: self.after })
            }
            KvFound::Changes { through, changes } if through >= self.after => {
                self.after = through;
                (!changes.is_empty()).then_some(Event::Changed { through, changes })
            }
            other => return Err(nonsense(&other)),
        };
        Ok(event)
    }
}

impl Iterator for Watch<'_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.ask() {
                Ok(Some(event)) => return Some(Ok(event)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
