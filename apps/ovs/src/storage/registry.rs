//! The cluster's record in the KV: made at the first start, read at every other.

use formats::kv_backup::UNDER_WAY;
use formats::message::kv::{KvAnswer, KvCommand, KvError, KvFound, KvQuery, KvStep};
use formats::registry::{self, ClusterRecord, VdiskRecord};
use glossary::{BufferIdentity, ByteCount, VdiskName};
use serde::de::DeserializeOwned;
use step::Entropy;

use super::asker::Asker;
use super::folders::{self, BufferState};
use super::layout::Layout;
use super::namespaces;
use crate::failure::{ExitCode, Failure};

/// Keys of one page of the registry.
const PAGE: u32 = 1000;

/// Stores the record of a new cluster.
pub(crate) fn store(asker: &mut Asker, record: &ClusterRecord) -> Result<(), Failure> {
    let key = namespaces::key();
    let sets = [
        Replaced { key: registry::CLUSTER_KEY, known: None, new: registry::encode(record) },
        namespaces::of_new_cluster(&key),
    ];
    match replace(asker, &sets)? {
        true => Ok(()),
        false => Err(Failure::refused("the KV holds the record of a cluster already")),
    }
}

/// Reads the record, which is there.
pub(crate) fn load(asker: &mut Asker) -> Result<ClusterRecord, Failure> {
    let record = read(asker, registry::CLUSTER_KEY)?;
    record.ok_or_else(|| Failure::refused("the KV holds no record of this cluster"))
}

/// Reads a record, if it is there.
pub(crate) fn read<T: DeserializeOwned>(asker: &mut Asker, key: &[u8]) -> Result<Option<T>, Failure> {
    let found = match asker.query(KvQuery::Get { key: key.to_vec() })? {
        KvAnswer::Value(Some(bytes)) => registry::decode(&bytes).map(Some),
        KvAnswer::Value(None) => Some(None),
        _ => None,
    };
    let key = key.escape_ascii();
    found.ok_or_else(|| Failure::refused(format!("the KV's record {key} is none that this ovs can read")))
}

/// Waits for the end of a restore: what is there before it is a part, and whoever counts on it takes for lost what is to come.
///
/// # Errors
/// [`Failure::not_yet`] while one is under way.
pub(crate) fn expect_whole(asker: &mut Asker) -> Result<(), Failure> {
    match asker.query(KvQuery::Exists { key: UNDER_WAY.to_vec() })? {
        KvAnswer::Read { found: KvFound::Exists(false), .. } => Ok(()),
        _ => Err(Failure::not_yet(
            "a restore of the KV is under way, or was interrupted: repeat ovs kv restore with the same file",
        )),
    }
}

/// Puts records in the place of what is known of them, all or none; whether that is still so, and no restore is under way.
pub(crate) fn replace(asker: &mut Asker, records: &[Replaced<'_>]) -> Result<bool, Failure> {
    let steps = records.iter().flat_map(|Replaced { key, known, new }| {
        let assert = KvStep::Assert { key: key.to_vec(), value: known.clone() };
        [assert, KvStep::Set { key: key.to_vec(), value: new.clone() }]
    });
    let is_whole = KvStep::Assert { key: UNDER_WAY.to_vec(), value: None };
    match asker.command(KvCommand::Sequence([is_whole].into_iter().chain(steps).collect()))? {
        KvAnswer::Done(_) => Ok(true),
        KvAnswer::Failed(KvError::Assert { .. }) => Ok(false),
        answer => Err(not_stored(&answer)),
    }
}

/// A record that is to be replaced.
pub(crate) struct Replaced<'a> {
    pub(crate) key: &'a [u8],
    /// As it is known; none where there is none.
    pub(crate) known: Option<Vec<u8>>,
    /// As it is to be.
    pub(crate) new: Vec<u8>,
}

fn not_stored(answer: &KvAnswer) -> Failure {
    Failure::new(ExitCode::Failed, format!("the KV refused to store the cluster: {answer:?}"))
}

/// A vDisk's key, the bytes of its record, and the record.
pub(crate) type StoredVdisk = (Vec<u8>, Vec<u8>, VdiskRecord);

/// Every vDisk's record, with the bytes that hold it.
pub(crate) fn vdisks(asker: &mut Asker) -> Result<Vec<StoredVdisk>, Failure> {
    let mut vdisks = Vec::new();
    let mut from = registry::VDISK_PREFIX.to_vec();
    loop {
        let query = KvQuery::Range { prefix: registry::VDISK_PREFIX.to_vec(), from, limit: PAGE };
        let KvAnswer::Range { pairs, more } = asker.query(query)? else {
            return Err(Failure::new(ExitCode::Failed, "the KV does not answer what was asked"));
        };
        let last = pairs.last().map(|(key, _)| key.clone());
        for (key, value) in pairs {
            let record = registry::decode(&value)
                .ok_or_else(|| Failure::refused("the KV holds a vDisk's record that this ovs can't read"))?;
            vdisks.push((key, value, record));
        }
        match last.filter(|_| more) {
            Some(mut next) => {
                next.push(0);
                from = next;
            }
            None => return Ok(vdisks),
        }
    }
}

