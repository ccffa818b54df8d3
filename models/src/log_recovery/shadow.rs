//! The real code beside the model: what `formats::journal` makes of the same crash.
//!
//! A walk over a sample of the reachable states encodes what each crash leaves as real files and lets the real
//! recovery judge them. It must halt where the model halts and keep what the model keeps.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use ::bytes::Bytes;
use checksum::crc32c;
use formats::journal::{self, Kind, PAGE, Predecessor, judge, scan};
use stateright::Model;

use super::bytes::{Checkpoint, End, EntryHeader, FILES, FileHeader, Mark, Page};
use super::disk::Content;
use super::recovery::recover;
use super::state::State;
use super::{Action, LogRecovery, Rules};

/// Every how many different lives after a crash one is followed: enough for the time that a test may take.
const LIVES: u64 = 10;
/// Every how many different crashes one is compared.
const CRASHES: u64 = 2;
const OWNER: [u8; 16] = *b"owner of the log";

/// What a crash leaves, and the files that have a name, by place. Real files are created empty and deleted when
/// nothing needs them, so only what was written for a file that has a name is there.
#[derive(Clone, Copy, Hash)]
struct Image {
    content: Content,
    named: [u8; FILES],
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Halted,
    Kept { records: Vec<(Mark, u8)>, end: Mark },
}

