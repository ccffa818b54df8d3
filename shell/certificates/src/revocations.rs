//! What an authority has revoked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::CertificateRevocationListDer;
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::{CertificateError, files, pem};

/// What the newest authority says is revoked: its own certificates, and those of authorities before it, which can't say so
/// any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revocations {
    /// The number of the list: each has a larger one than those before it.
    number: u64,
    /// Which, and since when.
    revoked: BTreeMap<Vec<u8>, OffsetDateTime>,
}

impl Revocations {
    /// What the authority of this name says, and what the others of the file did.
    pub(crate) fn of(path: &Path, name: &[u8]) -> Result<Self, CertificateError> {
        let lists = pem::revocations(path)?;
        let of_name = |list: &&CertificateRevocationListDer<'_>| is_of(list, name);
        let own = lists.iter().find(of_name).and_then(|list| CertificateRevocationList::from_der(list).ok());
        let (_, list) = own
            .ok_or_else(|| CertificateError::content(path, "the list of the newest authority is missing"))?;
        let number = list.crl_number().and_then(|number| number.iter_u64_digits().next()).unwrap_or(0);
        Ok(Revocations { number, revoked: lists.iter().flat_map(entries).collect() })
    }

    /// Revokes a certificate; whether it wasn't before.
    pub(crate) fn add(&mut self, serial: &[u8]) -> bool {
        let now = OffsetDateTime::from(SystemTime::now());
        let is_new = !self.has(serial);
        if is_new {
            self.revoked.insert(serial.to_owned(), now);
        }
        is_new
    }

    /// Whether a certificate is revoked.
    pub(crate) fn has(&self, serial: &[u8]) -> bool {
        self.revoked.contains_key(serial)
    }

    /// The next list, as PEM. Lists don't expire: an unreachable authority must not stop the cluster.
    pub(crate) fn signed(&self, issuer: &Issuer<'_, KeyPair>) -> Result<String, CertificateError> {
        let revoked = |(serial, since): (&Vec<u8>, &OffsetDateTime)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: *since,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: OffsetDateTime::from(SystemTime::now()),
            next_update: date_time_ymd(9999, 12, 31),
            crl_number: SerialNumber::from(self.number + 1),
            issuing_distribution_point: None,
            revoked_certs: self.revoked.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(issuer)?.pem()?)
    }
}

/// The numbers of all certificates that any of the lists names. They are drawn at random, so no two authorities give the same.
pub(crate) fn serials(lists: &[CertificateRevocationListDer<'_>]) -> BTreeSet<Vec<u8>> {
    lists.iter().flat_map(entries).map(|(serial, _)| serial).collect()
}

fn entries(list: &CertificateRevocationListDer<'_>) -> Vec<(Vec<u8>, OffsetDateTime)> {
    let Ok((_, list)) = CertificateRevocationList::from_der(list) else { return Vec::new() };
    let entry = |revoked: &x509_parser::revocation_list::RevokedCertificate<'_>| {
        (serial_of(revoked.raw_serial()), revoked.revocation_date.to_datetime())
    };
    list.iter_revoked_certificates().map(entry).collect()
}

/// The lists of a file that are not those of the authority of this name, as PEM.
pub(crate) fn of_others(path: &Path, name: &[u8]) -> Result<String, CertificateError> {
    let lists = pem::revocations(path)?;
    let blocks = pem::blocks(&files::read(path)?);
    let others = lists.iter().zip(blocks).filter(|(list, _)| !is_of(list, name));
    Ok(others.map(|(_, block)| block).collect())
}

fn is_of(list: &CertificateRevocationListDer<'_>, name: &[u8]) -> bool {
    CertificateRevocationList::from_der(list).is_ok_and(|(_, list)| list.issuer().as_raw() == name)
}

/// A serial number without the zeros in front, which say nothing.
pub(crate) fn serial_of(raw: &[u8]) -> Vec<u8> {
    raw.iter().copied().skip_while(|byte| *byte == 0).collect()
}
