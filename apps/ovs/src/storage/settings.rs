//! Settings of a cluster: given by flags at its first start, stored in its record, and the same ever after.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use formats::registry::{ClusterRecord, OsdRecord};
use glossary::{BufferIdentity, ByteCount, ClusterIdentity, OsdId, OsdIdentity, Policy, VdiskId, VdiskName};
use step::Entropy;

use crate::cli;
use crate::failure::Failure;

/// Bytes of a segment of an ASD.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// Bytes of log after which an ASD writes its index down anew.
pub(crate) const CHECKPOINT_EVERY: u64 = 256 << 20;

/// The fewest segments that an ASD can work with.
const SEGMENTS_MIN: u64 = 8;

/// The share of the file system's free space that a cluster's ASDs take, when nothing else is said: percent.
const SPACE_SHARE: u64 = 90;

/// How many disks there are when nothing else is said.
pub(crate) const DEFAULT_DISKS: u32 = 8;
/// The most disks of a process.
pub(crate) const DISKS_MAX: u32 = 256;
const DEFAULT_SCO: ByteCount = ByteCount(16 << 20);
const SCO_MIN: ByteCount = ByteCount(4 << 20);
const SCO_MAX: ByteCount = ByteCount(128 << 20);
const DEFAULT_WRITE_BUFFER: ByteCount = ByteCount(2 << 30);

/// The vDisk of a new cluster for which none was asked.
pub(crate) fn default_vdisk() -> (VdiskName, ByteCount) {
    (VdiskName::new("disk1").expect("it is a name"), ByteCount(10 << 30))
}

pub(crate) fn default_policy() -> Policy {
    Policy { k: 4, m: 2, c: 6, x: 1 }
}

/// The policy of servers: what counts at x is how much of a chunk is on one server, and how many servers there will be is
/// not known.
pub(crate) fn server_policy() -> Policy {
    Policy { k: 4, m: 2, c: 6, x: 6 }
}

/// Why not all policies can be followed with these OSDs; `None` where they can.
pub(crate) fn unplaceable(policies: &[Policy], osds: &[OsdRecord]) -> Option<String> {
    let mut on_node: BTreeMap<u32, usize> = BTreeMap::new();
    osds.iter().for_each(|osd| *on_node.entry(osd.storage_node).or_default() += 1);
    let fits = |policy: &&Policy| policy.placeable(on_node.values().copied()) >= policy.c;
    let policy = policies.iter().find(|policy| !fits(policy))?;
    Some(format!(
        "policy {policy} needs {} fragments, at most {} on one server, and the disks that are registered take {}: {} on \
         {} servers",
        policy.c,
        policy.x,
        policy.placeable(on_node.values().copied()),
        osds.len(),
        on_node.len()
    ))
}

/// The record of a new cluster, as the flags want it.
pub(crate) fn new_cluster(arguments: &cli::Up, entropy: &mut Entropy) -> Result<ClusterRecord, Failure> {
    let disks = arguments.disks.unwrap_or(DEFAULT_DISKS);
    if disks == 0 || disks > DISKS_MAX {
        return Err(Failure::usage(format!("--disks is between 1 and {DISKS_MAX}; {disks} is not")));
    }
    let policies =
        if arguments.policy.is_empty() { vec![default_policy()] } else { arguments.policy.clone() };
    check_policies(&policies, disks)?;
    check_sizes(arguments.sco_size, arguments.write_buffer).map_err(flag)?;
    arguments.disk_size.map_or(Ok(()), check_disk_size).map_err(flag)?;
    let buffer = arguments.write_buffer.unwrap_or(DEFAULT_WRITE_BUFFER);
    let capacity = capacity(&arguments.dir, arguments.disk_size, disks, buffer)?;
    let osd = |number| OsdRecord {
        osd: OsdId(number),
        identity: OsdIdentity(entropy.next_bytes()),
        storage_node: number,
        capacity,
    };
    let osds = (0..disks).map(osd).collect();
    let asked = Asked { policies, sco_size: arguments.sco_size, write_buffer: arguments.write_buffer };
    let identity = ClusterIdentity(entropy.next_bytes());
    Ok(asked.record(identity, BufferIdentity(entropy.next_bytes()), osds))
}

/// What makes no sense of the flags.
fn flag(why: String) -> Failure {
    Failure::usage(format!("--{why}"))
}

/// What was asked of a new cluster; what was not is as usual.
pub(crate) struct Asked {
    pub(crate) policies: Vec<Policy>,
    pub(crate) sco_size: Option<ByteCount>,
    pub(crate) write_buffer: Option<ByteCount>,
}

impl Asked {
    /// The record of the cluster.
    pub(crate) fn record(
        self,
        identity: ClusterIdentity,
        buffer: BufferIdentity,
        osds: Vec<OsdRecord>,
    ) -> ClusterRecord {
        ClusterRecord {
            identity,
            policies: self.policies,
            sco_size: self.sco_size.unwrap_or(DEFAULT_SCO),
            write_buffer: self.write_buffer.unwrap_or(DEFAULT_WRITE_BUFFER),
            buffer,
            osds,
            next_vdisk: VdiskId(1),
            next_sco: 1,
        }
    }
}

/// Refuses flags that contradict what is stored, naming both.
pub(crate) fn check_against_stored(arguments: &cli::Up, stored: &ClusterRecord) -> Result<(), Failure> {
    contradiction("--disks", arguments.disks, stored.osds.len() as u32)?;
    contradiction("--sco-size", arguments.sco_size, stored.sco_size)?;
    contradiction("--write-buffer", arguments.write_buffer, stored.write_buffer)?;
    if let Some(osd) = stored.osds.first() {
        contradiction("--disk-size", arguments.disk_size, osd.capacity)?;
    }
    let given = (!arguments.policy.is_empty()).then(|| list(&arguments.policy));
    contradiction("--policy", given, list(&stored.policies))
}