#[test]
fn formats_recover_what_the_model_recovers() {
    let model = LogRecovery { rules: Rules::all() };
    let mut states: Vec<State> = model.init_states();
    let (mut seen, mut images) = (BTreeSet::new(), BTreeSet::new());
    let mut outcomes = [0, 0];
    while let Some(state) = states.pop() {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        for action in actions {
            let image = image_after(&state, &action);
            if let Some(image) =
                image.filter(|image| digest(image) % CRASHES == 0 && images.insert(digest(image)))
            {
                let expected = by_the_model(&image);
                assert_eq!(by_formats(&image), expected, "after {action:?} in {state:?}");
                outcomes[usize::from(expected == Outcome::Halted)] += 1;
            }
            let next = model.next_state(&state, action).filter(|next| next.verdict.is_none());
            let next = next.filter(|next| image.is_none() || digest(next) % LIVES == 0);
            states.extend(next.filter(|next| seen.insert(digest(next))));
        }
    }
    assert!(outcomes.iter().all(|count| *count > 1000), "kept and halted: {outcomes:?}");
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What a crash leaves; None for other actions.
fn image_after(state: &State, action: &Action) -> Option<Image> {
    let mut disk = state.disk;
    let rot = match action {
        Action::Kill { rot } => rot,
        Action::CutPower { persists, rot } => {
            disk.cut_power(*persists);
            rot
        }
        _ => return None,
    };
    rot.iter().for_each(|rot| disk.rot(rot.at, rot.only_body));
    let (mut content, named) = (disk.cache, state.writer.live);
    for (file, sequence) in content.files.iter_mut().zip(named) {
        file.header = file.header.filter(|header| header.sequence == sequence);
        let is_own = |page: &Page| page.header.is_some_and(|header| header.sequence == sequence);
        file.pages.iter_mut().filter(|page| !is_own(page)).for_each(|page| *page = Page::default());
    }
    Some(Image { content, named })
}

fn by_the_model(image: &Image) -> Outcome {
    let Some(found) = recover(Rules::all(), &image.content) else { return Outcome::Halted };
    let in_files = found.entries.iter().filter(|entry| entry.at.sequence != 0);
    let records = in_files.map(|entry| (entry.at, entry.record)).collect();
    Outcome::Kept { records, end: found.end.mark }
}

fn by_formats(image: &Image) -> Outcome {
    let checkpoint = image.content.newest_checkpoint().expect("one of two checkpoints is always whole");
    let named = (0..FILES).filter(|place| image.named[*place] > checkpoint.end.mark.sequence);
    let mut files: Vec<_> = named
        .map(|place| {
            let sequence = u64::from(image.named[place]);
            (sequence, scan(&encode_file(image, place), Kind::TLOG, &OWNER, sequence))
        })
        .collect();
    files.sort_by_key(|(sequence, _)| *sequence);
    let judgement = judge(&files, None, to_real(checkpoint.end.mark));
    if judgement.damage.is_some() || begins_elsewhere(image, &checkpoint, &files) {
        return Outcome::Halted;
    }
    let mut records = Vec::new();
    for kept in &judgement.kept {
        let (_, scan) = files.iter().find(|(sequence, _)| *sequence == kept.sequence).expect("it was given");
        let scan = scan.as_ref().expect("what is kept was read");
        for batch in &scan.batches[..kept.batches] {
            let at = Mark { sequence: kept.sequence as u8, page: (batch.position / PAGE) as u8 };
            records.push((at, batch.body[0]));
        }
    }
    let end = judgement.end.map_or(checkpoint.end.mark, |end| from_real(end.end));
    Outcome::Kept { records, end }
}

/// Whether the first file doesn't follow the checkpoint: the user of a journal compares that.
fn begins_elsewhere<E>(
    image: &Image,
    checkpoint: &Checkpoint,
    files: &[(u64, Result<journal::FileScan, E>)],
) -> bool {
    let first = files.iter().find_map(|(_, scan)| scan.as_ref().ok());
    first.is_some_and(|first| first.header.predecessor != predecessor(image, checkpoint.end))
}

fn to_real(mark: Mark) -> journal::Mark {
    journal::Mark { sequence: u64::from(mark.sequence), position: u64::from(mark.page) * PAGE }
}

fn from_real(mark: journal::Mark) -> Mark {
    Mark { sequence: mark.sequence as u8, page: (mark.position / PAGE) as u8 }
}

fn predecessor(image: &Image, end: End) -> Option<Predecessor> {
    (end.mark.sequence != 0)
        .then(|| Predecessor { end: to_real(end.mark), check: real_check(image, end.check) })
}

/// The real check of what has this check in the model. What is on the disk no more keeps the model's, which
/// serves as well, since nothing is left to compare it with.
fn real_check(image: &Image, check: u32) -> u32 {
    let files = &image.content.files;
    if let Some(header) = files.iter().filter_map(|file| file.header).find(|header| header.check() == check) {
        return encode_header(image, &header).1;
    }
    let mut entries = image.content.entries().map(|(_, header)| header);
    match entries.find(|header| header.check(Rules::all()) == check) {
        Some(header) => encode_entry(image, &header).1,
        None => check,
    }
}

fn encode_header(image: &Image, header: &FileHeader) -> (Bytes, u32) {
    let predecessor = predecessor(image, header.predecessor);
    let sequence = u64::from(header.sequence);
    journal::FileHeader { kind: Kind::TLOG, owner: OWNER, sequence, predecessor, label: Vec::new() }.encode()
}

/// A batch's header, by the layout in the documentation of `formats::journal`, and its check.
fn encode_entry(image: &Image, entry: &EntryHeader) -> ([u8; 56], u32) {
    let place = to_real(Mark { sequence: entry.sequence, page: entry.page });
    let synced = to_real(entry.synced);
    let mut header = [0; 56];
    header[..4].copy_from_slice(b"BTCH");
    header[4..8].copy_from_slice(&1_u32.to_le_bytes());
    header[8..16].copy_from_slice(&place.sequence.to_le_bytes());
    header[16..24].copy_from_slice(&place.position.to_le_bytes());
    header[24..32].copy_from_slice(&synced.sequence.to_le_bytes());
    header[32..40].copy_from_slice(&synced.position.to_le_bytes());
    header[40..44].copy_from_slice(&real_check(image, entry.previous).to_le_bytes());
    header[44..48].copy_from_slice(&crc32c(&[entry.body]).to_le_bytes());
    let check = crc32c(&[&OWNER[..], &header[..52]].concat());
    header[52..].copy_from_slice(&check.to_le_bytes());
    (header, check)
}

fn encode_file(image: &Image, place: usize) -> Bytes {
    let file = &image.content.files[place];
    let mut bytes =
        file.header.map_or(vec![0; PAGE as usize], |header| encode_header(image, &header).0.to_vec());
    for Page { header, body } in &file.pages {
        let start = bytes.len();
        bytes.resize(start + PAGE as usize, 0);
        if let Some(header) = header {
            bytes[start..start + 56].copy_from_slice(&encode_entry(image, header).0);
            bytes[start + 56] = *body;
        }
    }
    bytes.into()
}
