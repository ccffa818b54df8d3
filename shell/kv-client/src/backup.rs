//! Taking a backup while others write, and restoring one.
//!
//! A backup is pages of pairs, each read as it was when its turn came, and then everything that was changed since the
//! first page, again and again until an answer shows nothing newer: from then on it is the map as it was at that answer's
//! index. A restore is commands into an empty map; one that was interrupted is taken up again.

use std::io::{self, Write};

use formats::kv_backup::{Backup, BackupError, BackupPart, BackupWriter};
use formats::kv_client::WATCH_WAIT;
use formats::kv_limits::MAX_RANGE_PAIRS;
use formats::message::kv::{Consistency, KvFound, KvQuery};
use formats::message::kv_range::KvRange;

use crate::client::{Client, Scope, nonsense};
use crate::error::Error;
use crate::pages::Pair;
use crate::steps::Steps;

/// Pairs that one command restores, and bytes of them.
const STEPS: usize = 500;
const STEP_BYTES: usize = 1 << 20;

/// The key that says that a restore is under way, and of what. No text begins like it.
const UNDER_WAY: &[u8] = b"\xff\xffrestore under way";

/// Commands after which changes are written before the next page: a member remembers many more.
const BEHIND_MAX: u64 = 8192;

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The index of the last command that the backup holds.
    pub index: u64,
    /// Bytes of its file.
    pub bytes: u64,
}

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupFailure {
    /// The KV.
    #[error(transparent)]
    Kv(#[from] Error),
    /// The file that is written.
    #[error("the backup can't be written: {0}")]
    Write(io::Error),
    /// The file that is read.
    #[error(transparent)]
    Read(#[from] BackupError),
    /// More was changed than members remember.
    #[error("more was changed at once than the KV remembers: take the backup again, or when less is written")]
    Missed,
    /// It was taken of another part of the map than what is to be restored.
    #[error("the backup holds {0}: restore it as that")]
    OtherScope(&'static str),
    /// Something is there.
    #[error("the KV is not empty (there is key \"{}\"): a backup is restored into a new one", .0.escape_ascii())]
    NotEmpty(Vec<u8>),
    /// A restore has not ended.
    #[error("a restore is under way here, or was interrupted: finish it first")]
    HalfRestored,
    /// Another restore was begun and has not ended.
    #[error(
        "the restore of another backup has begun here and not ended: finish that, or begin with a new KV"
    )]
    AnotherUnderWay,
}

impl Client {
    /// Takes a backup of what this client is for ([`Client::within`]), into a file of its own.
    ///
    /// # Errors
    /// What is written by then is no backup, and says so when it is read.
    pub fn back_up(&mut self, out: &mut dyn Write) -> Result<Taken, BackupFailure> {
        // With the answer, the cluster is known too.
        if self.exists(UNDER_WAY)? {
            return Err(BackupFailure::HalfRestored);
        }
        let (writer, page) = BackupWriter::begin(self.cluster(), self.scope == Scope::Whole);
        let mut taking = Taking { writer, out, bytes: 0 };
        taking.write(&page)?;
        let (mut rest, mut written) = (Some(KvRange::ALL), None);
        while let Some(range) = rest {
            let (pairs, more) = self.page(range.clone())?;
            rest = pairs.last().filter(|_| more).map(|(last, _)| range.behind(last.clone(), false));
            taking.part(&BackupPart::Pairs(pairs))?;
            let through = *written.get_or_insert(self.index());
            if self.index() > through + BEHIND_MAX {
                written = Some(self.write_changes(through, &mut taking)?);
            }
        }
        let index = self.write_changes(written.unwrap_or(self.index()), &mut taking)?;
        taking.part(&BackupPart::End { index })?;
        taking.out.flush().map_err(BackupFailure::Write)?;
        Ok(Taken { index, bytes: taking.bytes })
    }

    fn page(&mut self, range: KvRange) -> Result<(Vec<Pair>, bool), Error> {
        let limit = MAX_RANGE_PAIRS as u32;
        let query = KvQuery::Page { range, is_reverse: false, keys_only: false, limit };
        match self.query(Consistency::Linearizable, query)? {
            KvFound::Pairs { pairs, more } => Ok((pairs, more)),
            other => Err(nonsense(&other)),
        }
    }

    /// Writes what commands behind `after` changed, until what is written is the map at one index: that one.
    fn write_changes(&mut self, mut after: u64, taking: &mut Taking<'_>) -> Result<u64, BackupFailure> {
        while after < self.index() {
            let watch = KvQuery::Watch { prefix: Vec::new(), after };
            match self.query_longer(WATCH_WAIT, Consistency::Linearizable, watch)? {
                KvFound::Changes { through, changes } if through >= after => {
                    taking.part(&BackupPart::Changes(changes))?;
                    after = through;
                }
                KvFound::Missed => return Err(BackupFailure::Missed),
                other => return Err(nonsense(&other).into()),
            }
        }
        Ok(after)
    }

    /// Restores a backup into an empty map, or goes on with a restore of it that was interrupted. Gives the number of
    /// pairs. Until it has ended, what is there is a part.
    ///
    /// # Errors
    /// Refuses a map that holds something; what a whole map has of its own servers and members is left alone.
    pub fn restore(&mut self, file: &bytes::Bytes) -> Result<u64, BackupFailure> {
        let backup = Backup::read(file)?;
        match (backup.is_whole, self.scope) {
            (true, Scope::Users) => return Err(BackupFailure::OtherScope("the whole map")),
            (false, Scope::Whole) => return Err(BackupFailure::OtherScope("users' keys")),
            _ => {}
        }
        let name = format!("backup of {} at {}", backup.cluster, backup.index).into_bytes();
        self.begin_restore(&name)?;
        let (mut count, mut steps, mut bytes) = (0, Steps::new(), 0);
        for (key, value) in backup.pairs.iter().filter(|(key, _)| !(backup.is_whole && is_groups_own(key))) {
            if steps.len() == STEPS || bytes > STEP_BYTES {
                self.sequence(std::mem::take(&mut steps))?;
                bytes = 0;
            }
            bytes += key.len() + value.len();
            steps = steps.set(key.clone(), value.clone());
            count += 1;
        }
        self.sequence(steps.assert(UNDER_WAY, Some(&name)).delete(UNDER_WAY))?;
        Ok(count)
    }

    fn begin_restore(&mut self, name: &[u8]) -> Result<(), BackupFailure> {
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

/// A backup being written.
struct Taking<'a> {
    writer: BackupWriter,
    out: &'a mut dyn Write,
    bytes: u64,
}

impl Taking<'_> {
    fn part(&mut self, part: &BackupPart) -> Result<(), BackupFailure> {
        let pieces = self.writer.part(part);
        pieces.iter().try_for_each(|piece| self.write(piece))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupFailure> {
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(BackupFailure::Write)
    }
}
