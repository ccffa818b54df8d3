//! Who a certificate is for: a URI among its names.

use std::fmt;

use glossary::{ClusterIdentity, ServerId};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{CertificateError, Roles};

/// The scheme of the URI.
const SCHEME: &str = "ovs://";

/// How names of servers begin, and of nobody else.
const SERVER: &str = "server-";

/// Who somebody is, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster that they belong to.
    pub cluster: ClusterIdentity,
    /// The server that they are; `None` for a client.
    pub server: Option<ServerId>,
    /// Their name: `server-N`, or a client's.
    pub name: String,
    /// What they may do.
    pub roles: Roles,
}

impl Identity {
    /// A server. Its number lies between 1 and [`ServerId::MAX`].
    pub fn server(cluster: ClusterIdentity, server: ServerId, roles: Roles) -> Self {
        Identity { cluster, server: Some(server), name: format!("{SERVER}{server}"), roles }
    }

    /// A client. Fails for a name that can't be one, or that is a server's.
    pub fn client(cluster: ClusterIdentity, name: &str, roles: Roles) -> Result<Self, CertificateError> {
        if !is_name(name) || name.starts_with(SERVER) {
            return Err(CertificateError::Name(name.into()));
        }
        Ok(Identity { cluster, server: None, name: name.into(), roles })
    }

    /// Reads what [`fmt::Display`] writes.
    pub(crate) fn read(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix(SCHEME)?.split('/');
        let (cluster, name, roles) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let (cluster, roles) = (cluster_of(cluster)?, Roles::read(roles));
        match server_number(name) {
            Some(server) => Some(Identity::server(cluster, server, roles)),
            None => Identity::client(cluster, name, roles).ok(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.cluster, self.name, self.roles)
    }
}

/// Reads 32 hexadecimal digits.
pub(crate) fn cluster_of(hex: &str) -> Option<ClusterIdentity> {
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return None;
    }
    u128::from_str_radix(hex, 16).ok().map(|number| ClusterIdentity(number.to_be_bytes()))
}

/// The number in `server-N`, where a name is one.
fn server_number(name: &str) -> Option<ServerId> {
    let digits = name.strip_prefix(SERVER).filter(|digits| !digits.starts_with('0'))?;
    let number = digits.parse().ok().filter(|number| (1..=ServerId::MAX.0).contains(number))?;
    Some(ServerId(number))
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len())
        && name.bytes().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Whose a chain of certificates is: the first one's. It says nothing of whether the chain is to be believed, which the
/// handshake has found out.
pub fn identity_of(chain: &[CertificateDer<'_>]) -> Result<Identity, CertificateError> {
    let first = chain.first().ok_or_else(|| CertificateError::Foreign("there is none".into()))?;
    let (_, certificate) =
        X509Certificate::from_der(first).map_err(|error| CertificateError::Foreign(error.to_string()))?;
    identity_in(&certificate)
}

/// Whose a certificate is.
pub(crate) fn identity_in(certificate: &X509Certificate<'_>) -> Result<Identity, CertificateError> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let mut identities =
        names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::URI(uri) => Identity::read(uri),
            _ => None,
        });
    match (identities.next(), identities.next()) {
        (Some(identity), None) => Ok(identity),
        _ => Err(CertificateError::Foreign("it doesn't name one server or client of a cluster".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    const CLUSTER: ClusterIdentity = ClusterIdentity([0xa5; 16]);

    #[test]
    fn an_identity_reads_what_it_wrote() {
        let server = Identity::server(CLUSTER, ServerId(3), Roles::of([Role::Kv, Role::Asd]));
        assert_eq!(server.to_string(), "ovs://a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5/server-3/kv+asd");
        assert_eq!(Identity::read(&server.to_string()), Some(server));
        let client = Identity::client(CLUSTER, "backup", Roles::of([Role::Client])).expect("a name");
        assert_eq!(Identity::read(&client.to_string()), Some(client));
    }

    #[test]
    fn no_client_is_called_like_a_server_and_no_name_breaks_the_uri() {
        for name in
            ["server-3", "server-0", "server-x", "", "Big", "a/b", "1a", "a b", "\u{e9}", &"a".repeat(65)]
        {
            assert!(Identity::client(CLUSTER, name, Roles::default()).is_err(), "{name}");
        }
        for uri in [
            "ovs://a5/x/kv",
            "ovs://a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5/x",
            "http://a/b/c",
            "ovs://A5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5/x/kv",
        ] {
            assert_eq!(Identity::read(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_role_of_a_newer_program_allows_nothing() {
        let uri = format!("{SCHEME}{CLUSTER}/backup/client+teleport");
        let identity = Identity::read(&uri).expect("an identity");
        assert_eq!(identity.roles, Roles::of([Role::Client]));
    }
}
