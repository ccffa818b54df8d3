//! Copies of all certificates that an authority has issued: who holds what, until when.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::Certificate;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::files::{self, Readers};
use crate::identity::identity_in;
use crate::revocations::{Revocations, serial_of};
use crate::{CertificateError, Identity, pem};

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// To whom.
    pub identity: Identity,
    /// Its number.
    pub serial: Vec<u8>,
    /// From when it is good.
    pub from: SystemTime,
    /// Until when it is good.
    pub until: SystemTime,
    /// Whether it was revoked.
    pub is_revoked: bool,
    /// Who issued it.
    pub issuer: IssuedBy,
}

/// Which authority issued a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuedBy {
    /// The one that issues now.
    Newest,
    /// One that was replaced, and is trusted still.
    Replaced,
    /// One that was retired: nobody believes it.
    Retired,
}

/// Keeps a copy. It is kept before anybody gets the certificate: one that isn't known can't be revoked.
pub(crate) fn keep(folder: &Path, certificate: &Certificate) -> Result<(), CertificateError> {
    let count = files_in(folder)?.len();
    let number = (count..).find(|number| !folder.join(name(*number)).exists()).expect("some number is free");
    files::write(&folder.join(name(number)), &certificate.pem(), Readers::All)
}

fn name(number: usize) -> String {
    format!("{number:06}.pem")
}

/// All of them, in the order in which they were issued.
///
/// `trusted`: the names of the authorities that are, the newest first.
pub(crate) fn all(
    folder: &Path,
    revocations: &Revocations,
    trusted: &[Vec<u8>],
) -> Result<Vec<Issued>, CertificateError> {
    files_in(folder)?.iter().map(|path| read(path, revocations, trusted)).collect()
}

fn read(path: &Path, revocations: &Revocations, trusted: &[Vec<u8>]) -> Result<Issued, CertificateError> {
    let der = pem::certificates(path)?.swap_remove(0);
    let (_, certificate) = X509Certificate::from_der(&der)
        .map_err(|error| CertificateError::content(path, format!("it holds no certificate: {error}")))?;
    let serial = serial_of(certificate.raw_serial());
    let time = |time: x509_parser::time::ASN1Time| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
    };
    Ok(Issued {
        identity: identity_in(&certificate)?,
        is_revoked: revocations.has(&serial),
        issuer: match trusted.iter().position(|name| name == certificate.issuer().as_raw()) {
            Some(0) => IssuedBy::Newest,
            Some(_) => IssuedBy::Replaced,
            None => IssuedBy::Retired,
        },
        serial,
        from: time(certificate.validity().not_before),
        until: time(certificate.validity().not_after),
    })
}

fn files_in(folder: &Path) -> Result<Vec<std::path::PathBuf>, CertificateError> {
    let failed = |source| CertificateError::File { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
