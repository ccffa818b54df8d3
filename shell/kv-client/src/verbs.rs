//! What can be done with keys, one by one.

use formats::kv_limits::{MAX_ASKED_KEYS, MAX_DELETED_KEYS};
use formats::message::kv::{KvAnswer, KvCommand, KvExpected, KvFound, KvQuery, KvStep, StepAnswer};
use formats::message::kv_range::KvRange;

use crate::client::{Client, nonsense};
use crate::error::Error;
use crate::pages::{Keys, Pairs};
use crate::steps::Steps;

impl Client {
    /// The value of a key.
    ///
    /// # Errors
    /// When the KV can't be reached in time, or the key is too long: as for all reads.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.query(self.consistency, KvQuery::Get { key: key.to_vec() })? {
            KvFound::Value(value) => Ok(value),
            other => Err(nonsense(&other)),
        }
    }

    /// Whether a key is there.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub fn exists(&mut self, key: &[u8]) -> Result<bool, Error> {
        match self.query(self.consistency, KvQuery::Exists { key: key.to_vec() })? {
            KvFound::Exists(exists) => Ok(exists),
            other => Err(nonsense(&other)),
        }
    }

    /// The values of several keys, in their order. Those that fit one answer, of at most 1,000 keys and 4 MiB, are of one
    /// moment; others of moments thereafter.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub fn multi_get(&mut self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut values = Vec::with_capacity(keys.len());
        while values.len() < keys.len() {
            values.extend(self.first_values(&keys[values.len()..])?);
        }
        Ok(values)
    }

    /// The values of the first of several keys, one at least: as many as fit one answer. For those who have no memory for all.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub fn first_values(&mut self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let asked = keys[..keys.len().min(MAX_ASKED_KEYS)].to_vec();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let most = asked.len();
        match self.query(self.consistency, KvQuery::MultiGet { keys: asked })? {
            KvFound::Values(page) if (1..=most).contains(&page.len()) => Ok(page),
            other => Err(nonsense(&other)),
        }
    }

    /// How many keys a range holds. Each 100,000 are counted at one moment.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub fn count(&mut self, mut range: KvRange) -> Result<u64, Error> {
        let mut count = 0;
        loop {
            match self.query(self.consistency, KvQuery::Count { range: range.clone() })? {
                KvFound::Count { keys, next: None } => return Ok(count + keys),
                KvFound::Count { keys, next: Some(next) } if keys > 0 => {
                    count += keys;
                    range.first = std::ops::Bound::Included(next);
                }
                other => return Err(nonsense(&other)),
            }
        }
    }

    /// The pairs of a range, page by page; from the last down where `is_reverse`.
    pub fn range(&mut self, range: KvRange, is_reverse: bool) -> Pairs<'_> {
        Pairs::new(self, range, is_reverse)
    }

    /// The keys of a range, page by page.
    pub fn keys(&mut self, range: KvRange, is_reverse: bool) -> Keys<'_> {
        Keys::new(self, range, is_reverse)
    }

    /// The pairs whose keys start with a prefix.
    pub fn prefix(&mut self, prefix: &[u8]) -> Pairs<'_> {
        self.range(KvRange::prefix(prefix), false)
    }

    /// Does steps, all or none. One answer for each of the list, nested sequences included.
    ///
    /// # Errors
    /// [`Error::Step`] names the step that failed: nothing was changed.
    pub fn sequence(&mut self, steps: Steps) -> Result<Vec<StepAnswer>, Error> {
        self.steps(steps.command())
    }

    fn steps(&mut self, command: KvCommand) -> Result<Vec<StepAnswer>, Error> {
        match self.command(command)? {
            KvAnswer::Applied { answers, .. } => Ok(answers),
            other => Err(nonsense(&other)),
        }
    }

    fn step(&mut self, step: KvStep) -> Result<StepAnswer, Error> {
        let mut answers = self.steps(KvCommand::Steps(vec![step]))?;
        answers.pop().ok_or_else(|| nonsense(&"no answer to a step"))
    }

    fn value_of(&mut self, step: KvStep) -> Result<Option<Vec<u8>>, Error> {
        match self.step(step)? {
            StepAnswer::Value(before) => Ok(before),
            other => Err(nonsense(&other)),
        }
    }

    /// Sets a key.
    ///
    /// # Errors
    /// When the KV can't be reached in time, or a bound is broken: as for all changes.
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.step(KvStep::Set { key: key.to_vec(), value: value.to_vec() }).map(drop)
    }

    /// Deletes a key; one that isn't there is as good as deleted.
    ///
    /// # Errors
    /// As for [`Client::set`].
    pub fn delete(&mut self, key: &[u8]) -> Result<(), Error> {
        self.step(KvStep::Delete { key: key.to_vec() }).map(drop)
    }

    /// Sets a key, or deletes it, if it has the value that is expected. The value before, whatever was done: it was done
    /// if that is the expected one.
    ///
    /// # Errors
    /// As for [`Client::set`].
    pub fn test_and_set(
        &mut self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (expected, value) = (expected.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
        self.value_of(KvStep::TestAndSet { key: key.to_vec(), expected, value })
    }

    /// Sets a key, or deletes it. The value before.
    ///
    /// # Errors
    /// As for [`Client::set`].
    pub fn replace(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.value_of(KvStep::Replace { key: key.to_vec(), value: value.map(<[u8]>::to_vec) })
    }

    /// Fails unless the key has this value; `None`: unless it isn't there.
    ///
    /// # Errors
    /// [`Error::Step`] when it doesn't hold.
    pub fn assert(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        self.step(KvStep::Assert { key: key.to_vec(), value: value.map(<[u8]>::to_vec) }).map(drop)
    }

    /// Fails unless the key is there.
    ///
    /// # Errors
    /// [`Error::Step`] when it isn't.
    pub fn assert_exists(&mut self, key: &[u8]) -> Result<(), Error> {
        self.step(KvStep::AssertExists { key: key.to_vec() }).map(drop)
    }

    /// Fails unless the range holds this and nothing else.
    ///
    /// # Errors
    /// [`Error::Step`] with the first key that differs.
    pub fn assert_range(&mut self, range: KvRange, expected: KvExpected) -> Result<(), Error> {
        self.step(KvStep::AssertRange { range, expected }).map(drop)
    }

    /// Deletes all keys that start with a prefix; how many that were. Each 10,000 are one change: others may see what is
    /// left between them, and what ends early has deleted the first of them.
    ///
    /// # Errors
    /// As for [`Client::set`].
    pub fn delete_prefix(&mut self, prefix: &[u8]) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            let keys_max = MAX_DELETED_KEYS as u32;
            match self.step(KvStep::DeletePrefix { prefix: prefix.to_vec(), keys_max })? {
                StepAnswer::Deleted { keys, more } => {
                    deleted += u64::from(keys);
                    if !more {
                        return Ok(deleted);
                    }
                }
                other => return Err(nonsense(&other)),
            }
        }
    }
}
