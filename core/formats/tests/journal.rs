//! Journals under power cuts, rot and recycled files (PROTOCOLS L3, F10).

use bytes::Bytes;
use formats::journal::{
    FileHeader, FileScan, HeaderError, Headless, Judgement, Kind, Mark, PAGE, Predecessor, Writer, judge,
    scan,
};
use proptest::prelude::*;

const OWNER: [u8; 16] = [9; 16];

fn header(sequence: u64, predecessor: Option<Predecessor>) -> FileHeader {
    FileHeader { kind: Kind::TLOG, owner: OWNER, sequence, predecessor, label: b"label".to_vec() }
}

/// A file as it is written: all of it, and how much of it is synced.
struct File {
    writer: Writer,
    bytes: Vec<u8>,
    synced: usize,
}

impl File {
    fn begin(sequence: u64, predecessor: Option<Predecessor>) -> Self {
        let (writer, page) = Writer::begin(&header(sequence, predecessor));
        File { writer, bytes: page.to_vec(), synced: PAGE as usize }
    }

    fn append(&mut self, body: Vec<u8>) {
        let synced = Mark { sequence: self.writer.end().sequence, position: self.synced as u64 };
        for piece in self.writer.batch(synced, vec![body.into()]) {
            self.bytes.extend_from_slice(&piece);
        }
        assert_eq!(self.writer.end().position, self.bytes.len() as u64);
    }

    fn sync(&mut self) {
        self.synced = self.bytes.len();
    }

    fn scan(&self) -> Result<FileScan, Headless> {
        scan(&Bytes::from(self.bytes.clone()), Kind::TLOG, &OWNER, self.writer.end().sequence)
    }
}

fn judge_all(files: &[&File]) -> Judgement {
    let scans: Vec<_> = files.iter().map(|file| (file.writer.end().sequence, file.scan())).collect();
    judge(&scans, None, Mark::default())
}

