//! The sections of a server's file about what it stores: `[asd]`, `[volume-driver]`, `[edge]`.

use std::net::SocketAddr;

use certificates::{Role, Roles};
use glossary::{ByteCount, Policy, VdiskName};
use serde::Deserialize;

use crate::cli;
use crate::storage::settings;

/// What a server stores, by its roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StorageConfig {
    /// Its ASDs.
    pub(crate) asd: Option<AsdConfig>,
    /// The cluster's volume driver.
    pub(crate) volume_driver: Option<VolumeDriverConfig>,
    /// Where guests come.
    pub(crate) edge: Option<EdgeConfig>,
}

/// The ASDs of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AsdConfig {
    /// How many.
    pub(crate) disks: u32,
    /// What a new one may take; a share of what is free, where nothing is said.
    pub(crate) disk_size: Option<ByteCount>,
}

/// The cluster's volume driver: what is settled at the first start, and may be left out at others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VolumeDriverConfig {
    /// Policies in the order in which they are tried.
    pub(crate) policies: Vec<Policy>,
    /// Size of new SCOs.
    pub(crate) sco_size: Option<ByteCount>,
    /// Room of the write buffer.
    pub(crate) write_buffer: Option<ByteCount>,
    /// vDisks to make where they aren't there.
    pub(crate) vdisks: Vec<(VdiskName, ByteCount)>,
}

/// Where guests come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgeConfig {
    /// Where NBD is served.
    pub(crate) nbd: SocketAddr,
}

impl StorageConfig {
    /// What roles store when nothing is said.
    pub(crate) fn usual(roles: &Roles) -> Self {
        StorageConfig {
            asd: roles
                .has(Role::Asd)
                .then_some(AsdConfig { disks: settings::DEFAULT_DISKS, disk_size: None }),
            volume_driver: roles.has(Role::VolumeDriver).then(VolumeDriverConfig::default),
            edge: roles.has(Role::Edge).then_some(EdgeConfig { nbd: cli::DEFAULT_NBD }),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AsdSection {
    disks: Option<u32>,
    disk_size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct VolumeDriverSection {
    #[serde(default)]
    policies: Vec<String>,
    sco_size: Option<String>,
    write_buffer: Option<String>,
    #[serde(default)]
    vdisks: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct EdgeSection {
    nbd: Option<String>,
    #[serde(default)]
    insecure_nbd: bool,
}

/// The sections as they stand in a file.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) asd: Option<AsdSection>,
    pub(super) volume_driver: Option<VolumeDriverSection>,
    pub(super) edge: Option<EdgeSection>,
}

impl Sections {
    /// What they mean to a server of these roles.
    pub(super) fn read(self, roles: &Roles) -> Result<StorageConfig, String> {
        if roles.has(Role::VolumeDriver) != roles.has(Role::Edge) {
            return Err(
                "roles names one of volume-driver and edge alone: for now guests are served where the \
                        volume driver runs, so name both or neither"
                    .into(),
            );
        }
        Ok(StorageConfig {
            asd: section(roles, Role::Asd, self.asd)?.map(AsdSection::read).transpose()?,
            volume_driver: section(roles, Role::VolumeDriver, self.volume_driver)?
                .map(VolumeDriverSection::read)
                .transpose()?,
            edge: section(roles, Role::Edge, self.edge)?.map(EdgeSection::read).transpose()?,
        })
    }
}

/// The section of a role: what stands there, or an empty one where nothing does.
fn section<T: Default>(roles: &Roles, role: Role, found: Option<T>) -> Result<Option<T>, String> {
    let name = role.name();
    match found {
        Some(_) if !roles.has(role) => Err(format!(
            "there is a section [{name}], and roles doesn't name {name}: name it, or take it out"
        )),
        found => Ok(roles.has(role).then(|| found.unwrap_or_default())),
    }
}

/// What stands at a name of a section, in its own words where it makes no sense.
fn value<T>(name: &str, text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
    read(text).map_err(|why| format!("{name} = {text:?}: {why}"))
}

impl AsdSection {
    fn read(self) -> Result<AsdConfig, String> {
        let disks = self.disks.unwrap_or(settings::DEFAULT_DISKS);
        if !(1..=settings::DISKS_MAX).contains(&disks) {
            return Err(format!("[asd] disks = {disks}: it is between 1 and {}", settings::DISKS_MAX));
        }
        let size = |text: String| value("[asd] disk-size", &text, cli::size);
        let disk_size = self.disk_size.map(size).transpose()?;
        disk_size.map_or(Ok(()), settings::check_disk_size).map_err(|why| format!("[asd] {why}"))?;
        Ok(AsdConfig { disks, disk_size })
    }
}

impl VolumeDriverSection {
    fn read(self) -> Result<VolumeDriverConfig, String> {
        let policy = |text: &String| value("[volume-driver] policies", text, cli::policy);
        let vdisk = |text: &String| value("[volume-driver] vdisks", text, cli::new_vdisk);
        let sco_size = self.sco_size.map(|text| value("[volume-driver] sco-size", &text, cli::sco_size));
        let buffer = self.write_buffer.map(|text| value("[volume-driver] write-buffer", &text, cli::size));
        let vdisks: Vec<_> = self.vdisks.iter().map(vdisk).collect::<Result<_, _>>()?;
        let mut names: Vec<_> = vdisks.iter().map(|(name, _)| name).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("[volume-driver] vdisks names {} twice: give each vDisk once", twice[0]));
        }
        let config = VolumeDriverConfig {
            policies: self.policies.iter().map(policy).collect::<Result<_, _>>()?,
            sco_size: sco_size.transpose()?,
            write_buffer: buffer.transpose()?,
            vdisks,
        };
        settings::check_sizes(config.sco_size, config.write_buffer)
            .map_err(|why| format!("[volume-driver] {why}"))?;
        Ok(config)
    }
}

impl EdgeSection {
    fn read(self) -> Result<EdgeConfig, String> {
        let nbd = self.nbd.map(|text| value("[edge] nbd", &text, cli::address)).transpose()?;
        let nbd = nbd.unwrap_or(cli::DEFAULT_NBD);
        if !nbd.ip().is_loopback() && !self.insecure_nbd {
            return Err(format!(
                "[edge] nbd = \"{nbd}\" is open to others, without password or encryption: say insecure-nbd = true to \
                 allow it"
            ));
        }
        Ok(EdgeConfig { nbd })
    }
}
