//! What a running cluster can be asked.

use std::time::Duration;

use glossary::{ByteCount, OsdId, VdiskName};

use crate::model::{ClusterStatus, Metrics, Osd, Settings, Vdisk};
use crate::refusal::Refusal;

/// A running cluster, as its operators see it. Calls block; each comes on a thread of its own, and should
/// end within `patience`. Whoever asked may have gone: what was begun may still happen.
///
/// All verbs answer with a [`Refusal`] when they don't do what was asked.
pub trait Admin: Send + Sync + 'static {
    /// How the cluster is.
    fn status(&self, patience: Duration) -> Result<ClusterStatus, Refusal>;

    /// What can be counted.
    fn metrics(&self, patience: Duration) -> Result<Metrics, Refusal>;

    /// What was chosen for the cluster.
    fn settings(&self) -> Settings;

    /// Makes a thin vDisk.
    fn create_vdisk(&self, name: &VdiskName, size: ByteCount, patience: Duration) -> Result<(), Refusal>;

    /// Grows a vDisk.
    fn resize_vdisk(&self, name: &VdiskName, size: ByteCount, patience: Duration) -> Result<(), Refusal>;

    /// Deletes a vDisk and everything of it.
    fn delete_vdisk(&self, name: &VdiskName, patience: Duration) -> Result<(), Refusal>;

    /// Pushes everything acknowledged of a vDisk, or of all, to the disks; answers when it is there.
    fn sync_vdisk(&self, name: Option<&VdiskName>, patience: Duration) -> Result<(), Refusal>;

    /// Takes a disk from the cluster, as if it had failed.
    fn stop_osd(&self, osd: OsdId, patience: Duration) -> Result<(), Refusal>;

    /// Takes a disk back that was stopped, or that failed.
    fn start_osd(&self, osd: OsdId, patience: Duration) -> Result<(), Refusal>;

    /// The vDisks, ordered by name.
    fn list_vdisks(&self, patience: Duration) -> Result<Vec<Vdisk>, Refusal> {
        Ok(self.status(patience)?.facts.vdisks)
    }

    /// One vDisk.
    fn vdisk_info(&self, name: &VdiskName, patience: Duration) -> Result<Vdisk, Refusal> {
        let all = self.list_vdisks(patience)?;
        let found = all.into_iter().find(|vdisk| vdisk.name == *name);
        found.ok_or_else(|| Refusal::no_vdisk(name))
    }

    /// The disks, ordered by number.
    fn list_osds(&self, patience: Duration) -> Result<Vec<Osd>, Refusal> {
        Ok(self.status(patience)?.facts.osds)
    }
}