#[test]
fn golden_bytes_of_version_1() {
    let (mut writer, page) = Writer::begin(&header(7, None));
    assert_eq!(&page[..12], b"OVSTLOG\0\x01\x00\x05\x00");
    assert_eq!(&page[16..32], &OWNER);
    assert_eq!(&page[32..40], &7_u64.to_le_bytes());
    assert_eq!(&page[64..69], b"label");
    let pieces = writer.batch(Mark { sequence: 7, position: 4096 }, vec![Bytes::from_static(b"body")]);
    let batch = pieces.concat();
    assert_eq!(batch.len(), 4096);
    let mut expected =
        b"BTCH\x04\0\0\0\x07\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0".to_vec();
    expected.extend_from_slice(&page[60..64]);
    expected.extend_from_slice(&checksum::crc32c(b"body").to_le_bytes());
    expected.extend_from_slice(&[0; 4]);
    let check = checksum::crc32c(&[&OWNER[..], &expected].concat());
    expected.extend_from_slice(&check.to_le_bytes());
    expected.extend_from_slice(b"body");
    assert_eq!(&batch[..60], expected);
    assert!(batch[60..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_cut_tail_never_comes_back() {
    let mut first = File::begin(1, None);
    first.append(b"kept".to_vec());
    first.sync();
    first.append(b"torn".to_vec());
    first.append(b"whole but behind the tear".to_vec());
    first.bytes[2 * PAGE as usize + 58] ^= 1;
    let judgement = judge_all(&[&first]);
    assert_eq!((judgement.kept[0].batches, judgement.damage), (1, None));
    let second = File::begin(2, judgement.end);
    // The torn sector turns up after all: its successor says that it doesn't count.
    first.bytes[2 * PAGE as usize + 58] ^= 1;
    let judgement = judge_all(&[&first, &second]);
    assert_eq!(judgement.kept.iter().map(|kept| kept.batches).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(judgement.damage, None);
}

#[test]
fn rot_below_a_mark_is_damage_and_no_tail() {
    let mut file = File::begin(1, None);
    file.append(b"one".to_vec());
    file.append(b"two".to_vec());
    file.sync();
    file.append(b"three".to_vec());
    file.bytes[PAGE as usize + 57] ^= 1;
    let damage = judge_all(&[&file]).damage.expect("damage");
    assert_eq!(damage.at, Mark { sequence: 1, position: PAGE });
    assert_eq!(damage.synced, Mark { sequence: 1, position: 3 * PAGE });
}

#[test]
fn a_torn_creation_is_a_tail_and_a_missing_file_is_damage() {
    let mut first = File::begin(1, None);
    first.append(b"one".to_vec());
    first.sync();
    let mut second = File::begin(2, Some(first.writer.as_predecessor()));
    second.append(b"two".to_vec());
    second.sync();
    let third = File::begin(3, Some(second.writer.as_predecessor()));
    let torn = (4, Err(Headless { error: HeaderError::Damaged, synced: Mark::default() }));
    let whole = |file: &File| (file.writer.end().sequence, file.scan());
    let judgement = judge(&[whole(&first), whole(&second), whole(&third), torn], None, Mark::default());
    assert_eq!((judgement.kept.len(), judgement.damage), (3, None));
    let judgement = judge(&[whole(&first), whole(&third)], None, Mark::default());
    assert_eq!(judgement.damage.map(|damage| damage.at), Some(first.writer.end()));
    let judgement = judge(&[whole(&second), whole(&third)], Some(1), Mark::default());
    assert!(judgement.damage.is_some());
    assert_eq!(judge(&[whole(&second), whole(&third)], Some(2), Mark::default()).damage, None);
}

/// A rotten header of the last file looks like a torn creation but for the marks of the batches behind it.
#[test]
fn a_rotten_header_is_damage_when_a_mark_says_that_it_was_synced() {
    let mut file = File::begin(1, None);
    file.append(b"one".to_vec());
    file.sync();
    for at in [0, 9, 20, 36, 50, 62, 64] {
        let mut rotten = file.bytes.clone();
        rotten[at] ^= 1;
        let scan = scan(&rotten.into(), Kind::TLOG, &OWNER, 1);
        assert!(scan.is_err(), "byte {at}");
        let damage = judge(&[(1, scan)], None, Mark::default()).damage.expect("damage");
        assert_eq!(damage.synced, Mark { sequence: 1, position: PAGE }, "byte {at}");
    }
    // Nothing of the file was synced when this batch was written: it may be a creation that was torn.
    let (mut writer, page) = Writer::begin(&header(1, None));
    let mut torn = vec![0; page.len()];
    writer
        .batch(Mark::default(), vec![Bytes::from_static(b"one")])
        .iter()
        .for_each(|piece| torn.extend(piece));
    let judgement = judge(&[(1, scan(&torn.into(), Kind::TLOG, &OWNER, 1))], None, Mark::default());
    assert_eq!((judgement.kept.len(), judgement.damage), (0, None));
}

#[test]
fn versions_and_kinds_are_told_apart() {
    let (page, _) = header(1, None).encode();
    assert_eq!(FileHeader::decode(&page, Kind::MAP), Err(HeaderError::Foreign));
    let mut newer = page.to_vec();
    newer[8] = 2;
    assert_eq!(
        FileHeader::decode(&newer, Kind::TLOG),
        Err(HeaderError::Damaged),
        "a bit that rotted is no version"
    );
    FileHeader::seal(&mut newer);
    assert_eq!(FileHeader::decode(&newer, Kind::TLOG), Err(HeaderError::Newer(2)));
    assert_eq!(FileHeader::decode(&[0; 4096], Kind::TLOG), Err(HeaderError::Damaged));
    assert_eq!(FileHeader::decode(&page[..4095], Kind::TLOG), Err(HeaderError::Damaged));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any subset of unsynced sectors may persist; what lay in the recycled file before shows through.
    #[test]
    fn a_power_cut_loses_no_synced_batch_and_makes_none_up(
        lengths in proptest::collection::vec((0_usize..9_000, any::<bool>()), 1..8),
        seed in any::<u64>(),
    ) {
        let mut old = File::begin(1, None);
        let mut file = File::begin(2, None);
        let mut synced_batches = 0;
        for (index, (length, sync)) in lengths.iter().enumerate() {
            old.append(vec![0xaa; *length]);
            file.append(vec![index as u8; *length]);
            if *sync {
                file.sync();
                synced_batches = index + 1;
            }
        }
        let mut random = seed;
        for sector in (file.synced / 512)..(file.bytes.len() / 512) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if random >> 63 == 1 {
                let range = sector * 512..sector * 512 + 512;
                file.bytes[range.clone()].copy_from_slice(&old.bytes[range]);
            }
        }
        let judgement = judge_all(&[&file]);
        prop_assert_eq!(judgement.damage, None);
        prop_assert!(judgement.kept[0].batches >= synced_batches);
        let scan = file.scan().expect("the header is synced");
        for (index, batch) in scan.batches.iter().enumerate() {
            prop_assert_eq!(batch.body.len(), lengths[index].0);
            prop_assert!(batch.body.iter().all(|byte| usize::from(*byte) == index));
        }
    }

    #[test]
    fn a_flipped_bit_below_a_mark_is_always_seen(
        lengths in proptest::collection::vec(0_usize..9_000, 1..6),
        place in any::<prop::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let mut file = File::begin(2, None);
        lengths.iter().for_each(|length| file.append(vec![5; *length]));
        file.sync();
        let synced = file.bytes.len();
        file.append(Vec::new());
        let whole = file.scan().expect("whole");
        let at = PAGE as usize + place.index(synced - PAGE as usize);
        file.bytes[at] ^= 1 << bit;
        let scan = file.scan().expect("the header is whole");
        let judgement = judge_all(&[&file]);
        // Padding is under no check, and nothing in it is ever used.
        prop_assert!(judgement.damage.is_some() || scan.batches == whole.batches);
    }

    #[test]
    fn any_bytes_are_scanned_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..20_000), begin in any::<bool>()) {
        if begin {
            let (_, page) = Writer::begin(&header(1, None));
            bytes.splice(..bytes.len().min(4096), page);
        }
        let _ = scan(&Bytes::from(bytes), Kind::TLOG, &OWNER, 1).map(|scan| assert!(scan.end >= PAGE));
    }
}
