//! PEM files of several sections.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::{CertificateError, files};

/// The certificates of a file: at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    sections(path, "certificate")
}

/// The revocation lists of a file: at least one.
pub(crate) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, CertificateError> {
    sections(path, "revocation list")
}

/// The private key of a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let text = files::read(path)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| CertificateError::content(path, format!("it holds no private key: {error}")))
}

fn sections<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>, CertificateError> {
    let text = files::read(path)?;
    let read: Result<Vec<T>, _> = T::pem_slice_iter(text.as_bytes()).collect();
    match read {
        Ok(sections) if sections.is_empty() => {
            Err(CertificateError::content(path, format!("it holds no {what}")))
        }
        Ok(sections) => Ok(sections),
        Err(error) => Err(CertificateError::content(path, format!("it holds a damaged {what}: {error}"))),
    }
}

/// The sections of a text, each with its markers, whatever they hold.
pub(crate) fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        let block = blocks.last_mut().expect("there is one");
        block.push_str(line);
        block.push('\n');
        if line.starts_with("-----END") {
            blocks.push(String::new());
        }
    }
    blocks.retain(|block| block.contains("-----END"));
    blocks
}
