//! The folders of a cluster against what its record says of them.

use std::path::Path;

use formats::identity::{Folder, Identity};
use formats::registry::{ClusterRecord, OsdRecord};
use glossary::{BufferIdentity, ClusterIdentity, OsdId};

use super::layout::{Claim, Layout, claim};
use crate::failure::Failure;

/// An ASD that can't start, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Absent {
    pub(crate) osd: OsdRecord,
    pub(crate) why: String,
}

/// Makes every folder of a new cluster.
pub(crate) fn make_all(layout: &Layout, record: &ClusterRecord) -> Result<(), Failure> {
    let cluster = record.identity;
    for osd in &record.osds {
        let folder = Folder::Asd { osd: osd.osd, identity: osd.identity };
        layout.make(&layout.asd(osd.osd), &Identity { cluster, folder })?;
    }
    make_write_buffer(layout, cluster, record.buffer)?;
    layout.make(&layout.kv(), &Identity { cluster, folder: Folder::Kv })
}

pub(crate) fn make_write_buffer(
    layout: &Layout,
    cluster: ClusterIdentity,
    identity: BufferIdentity,
) -> Result<(), Failure> {
    layout.make(&layout.write_buffer(), &Identity { cluster, folder: Folder::WriteBuffer { identity } })
}

/// The KV's folder must be there and this cluster's: without it nothing is known of the rest.
pub(crate) fn check_kv(layout: &Layout, cluster: ClusterIdentity) -> Result<(), Failure> {
    let kv = layout.kv();
    match claim(&kv)? {
        Claim::Is(Identity { cluster: of, folder: Folder::Kv }) if of == cluster => Ok(()),
        Claim::Is(_) => Err(Failure::refused(format!(
            "{} belongs to another cluster, or is another folder: put the right one back",
            kv.display()
        ))),
        Claim::Missing => Err(Failure::refused(format!(
            "{} is missing: it holds where everything is, as a single copy until the KV is replicated; put it back",
            kv.display()
        ))),
        Claim::Damaged(why) => {
            Err(Failure::refused(format!("{}: {why}; put the right folder back", kv.display())))
        }
    }
}

/// The ASDs' folders that are there. What is in the wrong place, or another cluster's, is refused by what the folders
/// say themselves.
pub(crate) fn check_places(layout: &Layout, cluster: ClusterIdentity) -> Result<Vec<OsdId>, Failure> {
    let mut asds = layout.asds()?;
    asds.sort_unstable();
    for osd in &asds {
        let path = layout.asd(*osd);
        match claim(&path)? {
            Claim::Is(Identity { cluster: of, folder }) => check_place(&path, *osd, of == cluster, folder)?,
            Claim::Missing | Claim::Damaged(_) => {}
        }
    }
    Ok(asds)
}

fn check_place(path: &Path, osd: OsdId, is_ours: bool, folder: Folder) -> Result<(), Failure> {
    let path = path.display();
    match folder {
        _ if !is_ours => Err(Failure::refused(format!(
            "{path} belongs to another cluster: put the right folder back, or remove it to go on without"
        ))),
        Folder::Asd { osd: number, .. } if number == osd => Ok(()),
        Folder::Asd { osd: number, .. } => Err(Failure::refused(format!(
            "{path} is the folder of asd-{number}: folders were swapped or copied; put each where it belongs"
        ))),
        _ => Err(Failure::refused(format!("{path} is no ASD's folder: put the right one back"))),
    }
}

/// The ASDs that can't start. Folders that were swapped or copied, or that belong elsewhere, are refused.
pub(crate) fn check_asds(
    layout: &Layout,
    of: ClusterIdentity,
    osds: &[OsdRecord],
) -> Result<Vec<Absent>, Failure> {
    let mut absent = Vec::new();
    for osd in osds {
        let path = layout.asd(osd.osd);
        match claim(&path)? {
            Claim::Is(Identity { cluster, folder: Folder::Asd { osd: number, identity } }) => {
                let folder = Folder::Asd { osd: number, identity };
                check_place(&path, osd.osd, cluster == of, folder)?;
                if identity != osd.identity {
                    return Err(Failure::refused(format!(
                        "{} is a folder that asd-{number} had before: put the right one back",
                        path.display()
                    )));
                }
            }
            Claim::Is(Identity { cluster, folder }) => {
                check_place(&path, osd.osd, cluster == of, folder)?;
            }
            Claim::Missing => absent.push(Absent { osd: *osd, why: "its folder is missing".into() }),
            Claim::Damaged(why) => absent.push(Absent { osd: *osd, why }),
        }
    }
    Ok(absent)
}

/// Whether the write buffer that is there is the cluster's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BufferState {
    Ours,
    /// Missing, damaged or another's; what was found, in words.
    Lost(String),
}

pub(crate) fn check_write_buffer(layout: &Layout, record: &ClusterRecord) -> Result<BufferState, Failure> {
    let path = layout.write_buffer();
    Ok(match claim(&path)? {
        Claim::Is(Identity { cluster, folder: Folder::WriteBuffer { identity } })
            if cluster == record.identity && identity == record.buffer =>
        {
            BufferState::Ours
        }
        Claim::Is(_) => BufferState::Lost(format!("{} is another cluster's or an older one", path.display())),
        Claim::Missing => BufferState::Lost(format!("{} is missing", path.display())),
        Claim::Damaged(why) => BufferState::Lost(format!("{}: {why}", path.display())),
    })
}
