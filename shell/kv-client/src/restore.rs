//! Restoring a backup: commands into empty maps. One that was interrupted is taken up again.
//!
//! A key says in each map that a restore is under way there. In the first group's map it stands until all groups have
//! theirs: so a group that has something, and not that key, has everything.

use std::time::Instant;

use formats::kv_backup::{Backup, Section};
use formats::message::kv_range::KvRange;
use formats::registry::{self, ClusterRecord};
use glossary::GroupId;

use crate::backup::{BackupFailure, UNDER_WAY};
use crate::client::{Client, Scope};
use crate::error::Error;
use crate::groups::PAUSE;
use crate::steps::Steps;

/// Pairs that one command restores, and bytes of them.
const STEPS: usize = 500;
const STEP_BYTES: usize = 1 << 20;

impl Client {
    /// Restores a backup into empty maps, or goes on with a restore of it that was interrupted. Groups that it holds are
    /// made, which takes an administrator's certificate. Gives the number of pairs. Until it has ended, what is there is a
    /// part.
    ///
    /// # Errors
    /// Refuses maps that hold something; what a whole map has of its own servers, members and groups is left alone.
    pub fn restore(&mut self, file: &bytes::Bytes) -> Result<u64, BackupFailure> {
        let backup = Backup::read(file)?;
        match (backup.is_whole, self.scope) {
            (true, Scope::Users) => return Err(BackupFailure::OtherScope("the whole map")),
            (false, Scope::Whole) => return Err(BackupFailure::OtherScope("users' keys")),
            _ => {}
        }
        if !backup.groups.is_empty() && self.group() != GroupId::ROOT {
            return Err(BackupFailure::OfGroups);
        }
        let name = format!("backup of {} at {}", backup.cluster, backup.first.index).into_bytes();
        self.begin_restore(&name, &backup)?;
        let mut count = self.fill(&backup.first)?;
        for (group, section) in &backup.groups {
            let restored = self.restore_group(group, section, &name);
            self.turn_to(GroupId::ROOT);
            count += restored?;
        }
        self.end_restore(&name)?;
        Ok(count)
    }

    /// Makes a group, and restores what is its own. Nothing, where that was done before.
    fn restore_group(&mut self, group: &str, section: &Section, name: &[u8]) -> Result<u64, BackupFailure> {
        self.make_group(group)?;
        self.use_made(group)?;
        match self.mark(name) {
            Ok(()) => {}
            Err(BackupFailure::NotEmpty(_)) => return Ok(0),
            Err(other) => return Err(other),
        }
        let count = self.fill(section)?;
        self.end_restore(name)?;
        Ok(count)
    }

    /// Uses a group that was made a moment ago: the member that is asked may not know it yet.
    fn use_made(&mut self, group: &str) -> Result<(), Error> {
        let until = Instant::now() + self.patience;
        loop {
            match self.use_group(group) {
                Err(Error::NoGroup(_)) if Instant::now() < until => std::thread::sleep(PAUSE),
                other => return other,
            }
        }
    }

    /// Sets all pairs of a group. How many.
    fn fill(&mut self, section: &Section) -> Result<u64, Error> {
        let (mut count, mut steps, mut bytes) = (0, Steps::new(), 0);
        let is_whole = self.scope == Scope::Whole;
        for (key, value) in section.pairs.iter().filter(|(key, _)| !(is_whole && is_groups_own(key))) {
            if steps.len() == STEPS || bytes > STEP_BYTES {
                self.sequence(std::mem::take(&mut steps))?;
                bytes = 0;
            }
            bytes += key.len() + value.len();
            steps = steps.set(key.clone(), value.clone());
            count += 1;
        }
        if !steps.is_empty() {
            self.sequence(steps)?;
        }
        Ok(count)
    }

    /// Looks whether everything can be restored, unless that was begun before, and says that it is under way.
    fn begin_restore(&mut self, name: &[u8], backup: &Backup) -> Result<(), BackupFailure> {
        let under_way = self.get(UNDER_WAY)?;
        // With the answer, the cluster is known.
        let record = backup.first.pairs.get(registry::CLUSTER_KEY).filter(|_| backup.is_whole);
        let record: Option<ClusterRecord> = record.and_then(|record| registry::decode(record));
        if let Some(other) = record.filter(|record| record.identity != self.cluster()) {
            return Err(BackupFailure::OtherCluster(other.identity));
        }
        if under_way.is_none() && !backup.groups.is_empty() {
            let there = self.groups()?.into_iter().filter(|group| backup.groups.contains_key(&group.name));
            for group in there.collect::<Vec<_>>() {
                self.turn_to(group.group);
                let first = self.first_key();
                self.turn_to(GroupId::ROOT);
                if let Some(key) = first? {
                    return Err(BackupFailure::NotEmpty(key));
                }
            }
        }
        self.mark(name)
    }

    /// Says in a map that holds nothing that a restore is under way; nothing, where that was said before.
    fn mark(&mut self, name: &[u8]) -> Result<(), BackupFailure> {
        match self.get(UNDER_WAY)? {
            Some(other) if other != name => return Err(BackupFailure::AnotherUnderWay),
            Some(_) => return Ok(()),
            None => {}
        }
        if let Some(key) = self.first_key()? {
            return Err(BackupFailure::NotEmpty(key));
        }
        match self.test_and_set(UNDER_WAY, None, Some(name))? {
            Some(other) if other != name => Err(BackupFailure::AnotherUnderWay),
            _ => Ok(()),
        }
    }

    fn end_restore(&mut self, name: &[u8]) -> Result<(), Error> {
        self.sequence(Steps::new().assert(UNDER_WAY, Some(name)).delete(UNDER_WAY)).map(drop)
    }

    /// The first key that is not the group's own.
    fn first_key(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let is_whole = self.scope == Scope::Whole;
        for key in self.keys(KvRange::ALL, false) {
            let key = key?;
            if !(is_whole && is_groups_own(&key)) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

/// Whether a key of the map is about the servers and members that keep it, and about no others.
fn is_groups_own(key: &[u8]) -> bool {
    formats::kv_scope::GROUP_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}
