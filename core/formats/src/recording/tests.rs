use super::*;
use crate::samples;
use crate::work::Done;
use alloc::vec::Vec;
use bytes::Bytes;
use glossary::{ClientId, ClusterIdentity, NodeId};
use step::{DiskError, DiskOutcome, FileName, JobId, OperationId, TimerId};

fn events() -> Vec<Event> {
    let name = FileName::parse("segment-1").expect("a name");
    let disk = |result| Event::Disk { operation: OperationId(7), result };
    let pair = |bytes: &'static [u8]| Bytes::from_static(bytes);
    let worked = |result| Event::Worked { job: JobId(8), result };
    let mut events = alloc::vec![
        Event::Start { seed: [5; 32] },
        Event::Timer(TimerId(9)),
        Event::TurnEnd,
        disk(Ok(DiskOutcome::Done)),
        disk(Ok(DiskOutcome::Read(Bytes::from_static(b"data")))),
        disk(Ok(DiskOutcome::Listed(alloc::vec![(name, 4096)]))),
        disk(Ok(DiskOutcome::Space { free: 1, total: 2 })),
        disk(Err(DiskError::NotFound)),
        disk(Err(DiskError::Full)),
        disk(Err(DiskError::Failed)),
        disk(Ok(DiskOutcome::Pairs { pairs: alloc::vec![(pair(b"key"), pair(b"value"))], is_all: true })),
        disk(Err(DiskError::Damaged)),
        worked(Done::Encoded(alloc::vec![crate::Payload::entering(Bytes::from_static(b"fragment"))])),
        worked(Done::Reconstructed(alloc::vec![Bytes::from_static(b"block")])),
        worked(Done::Damaged),
        worked(Done::Impossible),
        worked(Done::Checked),
    ];
    events.extend(samples::messages().into_iter().map(|message| Event::Message { from: NodeId(3), message }));
    events
}

fn recording() -> (Vec<Recorded>, Vec<u8>) {
    let card = RoleCard::Kv { cluster: ClusterIdentity([1; 16]) };
    let mut entries = alloc::vec![Recorded::Begins { node: NodeId(1), card }];
    let step = |(index, event)| {
        let (node, now) = (NodeId(1), Timestamp(index as u64));
        Recorded::Stepped { node, now, event, effects: index as u32 }
    };
    entries.extend(events().into_iter().enumerate().map(step));
    let bytes = [header(), entries.iter().flat_map(Recorded::encode).collect()].concat();
    (entries, bytes)
}

#[test]
fn every_event_comes_back() {
    let (entries, bytes) = recording();
    let mut rest = &bytes[..];
    read_header(&mut rest).expect("a recording");
    for entry in entries {
        assert_eq!(Recorded::next(&mut rest), Ok(Some(entry)));
    }
    assert_eq!(Recorded::next(&mut rest), Ok(None));
}

/// What version 1 wrote of each card, for ever: with the length, the checks, and the node before it.
#[test]
fn cards_of_version_1_are_read() {
    let cluster = ClusterIdentity([1; 16]);
    let (node, kv, objects) = (NodeId(2), NodeId(1), NodeId(300));
    let cards: [(RoleCard, &[u8]); 4] = [
        (RoleCard::Kv { cluster }, &[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (RoleCard::Objects { kv, osds: Vec::new(), gone: alloc::vec![glossary::OsdId(5)] }, &[2, 1, 0, 1, 5]),
        (RoleCard::VolumeDriver { node, kv, objects, accept_loss: true }, &[3, 2, 1, 0xac, 2, 1]),
        (RoleCard::Edge { client: ClientId(4), volume_driver: node }, &[4, 4, 2]),
    ];
    for (card, bytes) in cards {
        let mut entry = alloc::vec![0, 9, 0, 0, 0];
        entry.extend_from_slice(bytes);
        let length = (entry.len() as u32).to_le_bytes();
        let head = [length, crc32c(&length).to_le_bytes(), crc32c(&entry).to_le_bytes()].concat();
        let file = [&MAGIC[..], &1_u16.to_le_bytes(), &head, &entry].concat();
        let mut rest = &file[..];
        read_header(&mut rest).expect("version 1");
        assert_eq!(Recorded::next(&mut rest), Ok(Some(Recorded::Begins { node: NodeId(9), card })));
    }
    let newer = [&MAGIC[..], &(VERSION + 1).to_le_bytes()].concat();
    assert_eq!(read_header(&mut &newer[..]), Err(RecordingError::Version(VERSION + 1)));
}

/// All of a recording's entries, or why there are no more.
fn read(mut bytes: &[u8]) -> Result<usize, RecordingError> {
    read_header(&mut bytes)?;
    let mut count = 0;
    while Recorded::next(&mut bytes)?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn a_cut_is_no_damage_and_damage_is_no_cut() {
    let first = Recorded::Begins {
        node: NodeId(1),
        card: RoleCard::Edge { client: ClientId(4), volume_driver: NodeId(2) },
    };
    let now = Timestamp(2);
    let second = Recorded::Stepped { node: NodeId(1), now, event: Event::TurnEnd, effects: 3 };
    let bytes = [header(), first.encode(), second.encode()].concat();
    let borders = [10, 10 + first.encode().len(), bytes.len()];
    for cut in 0..bytes.len() {
        let expected = match borders.iter().position(|border| *border == cut) {
            Some(entries) => Ok(entries),
            None if cut < 10 => Err(RecordingError::Foreign),
            None => Err(RecordingError::Torn),
        };
        assert_eq!(read(&bytes[..cut]), expected, "cut at {cut}");
    }
    for bit in 80..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(&damaged), Err(RecordingError::Damaged), "bit {bit}");
    }
}

#[test]
fn a_torn_end_and_other_files_are_told() {
    let (_, bytes) = recording();
    let mut rest = &bytes[..bytes.len() - 1];
    read_header(&mut rest).expect("a recording");
    let last =
        core::iter::repeat_with(|| Recorded::next(&mut rest)).find(|next| !matches!(next, Ok(Some(_))));
    assert_eq!(last, Some(Err(RecordingError::Torn)));
    assert_eq!(read_header(&mut &b"OVSTLOG\0\x01\0"[..]), Err(RecordingError::Foreign));
}

#[test]
fn golden_bytes_of_version_1() {
    let entry = Recorded::Stepped { node: NodeId(1), now: Timestamp(2), event: Event::TurnEnd, effects: 3 };
    let length = [18, 0, 0, 0];
    let body = [1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 5];
    let checks = [crc32c(&length).to_le_bytes(), crc32c(&body).to_le_bytes()].concat();
    assert_eq!(entry.encode(), [&length[..], &checks, &body].concat());
}
