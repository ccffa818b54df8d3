//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::CertificateError;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner: it holds a private key.
    Owner,
    /// Everybody.
    All,
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, CertificateError> {
    fs::read_to_string(path).map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

/// Makes a folder that only its owner may enter, where it isn't there yet.
pub(crate) fn make_folder(path: &Path) -> Result<(), CertificateError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

/// Writes a file in the place of what is there; after a crash there is the old one or the new one.
pub(crate) fn write(path: &Path, text: &str, readers: Readers) -> Result<(), CertificateError> {
    replace(path, text, readers).map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

fn replace(path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let new = folder.join(name);
    // A file that a crash left may have other readers than this one may have.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}
