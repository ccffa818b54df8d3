//! What a role's folder is made with.

use alloc::vec::Vec;
use bytes::Bytes;
use formats::identity::{Folder, Identity};
use step::FileName;

/// The files of a new folder, in the order in which they are made durable: who it is comes last, so that a folder that
/// says so is whole. An ASD's and a KV's say that they have no log yet.
pub fn first_files(identity: &Identity) -> Vec<(FileName, Bytes)> {
    let mut files = Vec::new();
    match identity.folder {
        Folder::Asd { .. } => files.push((asd::new_file(), Bytes::new())),
        Folder::Kv => files.push((kv::new_file(), Bytes::new())),
        Folder::Root | Folder::WriteBuffer { .. } => {}
    }
    files.push((FileName::new(format_args!("identity")), identity.encode().into()));
    files
}
