//! What can be wrong with certificates.

use std::io;
use std::path::PathBuf;

/// Why certificates can't be used or made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{}: {why}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A certificate is no certificate of a cluster.
    #[error("not a certificate of a server or client of a cluster: {0}")]
    Foreign(String),
    /// A certificate belongs to another cluster.
    #[error("a certificate of another cluster: {theirs} instead of {ours}")]
    OtherCluster {
        /// Whose it should be.
        ours: glossary::ClusterIdentity,
        /// Whose it is.
        theirs: glossary::ClusterIdentity,
    },
    /// A name that no certificate can have.
    #[error(
        "{0:?} is no client's name: 1 to 64 of a-z, 0-9 and -, beginning with a letter, and not with server-"
    )]
    Name(String),
    /// What was to be revoked was never issued.
    #[error("no certificate was issued to {0}")]
    NotIssued(String),
    /// The library refuses what it is asked for.
    #[error("making a certificate: {0}")]
    Making(String),
}

impl CertificateError {
    pub(crate) fn content(path: &std::path::Path, why: impl Into<String>) -> Self {
        CertificateError::Content { path: path.to_owned(), why: why.into() }
    }
}

impl From<rcgen::Error> for CertificateError {
    fn from(error: rcgen::Error) -> Self {
        CertificateError::Making(error.to_string())
    }
}
