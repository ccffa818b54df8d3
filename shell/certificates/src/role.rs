//! What the holder of a certificate may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One thing that a certificate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Be a member of the KV's group.
    Kv,
    /// Run volume drivers.
    VolumeDriver,
    /// Run Edges.
    Edge,
    /// Run ASDs.
    Asd,
    /// Read and change keys of users.
    Client,
    /// Administer: change members, read and change everything.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 6] =
        [Role::Kv, Role::VolumeDriver, Role::Edge, Role::Asd, Role::Client, Role::Admin];

    /// Its name, in certificates, configuration and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Role::Kv => "kv",
            Role::VolumeDriver => "volume-driver",
            Role::Edge => "edge",
            Role::Asd => "asd",
            Role::Client => "client",
            Role::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Role::ALL.map(Role::name).join(", ");
        let role = Role::ALL.into_iter().find(|role| role.name() == name);
        role.ok_or_else(|| format!("{name:?} is no role; there are {}", known()))
    }
}

/// What a certificate allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// These roles.
    pub fn of(roles: impl IntoIterator<Item = Role>) -> Self {
        Roles(roles.into_iter().collect())
    }

    /// Whether a role is among them.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// The roles, in order.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }

    /// Reads what [`fmt::Display`] writes. Roles that this program doesn't know are those of a newer one, and allow
    /// nothing here.
    pub(crate) fn read(text: &str) -> Self {
        Roles(text.split('+').filter_map(|name| name.parse().ok()).collect())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Role::name).collect();
        f.write_str(&names.join("+"))
    }
}
