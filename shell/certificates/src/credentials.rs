//! A certificate with its key, ready for TLS.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use glossary::ClusterIdentity;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::revocations::{self, serial_of};
use crate::{AUTHORITY_FILE, CertificateError, Identity, NODE_FILE, REVOKED_FILE, files, identity_of, pem};

/// The name that every server of a cluster has in TLS. Which server it is, its identity says.
pub fn server_name(cluster: ClusterIdentity) -> String {
    format!("{cluster}.ovs.internal")
}

/// What one end of a connection needs: who it is, how it proves that, and whom it believes.
#[derive(Clone)]
pub struct Credentials {
    me: Identity,
    until: SystemTime,
    server: Option<Arc<ServerConfig>>,
    client: Arc<ClientConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
    /// The numbers of certificates that any authority of the cluster has revoked.
    revoked: BTreeSet<Vec<u8>>,
    /// What it was made of, to find out whether that has changed.
    texts: [String; 3],
    folder: PathBuf,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("me", &self.me)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Loads them from a folder that [`crate::Authority::issue`] wrote.
    pub fn load(folder: &Path) -> Result<Self, CertificateError> {
        let texts = texts_in(folder)?;
        let parts = Parts::load(folder)?;
        let me = identity_of(&parts.chain)?;
        let until = end_of(&parts.chain[0])?;
        let node = folder.join(NODE_FILE);
        let refused = |error: rustls::Error| CertificateError::content(&node, error.to_string());
        let server = me.server.is_some().then(|| parts.server(folder)).transpose()?;
        let client = parts.client(folder)?.map_err(refused)?;
        let verifier = parts.verifier(folder)?;
        let server = server.transpose().map_err(refused)?.map(Arc::new);
        Ok(Credentials {
            me,
            until,
            server,
            client: Arc::new(client),
            verifier,
            revoked: revocations::serials(&parts.revocations),
            texts,
            folder: folder.to_owned(),
        })
    }

    /// The same from the same folder, where something in it has changed; `None` where nothing has.
    pub fn reloaded(&self) -> Result<Option<Self>, CertificateError> {
        if texts_in(&self.folder)? == self.texts {
            Ok(None)
        } else {
            Credentials::load(&self.folder).map(Some)
        }
    }

    /// Who holds them.
    pub fn me(&self) -> &Identity {
        &self.me
    }

    /// Until when they are good.
    pub fn until(&self) -> SystemTime {
        self.until
    }

    /// For accepting connections; `None` for a client's.
    pub fn server(&self) -> Option<Arc<ServerConfig>> {
        self.server.clone()
    }

    /// For making connections, to the name [`server_name`].
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client.clone()
    }

    /// Who the other end is, after a handshake: of the same cluster and not revoked, or nobody. The handshake looks for a
    /// certificate in the list of its issuer alone; one that was replaced, and whose key is lost, makes no list any more.
    pub fn peer(&self, chain: &[CertificateDer<'_>]) -> Result<Identity, CertificateError> {
        let theirs = identity_of(chain)?;
        if serial_in(chain).is_none_or(|serial| self.revoked.contains(&serial)) {
            return Err(CertificateError::Foreign(format!("the certificate of {} was revoked", theirs.name)));
        }
        if theirs.cluster != self.me.cluster {
            return Err(CertificateError::OtherCluster { ours: self.me.cluster, theirs: theirs.cluster });
        }
        Ok(theirs)
    }

    /// Whether a chain is to be believed still that was believed in an earlier handshake: not revoked since, and not
    /// at its end.
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<Identity, CertificateError> {
        let theirs = self.peer(chain)?;
        let (first, others) =
            chain.split_first().ok_or_else(|| CertificateError::Foreign("there is none".into()))?;
        self.verifier
            .verify_client_cert(first, others, UnixTime::now())
            .map_err(|error| CertificateError::Foreign(error.to_string()))?;
        Ok(theirs)
    }
}

/// What the files hold.
struct Parts {
    roots: Arc<RootCertStore>,
    revocations: Vec<CertificateRevocationListDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl Parts {
    fn load(folder: &Path) -> Result<Self, CertificateError> {
        let (authority, node) = (folder.join(AUTHORITY_FILE), folder.join(NODE_FILE));
        let mut roots = RootCertStore::empty();
        for certificate in pem::certificates(&authority)? {
            let refused = |error: rustls::Error| CertificateError::content(&authority, error.to_string());
            roots.add(certificate).map_err(refused)?;
        }
        Ok(Parts {
            roots: Arc::new(roots),
            revocations: pem::revocations(&folder.join(REVOKED_FILE))?,
            chain: pem::certificates(&node)?,
            key: pem::private_key(&node)?,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        })
    }

    fn verifier(&self, folder: &Path) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
        WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone())
            .with_crls(self.revocations.iter().cloned())
            .build()
            .map_err(|error| CertificateError::content(&folder.join(REVOKED_FILE), error.to_string()))
    }

    fn server(&self, folder: &Path) -> Result<Result<ServerConfig, rustls::Error>, CertificateError> {
        let verifier = self.verifier(folder)?;
        let config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map(|builder| builder.with_client_cert_verifier(verifier))
            .and_then(|builder| builder.with_single_cert(self.chain.clone(), self.key.clone_key()));
        Ok(config.map(|mut config| {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }))
    }

    fn client(&self, folder: &Path) -> Result<Result<ClientConfig, rustls::Error>, CertificateError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots.clone(), self.provider.clone())
            .with_crls(self.revocations.iter().cloned())
            .build()
            .map_err(|error| CertificateError::content(&folder.join(REVOKED_FILE), error.to_string()))?;
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map(|builder| builder.with_webpki_verifier(verifier))
            .and_then(|builder| builder.with_client_auth_cert(self.chain.clone(), self.key.clone_key()));
        Ok(config.map(|mut config| {
            config.resumption = Resumption::disabled();
            config
        }))
    }
}

fn texts_in(folder: &Path) -> Result<[String; 3], CertificateError> {
    let read = |name| files::read(&folder.join(name));
    Ok([read(AUTHORITY_FILE)?, read(REVOKED_FILE)?, read(NODE_FILE)?])
}

fn serial_in(chain: &[CertificateDer<'_>]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    Some(serial_of(certificate.raw_serial()))
}

fn end_of(certificate: &CertificateDer<'_>) -> Result<SystemTime, CertificateError> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|error| CertificateError::Foreign(error.to_string()))?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}
