//! Putting a sequence together.

use formats::message::kv::{KvCommand, KvExpected, KvStep};
use formats::message::kv_range::KvRange;

/// Steps that are done in order, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    steps: Vec<KvStep>,
}

impl Steps {
    /// None yet.
    pub fn new() -> Self {
        Steps::default()
    }

    /// A step of any kind.
    #[must_use]
    pub fn step(mut self, step: KvStep) -> Self {
        self.steps.push(step);
        self
    }

    /// Sets a key.
    #[must_use]
    pub fn set(self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.step(KvStep::Set { key: key.into(), value: value.into() })
    }

    /// Deletes a key, if it is there.
    #[must_use]
    pub fn delete(self, key: impl Into<Vec<u8>>) -> Self {
        self.step(KvStep::Delete { key: key.into() })
    }

    /// Fails unless the key has this value; `None`: unless it isn't there.
    #[must_use]
    pub fn assert(self, key: impl Into<Vec<u8>>, value: Option<&[u8]>) -> Self {
        self.step(KvStep::Assert { key: key.into(), value: value.map(<[u8]>::to_vec) })
    }

    /// Fails unless the key is there.
    #[must_use]
    pub fn assert_exists(self, key: impl Into<Vec<u8>>) -> Self {
        self.step(KvStep::AssertExists { key: key.into() })
    }

    /// Fails unless the range holds this and nothing else.
    #[must_use]
    pub fn assert_range(self, range: KvRange, expected: KvExpected) -> Self {
        self.step(KvStep::AssertRange { range, expected })
    }

    /// Steps that count as one, for the path of one that fails.
    #[must_use]
    pub fn nested(mut self, steps: Steps) -> Self {
        self.steps.push(KvStep::Nested { steps: steps.steps.len() as u32 });
        self.steps.extend(steps.steps);
        self
    }

    /// How many, nested ones and what stands in them included.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The command.
    pub fn command(self) -> KvCommand {
        KvCommand::Steps(self.steps)
    }
}
