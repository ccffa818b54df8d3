//! The ASDs of a server: their folders, and their places in the cluster's record.

use formats::identity::{Folder, Identity};
use formats::registry::{self as records, ClusterRecord, OsdRecord};
use glossary::{ByteCount, OsdId, OsdIdentity};
use step::Entropy;

use crate::config::{AsdConfig, ServerConfig};
use crate::failure::Failure;
use crate::storage::asker::Asker;
use crate::storage::layout::{Claim, Layout, expect_unused, found};
use crate::storage::registry::{self, Replaced};
use crate::storage::settings;

/// Registers those of this server's ASDs that the record doesn't have yet, as many as are wanted. Gives the record as it
/// is then.
///
/// The numbers are this server's own, so that no other server takes one meanwhile; folders that an earlier attempt made
/// are taken as they are.
pub(super) fn register(
    config: &ServerConfig,
    wanted: &AsdConfig,
    layout: &Layout,
    asker: &mut Asker,
    entropy: &mut Entropy,
) -> Result<ClusterRecord, Failure> {
    loop {
        let record = registry::load(asker)?;
        let known = own(config, &record).len() as u32;
        if known > wanted.disks {
            return Err(Failure::refused(format!(
                "[asd] disks = {}, and {known} disks of server {} are registered: disks can't be taken out yet, so say \
                 disks = {known}",
                wanted.disks, config.server
            )));
        }
        if known == wanted.disks {
            return Ok(record);
        }
        let count = wanted.disks - known;
        // Room for the write buffer is left wherever it is: its size is the cluster's.
        let capacity = settings::capacity(layout.root(), wanted.disk_size, count, record.write_buffer)?;
        let mut new = record.clone();
        for place in known..wanted.disks {
            new.osds.push(prepare(config, OsdId::at(config.server, place), capacity, layout, entropy)?);
        }
        new.osds.sort_by_key(|osd| osd.osd);
        let known = Some(records::encode(&record));
        let set = Replaced { key: records::CLUSTER_KEY, known, new: records::encode(&new) };
        if registry::replace(asker, &[set])? {
            tracing::info!(count, "disks of this server were registered");
            return Ok(new);
        }
    }
}

/// This server's ASDs.
pub(super) fn own(config: &ServerConfig, record: &ClusterRecord) -> Vec<OsdRecord> {
    record.osds.iter().filter(|osd| osd.osd.server() == config.server).copied().collect()
}

/// Makes the folder of a new ASD, unless an earlier attempt did.
fn prepare(
    config: &ServerConfig,
    osd: OsdId,
    capacity: ByteCount,
    layout: &Layout,
    entropy: &mut Entropy,
) -> Result<OsdRecord, Failure> {
    let path = layout.asd(osd);
    let identity = match found(&path)? {
        Claim::Is(found @ Identity { cluster, folder: Folder::Asd { osd: number, identity } })
            if cluster == config.cluster && number == osd =>
        {
            expect_unused(&path, &found)?;
            identity
        }
        Claim::Missing => {
            let identity = OsdIdentity(entropy.next_bytes());
            let folder = Folder::Asd { osd, identity };
            layout.make(&path, &Identity { cluster: config.cluster, folder })?;
            identity
        }
        Claim::Is(_) | Claim::Damaged(_) => {
            return Err(Failure::refused(format!(
                "{} is in the way: asd-{osd} is not registered yet; move it away",
                path.display()
            )));
        }
    };
    Ok(OsdRecord { osd, identity, storage_node: u32::from(config.server.0), capacity })
}
