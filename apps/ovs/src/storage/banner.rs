//! What `up` says when it serves.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use formats::registry::ClusterRecord;
use glossary::{ByteCount, VdiskName};

use super::folders::Absent;

/// What there is to say.
pub(crate) struct Banner<'a> {
    pub(crate) directory: &'a std::path::Path,
    pub(crate) record: &'a ClusterRecord,
    pub(crate) absent: &'a [Absent],
    pub(crate) vdisks: &'a [(VdiskName, ByteCount)],
    /// Those of them that don't serve, and why.
    pub(crate) halted: &'a BTreeMap<VdiskName, String>,
    pub(crate) nbd: SocketAddr,
    pub(crate) memory_bound: ByteCount,
}

impl Banner<'_> {
    /// The lines before `ready`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.lines(&mut text).expect("strings take everything");
        text
    }

    fn lines(&self, text: &mut String) -> std::fmt::Result {
        let policies: Vec<String> = self.record.policies.iter().map(ToString::to_string).collect();
        writeln!(text, "cluster {} in {}", self.record.identity, self.directory.display())?;
        writeln!(
            text,
            "{} disks, policy {}, SCOs of {}, write buffer of {}",
            self.record.osds.len(),
            policies.join(" then "),
            self.record.sco_size,
            self.record.write_buffer
        )?;
        writeln!(text, "requests under way take at most {} of memory", self.memory_bound)?;
        for absent in self.absent {
            writeln!(text, "degraded: asd-{} is not there: {}", absent.osd.osd, absent.why)?;
        }
        for (name, size) in self.vdisks {
            match self.halted.get(name) {
                Some(why) => writeln!(text, "{name} ({size}) does not serve: {why}")?,
                None => writeln!(text, "serving {name} ({size}) at {}", self.uri(name))?,
            }
        }
        if let Some((name, _)) = self.vdisks.iter().find(|(name, _)| !self.halted.contains_key(name)) {
            let uri = self.uri(name);
            writeln!(text, "  qemu-img convert -p -n -O raw IMAGE {uri}")?;
            writeln!(text, "  nbdcopy IMAGE {uri}")?;
            writeln!(text, "  qemu-system-x86_64 -drive file={uri},format=raw,if=virtio")?;
        } else if self.vdisks.is_empty() {
            writeln!(
                text,
                "no vDisk yet: ovs vdisk create disk1 --size 10GiB --dir {}",
                self.directory.display()
            )?;
        }
        Ok(())
    }

    fn uri(&self, name: &VdiskName) -> String {
        format!("nbd://{}/{name}", self.nbd)
    }
}
