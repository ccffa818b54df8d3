//! The cluster's authority: the key that says who belongs to the cluster.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use glossary::ClusterIdentity;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, string::Ia5String,
};
use rustix::rand::{GetRandomFlags, getrandom};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::files::{self, Readers};
use crate::identity::cluster_of;
use crate::issued::{self, Issued};
use crate::revocations::{self, Revocations};
use crate::{AUTHORITY_FILE, CertificateError, Identity, NODE_FILE, REVOKED_FILE, pem, server_name};

/// The file of the authority's private key.
const KEY_FILE: &str = "authority.key";

/// Where copies of all certificates lie that were issued.
const ISSUED_FOLDER: &str = "issued";

/// How long an authority is good for.
const AUTHORITY_LIFE: Duration = Duration::from_hours(20 * 366 * 24);

/// How long before its making a certificate is good: clocks of servers differ.
const SKEW: Duration = Duration::from_hours(24);

/// An authority, with its private key. Its folder is as secret as the cluster's data.
pub struct Authority {
    folder: PathBuf,
    cluster: ClusterIdentity,
    /// As its certificate and its list of revocations name it.
    name: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority for a new cluster, or opens the one that is there; what a crash left half-made is
    /// completed.
    pub fn create(folder: &Path) -> Result<Self, CertificateError> {
        if folder.join(AUTHORITY_FILE).exists() {
            return Authority::open(folder);
        }
        files::make_folder(&folder.join(ISSUED_FOLDER))?;
        Authority::begin(folder, ClusterIdentity(random()))
    }

    /// Puts a new authority in the place of one, whose key may be lost: certificates of the old one stay good until
    /// [`Authority::retire`]. Everybody needs the new `authority.pem` and `revoked.pem` before anybody gets a
    /// certificate of the new one.
    pub fn replace(folder: &Path) -> Result<Self, CertificateError> {
        let trusted = files::read(&folder.join(AUTHORITY_FILE))?;
        let revoked = files::read(&folder.join(REVOKED_FILE))?;
        let cluster = cluster_in(&folder.join(AUTHORITY_FILE))?;
        let (key, certificate) = self_signed(cluster)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate.pem(), key)?;
        let none = Revocations::default().signed(&issuer)?;
        // The lists first: an authority without its list is trusted by nobody. The key last: with the old one and
        // the new certificate `open` refuses, and this is done again.
        files::write(&folder.join(REVOKED_FILE), &format!("{none}{revoked}"), Readers::All)?;
        files::write(&folder.join(AUTHORITY_FILE), &format!("{}{trusted}", certificate.pem()), Readers::All)?;
        files::write(&folder.join(KEY_FILE), &issuer.key().serialize_pem(), Readers::Owner)?;
        Authority::open(folder)
    }

    /// Trusts this authority alone: certificates of those before it are worth nothing any more. What they revoked stays so.
    pub fn retire(&self) -> Result<(), CertificateError> {
        // The lists last: an authority without its list is trusted by nobody.
        let authorities = self.folder.join(AUTHORITY_FILE);
        let newest = pem::blocks(&files::read(&authorities)?).swap_remove(0);
        files::write(&authorities, &newest, Readers::All)?;
        let own = self.revocations()?.signed(&self.issuer)?;
        files::write(&self.folder.join(REVOKED_FILE), &own, Readers::All)
    }

    /// Opens an authority.
    pub fn open(folder: &Path) -> Result<Self, CertificateError> {
        let (certificates, key_path) = (folder.join(AUTHORITY_FILE), folder.join(KEY_FILE));
        let newest = pem::certificates(&certificates)?.swap_remove(0);
        if !key_path.exists() {
            let why = "the authority's private key is missing; put it back, or replace the authority";
            return Err(CertificateError::content(&key_path, why));
        }
        let key = KeyPair::from_pem(&files::read(&key_path)?).map_err(|error| {
            CertificateError::content(&key_path, format!("it holds no private key: {error}"))
        })?;
        if !belongs(&newest, &key) {
            let why = "the private key is not that of the newest authority; put the right one back, or replace the \
                       authority";
            return Err(CertificateError::content(&key_path, why));
        }
        let revoked = folder.join(REVOKED_FILE);
        if !revoked.exists() {
            let why = "what was revoked is not known; put the file back from any server's certificates";
            return Err(CertificateError::content(&revoked, why));
        }
        let cluster = cluster_in(&certificates)?;
        let name = name_of(&newest)
            .ok_or_else(|| CertificateError::content(&certificates, "it holds no certificate"))?;
        let issuer = Issuer::from_ca_cert_der(&newest, key)?;
        Ok(Authority { folder: folder.to_owned(), cluster, name, issuer })
    }

    /// The cluster.
    pub fn cluster(&self) -> ClusterIdentity {
        self.cluster
    }

    /// Issues a certificate for so long, with a new key, into a folder of its holder. One that is there is
    /// replaced by it, at once; its old certificate stays good until it ends or is revoked.
    pub fn issue(&self, holder: &Identity, life: Duration, folder: &Path) -> Result<(), CertificateError> {
        files::make_folder(folder)?;
        let key = KeyPair::generate()?;
        let certificate = self.parameters_for(holder, life)?.signed_by(&key, &self.issuer)?;
        issued::keep(&self.folder.join(ISSUED_FOLDER), &certificate)?;
        self.share(folder)?;
        let node = format!("{}{}", certificate.pem(), key.serialize_pem());
        files::write(&folder.join(NODE_FILE), &node, Readers::Owner)
    }

    /// Writes whom to trust, and what is revoked, into a folder of a holder of a certificate.
    pub fn share(&self, folder: &Path) -> Result<(), CertificateError> {
        for name in [REVOKED_FILE, AUTHORITY_FILE] {
            files::write(&folder.join(name), &files::read(&self.folder.join(name))?, Readers::All)?;
        }
        Ok(())
    }

    /// Every certificate that was issued, the oldest first.
    pub fn issued(&self) -> Result<Vec<Issued>, CertificateError> {
        let trusted = pem::certificates(&self.folder.join(AUTHORITY_FILE))?;
        let names: Vec<_> = trusted.iter().filter_map(name_of).collect();
        issued::all(&self.folder.join(ISSUED_FOLDER), &self.revocations()?, &names)
    }

    /// Revokes all certificates of a name, but those that were renewed when only the old ones are meant. Gives the
    /// number of those that are revoked now and were not before. Everybody has to get `revoked.pem`.
    pub fn revoke(&self, name: &str, only_replaced: bool) -> Result<usize, CertificateError> {
        let mut of_name: Vec<_> =
            self.issued()?.into_iter().filter(|issued| issued.identity.name == name).collect();
        if of_name.is_empty() {
            return Err(CertificateError::NotIssued(name.into()));
        }
        if only_replaced {
            of_name.pop();
        }
        let mut revocations = self.revocations()?;
        let new = of_name.into_iter().filter(|issued| revocations.add(&issued.serial)).count();
        if new > 0 {
            self.write_revocations(&revocations)?;
        }
        Ok(new)
    }

    fn revocations(&self) -> Result<Revocations, CertificateError> {
        Revocations::of(&self.folder.join(REVOKED_FILE), &self.name)
    }

    fn write_revocations(&self, revocations: &Revocations) -> Result<(), CertificateError> {
        let path = self.folder.join(REVOKED_FILE);
        let others = revocations::of_others(&path, &self.name)?;
        files::write(&path, &format!("{}{others}", revocations.signed(&self.issuer)?), Readers::All)
    }

    fn begin(folder: &Path, cluster: ClusterIdentity) -> Result<Self, CertificateError> {
        let (key, certificate) = self_signed(cluster)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate.pem(), key)?;
        let none = Revocations::default().signed(&issuer)?;
        files::write(&folder.join(KEY_FILE), &issuer.key().serialize_pem(), Readers::Owner)?;
        files::write(&folder.join(REVOKED_FILE), &none, Readers::All)?;
        // The last: with it, all is there.
        files::write(&folder.join(AUTHORITY_FILE), &certificate.pem(), Readers::All)?;
        Authority::open(folder)
    }

    fn parameters_for(
        &self,
        holder: &Identity,
        life: Duration,
    ) -> Result<CertificateParams, CertificateError> {
        let mut parameters = parameters(&holder.name, life)?;
        let uri = Ia5String::try_from(holder.to_string())?;
        parameters.subject_alt_names.push(SanType::URI(uri));
        parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        if holder.server.is_some() {
            let name = Ia5String::try_from(server_name(self.cluster))?;
            parameters.subject_alt_names.push(SanType::DnsName(name));
            parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.use_authority_key_identifier_extension = true;
        Ok(parameters)
    }
}

