// Every decoder of bytes from disk or wire, on bytes from anybody: none panics, whatever they are.

use bytes::Bytes;
use formats::journal::{self, Kind};
use formats::{asd_record, fragment, frame, hello, kv_backup, kv_store, recording, registry, sco, tlog};

/// Gives the bytes to every decoder. A frame decoder must not care how a stream was cut.
pub(crate) fn decode_all(data: &[u8]) {
    let whole = frames(&[data]);
    let (left, right) = data.split_at(data.len() / 2);
    assert_eq!(frames(&[left, right]), whole);
    let bytes = Bytes::copy_from_slice(data);
    for kind in [
        Kind::TLOG,
        Kind::ASD_SEGMENT,
        Kind::ASD_CHECKPOINT,
        Kind::KV_LOG,
        Kind::KV_SNAPSHOT,
        Kind::KV_BACKUP,
        Kind::MAP,
    ] {
        if let Ok(scan) = journal::scan(&bytes, kind, &[9; 16], 1) {
            assert!(scan.batches.iter().all(|batch| batch.position < batch.end));
        }
    }
    let _ = tlog::Entry::decode_all(data);
    let _ = tlog::decode_label(data);
    let _ = formats::kv_member::MemberFile::decode(data);
    let _ = hello::Hello::decode(data);
    let _ = sco::ScoHeader::decode(data);
    let _ = sco::decode_trailer(data, glossary::ScoId(1));
    let _ = kv_store::decode_commands(data);
    let _ = kv_store::decode_part(data);
    let _ = kv_store::decode_knows(data);
    let _ = formats::kv_level::decode(data);
    let _ = formats::kv_members::decode(data);
    let _ = registry::decode::<formats::manifest::Manifest>(data);
    let _ = registry::decode::<registry::ClusterRecord>(data);
    let _ = kv_backup::Backup::read(&bytes);
    let _ = fragment::decode(&bytes);
    assert!(asd_record::records(1, data).take(data.len() + 2).count() <= data.len() + 1);
    let mut rest = data;
    if recording::read_header(&mut rest).is_ok() {
        while let Ok(Some(_)) = recording::Recorded::next(&mut rest) {}
    }
}

fn frames(pieces: &[&[u8]]) -> Vec<Result<formats::Message, frame::FrameError>> {
    let (mut decoder, mut found) = (frame::Decoder::new(), Vec::new());
    for piece in pieces {
        decoder.feed(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some((_, _, message))) => found.push(Ok(message)),
                Ok(None) => break,
                Err(error) => {
                    found.push(Err(error));
                    if !matches!(error, frame::FrameError::Unknown(_)) {
                        return found;
                    }
                }
            }
        }
    }
    found
}
