//! The cluster's record in the KV: made at the first start, read at every other.

use formats::message::kv::{KvAnswer, KvCommand, KvQuery, KvStep};
use formats::registry::{self, ClusterRecord, VdiskRecord};
use glossary::{BufferIdentity, ByteCount, VdiskName};
use io::Port;
use step::Entropy;

use super::ask;
use super::directory::Directory;
use super::folders::{self, BufferState};
use crate::failure::{ExitCode, Failure};

/// Keys of one page of the registry.
const PAGE: u32 = 1000;

/// Stores the record of a new cluster.
pub(crate) fn store(port: &mut Port, entropy: &mut Entropy, record: &ClusterRecord) -> Result<(), Failure> {
    let key = registry::CLUSTER_KEY.to_vec();
    change(
        port,
        entropy,
        vec![
            KvStep::Assert { key: key.clone(), value: None },
            KvStep::Set { key, value: registry::encode(record) },
        ],
    )
}

/// Reads the record.
pub(crate) fn load(port: &mut Port) -> Result<ClusterRecord, Failure> {
    let answer = ask::query(port, KvQuery::Get { key: registry::CLUSTER_KEY.to_vec() })?;
    let record = match answer {
        KvAnswer::Value(Some(bytes)) => registry::decode(&bytes),
        _ => None,
    };
    record.ok_or_else(|| Failure::refused("the KV holds no record of this cluster that this ovs can read"))
}

/// A vDisk's key, the bytes of its record, and the record.
pub(crate) type StoredVdisk = (Vec<u8>, Vec<u8>, VdiskRecord);

/// Every vDisk's record, with the bytes that hold it.
pub(crate) fn vdisks(port: &mut Port) -> Result<Vec<StoredVdisk>, Failure> {
    let mut vdisks = Vec::new();
    let mut from = registry::VDISK_PREFIX.to_vec();
    loop {
        let query = KvQuery::Range { prefix: registry::VDISK_PREFIX.to_vec(), from, limit: PAGE };
        let KvAnswer::Range { pairs, more } = ask::query(port, query)? else {
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

/// Refuses vDisks that are there with another size than the one asked for.
pub(crate) fn check_vdisks(port: &mut Port, wanted: &[(VdiskName, ByteCount)]) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let there = vdisks(port)?;
    for (name, size) in wanted {
        let known =
            there.iter().map(|(_, _, vdisk)| vdisk).find(|vdisk| vdisk.name == *name && !vdisk.deleting);
        if let Some(vdisk) = known.filter(|vdisk| vdisk.size != *size) {
            return Err(Failure::refused(format!(
                "--vdisk {name}:{size} contradicts the vDisk that is there: it has {}; leave the flag out, or grow it \
                 with ovs vdisk resize",
                vdisk.size
            )));
        }
    }
    Ok(())
}

/// Deals with a write buffer that is not the one the record names: refuses when it may have held data that is
/// nowhere else, unless the operator accepts the loss; makes a new one otherwise (PROTOCOLS O5). Gives the
/// record as it is then, and the names of the vDisks that may have lost data.
pub(crate) fn settle_write_buffer(
    directory: &Directory,
    port: &mut Port,
    entropy: &mut Entropy,
    record: ClusterRecord,
    accept_loss: bool,
) -> Result<(ClusterRecord, Vec<String>), Failure> {
    let BufferState::Lost(why) = folders::check_write_buffer(directory, &record)? else {
        return Ok((record, Vec::new()));
    };
    let vdisks = vdisks(port)?;
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
    remove_foreign_buffer(directory)?;
    folders::make_write_buffer(directory, record.identity, new.buffer)?;
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
    change(port, entropy, steps)?;
    Ok((new, names))
}

/// Moves a folder that is not ours out of the way rather than delete what may be somebody's data.
fn remove_foreign_buffer(directory: &Directory) -> Result<(), Failure> {
    let folder = directory.write_buffer();
    if !folder.exists() {
        return Ok(());
    }
    let aside =
        (0..).map(|n| directory.root().join(format!("write-buffer.replaced-{n}"))).find(|p| !p.exists());
    let aside = aside.expect("some number is free");
    std::fs::rename(&folder, &aside)
        .map_err(|error| Failure::system(&format!("moving {} aside", folder.display()), &error))
}

fn change(port: &mut Port, entropy: &mut Entropy, steps: Vec<KvStep>) -> Result<(), Failure> {
    match ask::command(port, entropy.next_u64(), KvCommand::Sequence(steps))? {
        KvAnswer::Done(_) => Ok(()),
        answer => {
            Err(Failure::new(ExitCode::Failed, format!("the KV refused to store the cluster: {answer:?}")))
        }
    }
}
