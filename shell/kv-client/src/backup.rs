//! Taking a backup while others write.
//!
//! A backup of a group is pages of pairs, each read as it was when its turn came, and then everything that was changed since
//! the first page, again and again until an answer shows nothing newer: from then on it is the map as it was at that
//! answer's index.

use std::io::{self, Write};

use formats::kv_backup::UNDER_WAY;
use formats::kv_backup::{BackupError, BackupPart, BackupWriter};
use formats::kv_client::WATCH_WAIT;
use formats::kv_limits::MAX_RANGE_PAIRS;
use formats::kv_scope;
use formats::message::kv::{Consistency, KvFound, KvQuery};
use formats::message::kv_range::KvRange;
use formats::registry::{self, ClusterRecord};
use glossary::{ClusterIdentity, GroupId, VdiskId};

use crate::client::{Client, Scope, nonsense};
use crate::error::Error;
use crate::pages::Pair;

/// Commands after which changes are written before the next page: a member remembers many more.
const BEHIND_MAX: u64 = 8192;

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The index of the last command that the backup holds of the first group.
    pub index: u64,
    /// How many groups it holds beside that.
    pub groups: usize,
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
    /// It holds several groups, and one is to be restored into.
    #[error("the backup holds several groups: restore it into the KV as a whole, without naming a group")]
    OfGroups,
    /// It holds the records of another cluster.
    #[error(
        "the backup holds the records of cluster {0}, and this is another, whose disks hold nothing of what they tell: keys of \
         users can be restored here, from a backup of them alone"
    )]
    OtherCluster(ClusterIdentity),
    /// A restore has not ended.
    #[error("a restore is under way here, or was interrupted: finish it first")]
    HalfRestored,
    /// Groups are of moments of their own: a vDisk that was made between two of them would be in one and not in another, and
    /// its number be given again.
    #[error("a vDisk was made while the backup was taken: take it again")]
    VdiskMade,
    /// Another restore was begun and has not ended.
    #[error(
        "the restore of another backup has begun here and not ended: finish that, or begin with a new KV"
    )]
    AnotherUnderWay,
}

impl Client {
    /// Takes a backup of what this client is for ([`Client::within`]), into a file of its own: of all groups, or of the one
    /// that it was told to use ([`Client::use_group`]). Each is held as it was at one index: one of after it was asked for, but
    /// where it reads otherwise than [`Consistency::Linearizable`] ([`Client::read_with`]) of whenever a member was there.
    ///
    /// # Errors
    /// What is written by then is no backup, and says so when it is read.
    pub fn back_up(&mut self, out: &mut dyn Write) -> Result<Taken, BackupFailure> {
        self.check_whole()?;
        let next_vdisk = self.next_vdisk()?;
        let groups = match self.group() {
            GroupId::ROOT => self.groups_as_of(self.index())?,
            _ => Vec::new(),
        };
        self.check_whole()?;
        // With the answer, the cluster is known too.
        let (cluster, is_whole) = (self.cluster(), self.scope == Scope::Whole);
        let (writer, page) = BackupWriter::begin(cluster, is_whole, !groups.is_empty());
        let mut taking = Taking { writer, out, bytes: 0 };
        taking.write(&page)?;
        let index = self.back_up_group(&mut taking)?;
        if !groups.is_empty() {
            let taken = groups.iter().try_for_each(|group| {
                taking.part(&BackupPart::Group { name: group.name.clone() })?;
                self.turn_to(group.group);
                self.back_up_group(&mut taking).map(drop)
            });
            self.turn_to(GroupId::ROOT);
            taken?;
            if self.next_vdisk()? != next_vdisk {
                return Err(BackupFailure::VdiskMade);
            }
            taking.part(&BackupPart::All)?;
        }
        taking.out.flush().map_err(BackupFailure::Write)?;
        Ok(Taken { index, groups: groups.len(), bytes: taking.bytes })
    }

    /// The number of the cluster's next vDisk, where the records of a cluster are there and backed up.
    fn next_vdisk(&mut self) -> Result<Option<VdiskId>, Error> {
        if self.scope != Scope::Whole || self.group() != GroupId::ROOT {
            return Ok(None);
        }
        let record = self.get(registry::CLUSTER_KEY)?;
        let record: Option<ClusterRecord> = record.and_then(|record| registry::decode(&record));
        Ok(record.map(|record| record.next_vdisk))
    }

    /// Refuses a group that is half of something else.
    fn check_whole(&mut self) -> Result<(), BackupFailure> {
        let of_users = [kv_scope::USER_PREFIX, UNDER_WAY].concat();
        let is_half = self.exists(UNDER_WAY)? || self.scope == Scope::Whole && self.exists(&of_users)?;
        if is_half { Err(BackupFailure::HalfRestored) } else { Ok(()) }
    }

    /// Writes what one group has, at one index: that one.
    fn back_up_group(&mut self, taking: &mut Taking<'_>) -> Result<u64, BackupFailure> {
        let (mut rest, mut written) = (Some(KvRange::ALL), None);
        while let Some(range) = rest {
            let (pairs, more) = self.page(range.clone(), written.is_none())?;
            rest = pairs.last().filter(|_| more).map(|(last, _)| range.behind(last.clone(), false));
            taking.part(&BackupPart::Pairs(pairs))?;
            let through = *written.get_or_insert(self.index());
            if self.index() > through + BEHIND_MAX {
                written = Some(self.write_changes(through, taking)?);
            }
        }
        let index = self.write_changes(written.unwrap_or(self.index()), taking)?;
        // A restore may have been under way from before the first page, or have begun since.
        self.check_whole()?;
        taking.part(&BackupPart::End { index })?;
        Ok(index)
    }

    fn page(&mut self, range: KvRange, is_first: bool) -> Result<(Vec<Pair>, bool), Error> {
        let limit = MAX_RANGE_PAIRS as u32;
        let query = KvQuery::Page { range, is_reverse: false, keys_only: false, limit };
        let consistency = if is_first { self.consistency } else { self.no_older() };
        match self.query(consistency, query)? {
            KvFound::Pairs { pairs, more } => Ok((pairs, more)),
            other => Err(nonsense(&other)),
        }
    }

    /// How it goes on reading: another member that answers may be behind the one that did before.
    fn no_older(&self) -> Consistency {
        match self.consistency {
            Consistency::Linearizable => Consistency::Linearizable,
            _ => Consistency::AtLeast(self.index()),
        }
    }

    /// Writes what commands behind `after` changed, until what is written is the map at one index: that one.
    fn write_changes(&mut self, mut after: u64, taking: &mut Taking<'_>) -> Result<u64, BackupFailure> {
        while after < self.index() {
            let watch = KvQuery::Watch { prefix: Vec::new(), after };
            match self.query_longer(WATCH_WAIT, self.no_older(), watch)? {
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
