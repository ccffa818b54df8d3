//! Restoring a backup: commands into empty maps. One that was interrupted is taken up again.
//!
//! A key says in each map that a restore is under way there, and of what. All maps have it before anything is set in one of
//! them, so none that is in use is taken for one of the restore's. Once all have everything the first one's says that, and
//! the keys go, the first one's last.

use std::time::Instant;

use checksum::crc32c;
use formats::kv_backup::UNDER_WAY;
use formats::kv_backup::{Backup, Section};
use formats::message::kv_range::KvRange;
use formats::registry::{self, ClusterRecord};
use glossary::GroupId;

use crate::backup::BackupFailure;
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
        let name = format!("backup {:08x} of {} at {}", crc32c(file), backup.cluster, backup.first.index);
        let (name, filled) = (name.clone().into_bytes(), (name + ", filled").into_bytes());
        if self.get(UNDER_WAY)?.as_ref() != Some(&filled) {
            self.begin_restore(&name, &backup)?;
            self.in_groups(&backup, |client, section| client.fill(section))?;
            self.fill(&backup.first)?;
            let before = self.test_and_set(UNDER_WAY, Some(&name), Some(&filled))?;
            if before.as_ref() != Some(&name) {
                return Err(BackupFailure::AnotherUnderWay);
            }
        }
        self.in_groups(&backup, |client, _| client.delete(UNDER_WAY))?;
        self.delete(UNDER_WAY)?;
        Ok(self.count_of(&backup))
    }

    /// Does something in each of the other groups.
    fn in_groups(
        &mut self,
        backup: &Backup,
        mut act: impl FnMut(&mut Self, &Section) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (group, section) in &backup.groups {
            let done = self.use_made(group).and_then(|()| act(self, section));
            self.turn_to(GroupId::ROOT);
            done?;
        }
        Ok(())
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

    /// Sets all pairs of a group.
    fn fill(&mut self, section: &Section) -> Result<(), Error> {
        let (mut steps, mut bytes, scope) = (Steps::new(), 0, self.scope);
        for (key, value) in section.pairs.iter().filter(|(key, _)| is_restored(scope, key)) {
            if steps.len() == STEPS || bytes > STEP_BYTES {
                self.sequence(std::mem::take(&mut steps))?;
                bytes = 0;
            }
            bytes += key.len() + value.len();
            steps = steps.set(key.clone(), value.clone());
        }
        if steps.is_empty() { Ok(()) } else { self.sequence(steps).map(drop) }
    }

    /// How many pairs a backup restores.
    fn count_of(&self, backup: &Backup) -> u64 {
        let sections = backup.groups.values().chain([&backup.first]);
        sections.flat_map(|section| section.pairs.keys()).filter(|key| is_restored(self.scope, key)).count()
            as u64
    }

    /// Says in all maps that it is under way, unless that was said before. Where one holds something, it is said nowhere.
    fn begin_restore(&mut self, name: &[u8], backup: &Backup) -> Result<(), BackupFailure> {
        let was_begun = self.get(UNDER_WAY)?.is_some();
        // With the answer, the cluster is known.
        let record = backup.first.pairs.get(registry::CLUSTER_KEY).filter(|_| backup.is_whole);
        let record: Option<ClusterRecord> = record.and_then(|record| registry::decode(record));
        if let Some(other) = record.filter(|record| record.identity != self.cluster()) {
            return Err(BackupFailure::OtherCluster(other.identity));
        }
        self.mark(name)?;
        let mut marked = Vec::new();
        for group in backup.groups.keys() {
            let begun = self.make_group(group).map_err(Into::into);
            let begun = begun.and_then(|()| Ok(self.use_made(group)?)).and_then(|()| self.mark(name));
            self.turn_to(GroupId::ROOT);
            if let Err(failure) = begun {
                // One that was begun and interrupted may have come no further than this one.
                if !was_begun || self.hold_nothing(&marked)? {
                    self.unmark(&marked)?;
                }
                return Err(failure);
            }
            marked.push(group.as_str());
        }
        Ok(())
    }

    /// Whether the first map and those of groups hold nothing but that a restore is under way.
    fn hold_nothing(&mut self, groups: &[&str]) -> Result<bool, Error> {
        let mut is_nothing = self.first_key()?.is_none();
        for group in groups {
            let first = self.use_made(group).and_then(|()| self.first_key());
            self.turn_to(GroupId::ROOT);
            is_nothing &= first?.is_none();
        }
        Ok(is_nothing)
    }

    /// Takes back that a restore is under way: nothing was restored yet.
    fn unmark(&mut self, groups: &[&str]) -> Result<(), Error> {
        for group in groups {
            let done = self.use_made(group).and_then(|()| self.delete(UNDER_WAY));
            self.turn_to(GroupId::ROOT);
            done?;
        }
        self.delete(UNDER_WAY)
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

    /// The first key that is not the group's own, nor says that a restore is under way.
    fn first_key(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let scope = self.scope;
        let mut keys = self.keys(KvRange::ALL, false);
        let is_meant = |key: &[u8]| key != UNDER_WAY && is_restored(scope, key);
        keys.find(|key| key.as_ref().map_or(true, |key| is_meant(key))).transpose()
    }
}

/// Whether a key is restored: not what a whole map says of its own servers, members and groups.
fn is_restored(scope: Scope, key: &[u8]) -> bool {
    scope != Scope::Whole || !formats::kv_scope::GROUP_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}
