//! Who is who between processes: the cluster's authority, the certificates that it issues, and TLS from them.
//!
//! A cluster has one authority (two while it is replaced). A certificate says to which cluster its holder belongs,
//! which server or client it is, and what it may do ([`Roles`]). Both ends of every connection show one. Only TLS 1.3;
//! sessions are not resumed, so a revoked certificate opens nothing.
#![forbid(unsafe_code)]

mod authority;
mod credentials;
mod errors;
mod files;
mod identity;
mod issued;
mod pem;
mod revocations;
mod role;

pub use authority::Authority;
pub use credentials::{Credentials, server_name};
pub use errors::CertificateError;
pub use identity::{Identity, identity_of};
pub use issued::{Issued, IssuedBy};
pub use role::{Role, Roles};

/// The file of a folder that holds the authorities that are trusted, the newest first.
pub const AUTHORITY_FILE: &str = "authority.pem";

/// The file of a folder that holds what the authorities have revoked.
pub const REVOKED_FILE: &str = "revoked.pem";

/// The file of a folder that holds a certificate and its private key: one file, so that both change at once.
pub const NODE_FILE: &str = "node.pem";