/// Policies in the order in which they are tried.
pub(crate) fn list(policies: &[Policy]) -> String {
    policies.iter().map(Policy::to_string).collect::<Vec<_>>().join(" then ")
}

/// Refuses what contradicts what is stored.
pub(crate) fn contradiction<T: PartialEq + Display>(
    what: &str,
    given: Option<T>,
    stored: T,
) -> Result<(), Failure> {
    match given.filter(|given| *given != stored) {
        Some(given) => Err(Failure::refused(format!(
            "{what} {given} contradicts what this cluster was made with: {stored}; leave it out"
        ))),
        None => Ok(()),
    }
}

fn check_policies(policies: &[Policy], disks: u32) -> Result<(), Failure> {
    let possible = |policy: &Policy| policy.placeable((0..disks).map(|_| 1)) >= policy.c;
    match policies.iter().find(|policy| !possible(policy)) {
        Some(policy) => Err(Failure::usage(format!(
            "--policy {policy} needs {} fragments on as many disks, and there are {disks}: give more --disks or a \
             smaller policy",
            policy.c
        ))),
        None => Ok(()),
    }
}

/// Why the sizes of SCOs and of the write buffer can't be; those that aren't given are the usual ones.
pub(crate) fn check_sizes(sco_size: Option<ByteCount>, buffer: Option<ByteCount>) -> Result<(), String> {
    let sco_size = sco_size.unwrap_or(DEFAULT_SCO);
    if sco_size < SCO_MIN || sco_size > SCO_MAX || !sco_size.0.is_multiple_of(1 << 20) {
        return Err(format!("sco-size is between {SCO_MIN} and {SCO_MAX} in whole MiB; {sco_size} is not"));
    }
    let (buffer, least) = (buffer.unwrap_or(DEFAULT_WRITE_BUFFER), ByteCount(2 * sco_size.0));
    if buffer < least {
        return Err(format!("write-buffer {buffer} is too small: SCOs of {sco_size} need at least {least}"));
    }
    Ok(())
}

/// Why a disk can't have this size.
pub(crate) fn check_disk_size(size: ByteCount) -> Result<(), String> {
    let least = ByteCount(SEGMENTS_MIN * SEGMENT_BYTES);
    if size < least {
        return Err(format!("disk-size {size} is too small: a disk needs at least {least}"));
    }
    Ok(())
}

/// Bytes for each of so many new ASDs: what was asked for, or a share of what is free beside the write buffer.
pub(crate) fn capacity(
    directory: &Path,
    asked: Option<ByteCount>,
    disks: u32,
    write_buffer: ByteCount,
) -> Result<ByteCount, Failure> {
    if let Some(size) = asked {
        return Ok(size);
    }
    let free = free_space(directory)?;
    let share = (free / 100 * SPACE_SHARE).saturating_sub(write_buffer.0) / u64::from(disks);
    let share = ByteCount(share / SEGMENT_BYTES * SEGMENT_BYTES);
    if check_disk_size(share).is_err() {
        return Err(Failure::refused(format!(
            "{} of free space at {} are too few for {disks} disks of {} and a write buffer of {write_buffer}: free \
             some, or ask for fewer disks or a smaller write buffer",
            ByteCount(free),
            directory.display(),
            ByteCount(SEGMENTS_MIN * SEGMENT_BYTES)
        )));
    }
    Ok(share)
}

/// Bytes free on the file system that the directory is on, or will be.
pub(crate) fn free_space(directory: &Path) -> Result<u64, Failure> {
    let existing = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let told = rustix::fs::statvfs(existing)
        .map_err(|error| Failure::system(&format!("looking at {}", existing.display()), &error.into()))?;
    Ok(told.f_bavail * told.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        text.parse().expect("a policy")
    }

    #[test]
    fn impossible_policies_name_what_is_missing() {
        assert_eq!(check_policies(&[policy("4,2,6,1")], 6), Ok(()));
        let refusal = check_policies(&[policy("4,2,6,1")], 5).expect_err("too few disks");
        assert!(refusal.message.contains("--policy 4,2,6,1 needs 6 fragments"), "{refusal}");
    }

    #[test]
    fn sizes_out_of_bounds_are_refused() {
        for size in [ByteCount(3 << 20), ByteCount(129 << 20), ByteCount((16 << 20) + 4096)] {
            assert!(check_sizes(Some(size), None).is_err(), "{size}");
        }
        let why = check_sizes(None, Some(ByteCount(31 << 20))).expect_err("too small");
        assert!(why.contains("at least 32 MiB"), "{why}");
        assert_eq!(check_sizes(None, Some(ByteCount(32 << 20))), Ok(()));
        assert!(
            check_disk_size(ByteCount(511 << 20)).is_err() && check_disk_size(ByteCount(1 << 30)).is_ok()
        );
    }

    #[test]
    fn a_contradiction_names_both_values() {
        let refusal = contradiction("--disks", Some(4), 8).expect_err("a contradiction");
        assert!(refusal.message.contains("--disks 4") && refusal.message.contains(": 8"), "{refusal}");
        assert_eq!(contradiction("--disks", Some(8), 8), Ok(()));
        assert_eq!(contradiction::<u32>("--disks", None, 8), Ok(()));
    }
}
