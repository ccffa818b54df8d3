//! The cluster's record, and which server runs its volume driver: made at that server's first start.

use formats::identity::{Folder, Identity};
use formats::registry::{self as records, ClusterRecord, VolumeDriverRecord};
use glossary::BufferIdentity;
use step::Entropy;

use crate::config::{ServerConfig, VolumeDriverConfig};
use crate::failure::Failure;
use crate::storage::asker::Asker;
use crate::storage::folders;
use crate::storage::layout::{Claim, Layout, expect_unused, found};
use crate::storage::namespaces;
use crate::storage::registry::{self, Replaced};
use crate::storage::settings::{self, Asked, contradiction, list};

/// Reads the cluster's record as the server of its volume driver; makes it, and says which server that is, where nobody
/// did. Another server's volume driver is refused.
pub(super) fn own(
    config: &ServerConfig,
    wanted: &VolumeDriverConfig,
    layout: &Layout,
    asker: &mut Asker,
    entropy: &mut Entropy,
) -> Result<ClusterRecord, Failure> {
    let me = VolumeDriverRecord { server: config.server };
    let set_me = Replaced { key: records::VOLUME_DRIVER_KEY, known: None, new: records::encode(&me) };
    let namespaces_key = namespaces::key();
    loop {
        let owner: Option<VolumeDriverRecord> = registry::read(asker, records::VOLUME_DRIVER_KEY)?;
        if let Some(other) = owner.filter(|owner| *owner != me) {
            return Err(Failure::refused(format!(
                "server {other} runs the volume driver of this cluster, and there is one for now: take volume-driver \
                 and edge out of the roles of server {}",
                config.server,
                other = other.server
            )));
        }
        let record: Option<ClusterRecord> = registry::read(asker, records::CLUSTER_KEY)?;
        registry::expect_whole(asker)?;
        let known = record.as_ref().map(records::encode);
        let is_new = known.is_none();
        let record = match (record, owner) {
            (Some(record), Some(_)) => {
                check(config, wanted, &record)?;
                return Ok(record);
            }
            (Some(record), None) => record,
            (None, _) => made(config, wanted, buffer(config, layout, entropy)?),
        };
        let set = Replaced { key: records::CLUSTER_KEY, known, new: records::encode(&record) };
        // Whoever was faster is found in the next round.
        let mut sets = vec![set];
        if owner.is_none() {
            sets.push(Replaced { key: set_me.key, known: None, new: set_me.new.clone() });
        }
        if is_new {
            sets.push(namespaces::of_new_cluster(&namespaces_key));
        }
        registry::replace(asker, &sets)?;
    }
}

fn made(config: &ServerConfig, wanted: &VolumeDriverConfig, buffer: BufferIdentity) -> ClusterRecord {
    let policies = match wanted.policies.is_empty() {
        true => vec![settings::server_policy()],
        false => wanted.policies.clone(),
    };
    let asked = Asked { policies, sco_size: wanted.sco_size, write_buffer: wanted.write_buffer };
    asked.record(config.cluster, buffer, Vec::new())
}

/// The identity of the write buffer of a cluster that has no record yet: of the folder that is there, which an earlier
/// attempt made, or of a new one.
fn buffer(config: &ServerConfig, layout: &Layout, entropy: &mut Entropy) -> Result<BufferIdentity, Failure> {
    let path = layout.write_buffer();
    match found(&path)? {
        Claim::Is(found @ Identity { cluster, folder: Folder::WriteBuffer { identity } })
            if cluster == config.cluster =>
        {
            expect_unused(&path, &found)?;
            Ok(identity)
        }
        Claim::Missing => {
            let identity = BufferIdentity(entropy.next_bytes());
            folders::make_write_buffer(layout, config.cluster, identity)?;
            Ok(identity)
        }
        Claim::Is(_) | Claim::Damaged(_) => Err(Failure::refused(format!(
            "{} is in the way: the cluster has no write buffer yet; move it away",
            path.display()
        ))),
    }
}

/// Refuses settings that contradict what is stored, and a record of another cluster.
fn check(config: &ServerConfig, wanted: &VolumeDriverConfig, stored: &ClusterRecord) -> Result<(), Failure> {
    if stored.identity != config.cluster {
        return Err(Failure::refused(format!(
            "the KV holds the record of cluster {}, and this is cluster {}: a backup of another cluster was restored",
            stored.identity, config.cluster
        )));
    }
    let policies = (!wanted.policies.is_empty()).then(|| list(&wanted.policies));
    contradiction("[volume-driver] policies", policies, list(&stored.policies))?;
    contradiction("[volume-driver] sco-size", wanted.sco_size, stored.sco_size)?;
    contradiction("[volume-driver] write-buffer", wanted.write_buffer, stored.write_buffer)
}
