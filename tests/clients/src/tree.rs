//! What is in a directory, to see that nothing of it was touched.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Every path in a directory with a digest of what it holds. The KV's folder is left out: its log begins anew at every
/// start, also at one that is refused because of what the KV says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contents(BTreeMap<PathBuf, u64>);

impl Contents {
    /// Looks at everything but the KV.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut contents = Contents(BTreeMap::new());
        contents.add(root)?;
        Ok(contents)
    }

    fn add(&mut self, folder: &Path) -> Result<()> {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let path = entry.path();
            let mut digest = DefaultHasher::new();
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "kv" {
                    self.add(&path)?;
                }
            } else if entry.file_type()?.is_file() {
                std::fs::read(&path)?.hash(&mut digest);
            }
            self.0.insert(path, digest.finish());
        }
        Ok(())
    }

    /// Checks that all is as it was.
    pub(crate) fn check_untouched(&self, root: &Path) -> Result<()> {
        let now = Contents::of(root)?;
        let changed = |(path, digest): &(&PathBuf, &u64)| now.0.get(*path) != Some(*digest);
        let changed: Vec<_> = self.0.iter().filter(changed).map(|(path, _)| path).collect();
        let fresh: Vec<_> = now.0.keys().filter(|path| !self.0.contains_key(*path)).collect();
        ensure!(changed.is_empty() && fresh.is_empty(), "touched: {changed:?}; new: {fresh:?}");
        Ok(())
    }
}