/// Where it is said which vDisks there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SaidBy {
    /// Flags of this start.
    Flags,
    /// A file that says the same at every start, so that what it names may have grown since.
    Configuration,
}

impl SaidBy {
    fn contradiction(self, name: &VdiskName, wanted: ByteCount, there: ByteCount) -> Option<String> {
        match self {
            SaidBy::Flags if there != wanted => Some(format!(
                "--vdisk {name}:{wanted} contradicts the vDisk that is there: it has {there}; leave the flag out, or grow it \
                 with ovs vdisk resize"
            )),
            SaidBy::Configuration if there < wanted => Some(format!(
                "{name}:{wanted} in [volume-driver] vdisks contradicts the vDisk that is there: it has {there}; say that \
                 there, or nothing, and grow it with ovs vdisk resize once this server runs"
            )),
            _ => None,
        }
    }
}

/// Refuses vDisks that are there with another size than the one asked for.
pub(crate) fn check_vdisks(
    asker: &mut Asker,
    wanted: &[(VdiskName, ByteCount)],
    said_by: SaidBy,
) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let there = vdisks(asker)?;
    let sizes = |name: &VdiskName| {
        there.iter().map(|(_, _, vdisk)| vdisk).find(|vdisk| vdisk.name == *name && !vdisk.deleting)
    };
    let contradicts =
        |(name, size): &(VdiskName, ByteCount)| said_by.contradiction(name, *size, sizes(name)?.size);
    wanted.iter().find_map(contradicts).map_or(Ok(()), |why| Err(Failure::refused(why)))
}

/// Deals with a write buffer that is not the one the record names: refuses when it may have held data that is
/// nowhere else, unless the operator accepts the loss; makes a new one otherwise (PROTOCOLS O5). Gives the
/// record as it is then.
pub(crate) fn settle_write_buffer(
    layout: &Layout,
    asker: &mut Asker,
    entropy: &mut Entropy,
    record: ClusterRecord,
    accept_loss: bool,
) -> Result<ClusterRecord, Failure> {
    if accept_loss {
        tracing::warn!("what the write buffer can't give back of vDisks is taken for lost in this start");
    }
    let BufferState::Lost(why) = folders::check_write_buffer(layout, &record)? else {
        return Ok(record);
    };
    let vdisks = vdisks(asker)?;
    let endangered: Vec<_> = vdisks.iter().filter(|(_, _, vdisk)| vdisk.buffer.is_some()).collect();
    let names: Vec<String> = endangered.iter().map(|(_, _, vdisk)| vdisk.name.to_string()).collect();
    if !names.is_empty() && !accept_loss {
        return Err(Failure::refused(format!(
            "{why}: acknowledged writes to {} that were not on the ASDs yet may be lost with it; put it back, or go on \
             without them by --accept-write-buffer-loss",
            names.join(", ")
        )));
    }
    let mut new = record.clone();
    new.buffer = BufferIdentity(entropy.next_bytes());
    remove_foreign_buffer(layout)?;
    folders::make_write_buffer(layout, record.identity, new.buffer)?;
    let key = registry::CLUSTER_KEY.to_vec();
    let mut steps = vec![
        KvStep::Assert { key: key.clone(), value: Some(registry::encode(&record)) },
        KvStep::Set { key, value: registry::encode(&new) },
    ];
    for (key, value, vdisk) in endangered {
        let free = VdiskRecord { buffer: None, ..vdisk.clone() };
        steps.push(KvStep::Assert { key: key.clone(), value: Some(value.clone()) });
        steps.push(KvStep::Set { key: key.clone(), value: registry::encode(&free) });
    }
    change(asker, steps)?;
    for vdisk in names {
        tracing::warn!("{vdisk}: what only the lost write buffer held is gone, as accepted");
    }
    Ok(new)
}

/// Moves a folder that is not ours out of the way rather than delete what may be somebody's data.
fn remove_foreign_buffer(layout: &Layout) -> Result<(), Failure> {
    let folder = layout.write_buffer();
    if !folder.exists() {
        return Ok(());
    }
    let aside = (0..).map(|n| layout.root().join(format!("write-buffer.replaced-{n}"))).find(|p| !p.exists());
    let aside = aside.expect("some number is free");
    std::fs::rename(&folder, &aside)
        .map_err(|error| Failure::system(&format!("moving {} aside", folder.display()), &error))
}

fn change(asker: &mut Asker, steps: Vec<KvStep>) -> Result<(), Failure> {
    match asker.command(KvCommand::Sequence(steps))? {
        KvAnswer::Done(_) => Ok(()),
        answer => Err(not_stored(&answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_configuration_names_may_have_grown() {
        let name = VdiskName::new("disk1").unwrap();
        let said =
            |by: SaidBy, there: u64| by.contradiction(&name, ByteCount(2 << 30), ByteCount(there << 30));
        assert_eq!([1, 2, 3].map(|there| said(SaidBy::Flags, there).is_some()), [true, false, true]);
        assert_eq!([1, 2, 3].map(|there| said(SaidBy::Configuration, there).is_some()), [true, false, false]);
    }
}
