//! A digest of what a role wanted.

use alloc::format;
use checksum::Crc32c;
use glossary::NodeId;
use step::DiskOperation;

use crate::work::Work;
use crate::{Effect, frame};

/// The digest of the effects of a step: CRC-32C over each in order. Data counts by its bytes, whatever pieces
/// it is in.
pub fn digest_of(effects: &[Effect]) -> u32 {
    let mut digest = Crc32c::new();
    effects.iter().for_each(|effect| add(&mut digest, effect));
    digest.finish()
}

fn add(digest: &mut Crc32c, effect: &Effect) {
    match effect {
        Effect::Send { to, message } => {
            frame::encode(message, NodeId(0), *to).iter().for_each(|piece| digest.update(piece));
        }
        Effect::Disk { operation, what: DiskOperation::Write { file, offset, pieces } } => {
            digest.update(format!("write {operation:?} {file} {offset}").as_bytes());
            pieces.iter().for_each(|piece| digest.update(piece));
        }
        Effect::Disk { operation, what: DiskOperation::WriteThrough { file, offset, pieces } } => {
            digest.update(format!("write through {operation:?} {file} {offset}").as_bytes());
            pieces.iter().for_each(|piece| digest.update(piece));
        }
        Effect::Work { job, work } => {
            digest.update(format!("work {job:?}").as_bytes());
            add_work(digest, work);
        }
        other => digest.update(format!("{other:?}").as_bytes()),
    }
}

fn add_work(digest: &mut Crc32c, work: &Work) {
    match work {
        Work::Encode(encode) => {
            let shape = (encode.k, encode.m, encode.block_clusters, encode.fragment_clusters);
            let whose = (encode.object, encode.chunk, &encode.attempts);
            digest.update(format!("encode {shape:?} {whose:?}").as_bytes());
            encode.data.pieces().iter().for_each(|piece| digest.update(piece));
        }
        Work::Reconstruct(reconstruct) => {
            let shape = (reconstruct.k, reconstruct.m, &reconstruct.wanted);
            digest.update(format!("reconstruct {shape:?}").as_bytes());
            for (index, bytes) in &reconstruct.present {
                digest.update(format!("from {index}").as_bytes());
                digest.update(bytes);
            }
        }
        Work::Check(data) => {
            digest.update(b"check");
            data.pieces().iter().for_each(|piece| digest.update(piece));
        }
    }
}