fn self_signed(cluster: ClusterIdentity) -> Result<(KeyPair, Certificate), CertificateError> {
    let key = KeyPair::generate()?;
    // Two authorities of a cluster have different names: whose list of revocations is whose goes by name.
    let number = u32::from_be_bytes(random());
    let mut parameters =
        parameters(&format!("Open vStorage authority {cluster} {number:08x}"), AUTHORITY_LIFE)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.subject_alt_names.push(SanType::URI(Ia5String::try_from(authority_uri(cluster))?));
    let certificate = parameters.self_signed(&key)?;
    Ok((key, certificate))
}

fn parameters(name: &str, life: Duration) -> Result<CertificateParams, CertificateError> {
    let now = OffsetDateTime::from(SystemTime::now());
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = now - SKEW;
    parameters.not_after = now + life;
    let serial: [u8; 16] = random();
    parameters.serial_number = Some(rcgen::SerialNumber::from_slice(&serial));
    Ok(parameters)
}

fn authority_uri(cluster: ClusterIdentity) -> String {
    format!("ovs://{cluster}")
}

/// The cluster of the newest authority of a file.
fn cluster_in(path: &Path) -> Result<ClusterIdentity, CertificateError> {
    let newest = pem::certificates(path)?.swap_remove(0);
    let cluster = X509Certificate::from_der(&newest).ok().and_then(|(_, certificate)| {
        let names = certificate.subject_alternative_name().ok().flatten()?;
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::URI(uri) => cluster_of(uri.strip_prefix("ovs://")?),
            _ => None,
        })
    });
    cluster.ok_or_else(|| CertificateError::content(path, "it is no authority of a cluster"))
}

/// The name of who a certificate is for, as it stands in it.
fn name_of(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.subject().as_raw().to_owned())
}

/// Whether a certificate is about a key.
fn belongs(certificate: &CertificateDer<'_>, key: &KeyPair) -> bool {
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, certificate)| certificate.public_key().raw == key.subject_public_key_info())
}

/// Random bytes of the operating system.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Fewer than 256 bytes come at once.
    let length = getrandom(&mut bytes, GetRandomFlags::empty()).expect("the operating system has randomness");
    assert_eq!(length, N, "short reads are not for so few bytes");
    bytes
}
