//! A folder against its slow reference: a map of vectors.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, FileName};

use super::{Bed, DONE, name, portable, uring, was_read};

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Delete(u8),
    Write { file: u8, offset: u64, pieces: Vec<Vec<u8>>, is_through: bool },
    Read(u8, u64, u64),
    Sync(u8),
    List,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let file = || 0..5_u8;
    let pieces = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..5);
    let step = prop_oneof![
        2 => file().prop_map(Step::Create),
        1 => file().prop_map(Step::Delete),
        5 => (file(), 0..2000_u64, pieces, any::<bool>())
            .prop_map(|(file, offset, pieces, is_through)| Step::Write { file, offset, pieces, is_through }),
        2 => (file(), 0..4_u64, 1..4_usize, any::<u8>()).prop_map(|(file, page, pages, byte)| {
            let pieces = vec![vec![byte; 4096 * pages - 1], vec![!byte]];
            Step::Write { file, offset: 4096 * page, pieces, is_through: true }
        }),
        5 => (file(), 0..3000_u64, 0..3000_u64).prop_map(|(file, at, length)| Step::Read(file, at, length)),
        1 => file().prop_map(Step::Sync),
        1 => Just(Step::List),
    ];
    proptest::collection::vec(step, 0..60)
}

/// The slow reference: files as vectors.
fn expected(model: &mut BTreeMap<FileName, Vec<u8>>, step: &Step) -> (DiskOperation, DiskResult) {
    let file = |number: &u8| name(&format!("file-{number}"));
    let on =
        |number: &u8, model: &mut BTreeMap<FileName, Vec<u8>>, apply: &dyn Fn(&mut Vec<u8>) -> DiskResult| {
            model.get_mut(&file(number)).map_or(Err(DiskError::NotFound), apply)
        };
    match step {
        Step::Create(number) => {
            model.insert(file(number), Vec::new());
            (DiskOperation::Create { file: file(number) }, DONE)
        }
        Step::Delete(number) => {
            model.remove(&file(number));
            (DiskOperation::Delete { file: file(number) }, DONE)
        }
        Step::Write { file: number, offset, pieces, is_through } => {
            let bytes = pieces.concat();
            let result = on(number, model, &|content| {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                if !bytes.is_empty() {
                    content.resize(content.len().max(end), 0);
                    content[start..end].copy_from_slice(&bytes);
                }
                DONE
            });
            let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
            let (file, offset) = (file(number), *offset);
            let what = match is_through {
                true => DiskOperation::WriteThrough { file, offset, pieces },
                false => DiskOperation::Write { file, offset, pieces },
            };
            (what, result)
        }
        Step::Read(number, offset, length) => {
            let result = on(number, model, &|content| {
                let end = (*offset + *length).min(content.len() as u64) as usize;
                was_read(content.get(*offset as usize..end).unwrap_or_default())
            });
            (DiskOperation::Read { file: file(number), offset: *offset, length: *length }, result)
        }
        Step::Sync(number) => (DiskOperation::Sync { file: file(number) }, on(number, model, &|_| DONE)),
        Step::List => {
            let files = model.iter().map(|(name, content)| (*name, content.len() as u64)).collect();
            (DiskOperation::List, Ok(DiskOutcome::Listed(files)))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_folder_is_a_map_of_bytes(steps in steps(), is_uring in any::<bool>()) {
        // Few open files, so that they are closed and opened again all the time.
        let mut bed = Bed::new(uring().filter(|_| is_uring).unwrap_or_else(portable), 2);
        let mut model = BTreeMap::new();
        for step in steps {
            let (operation, result) = expected(&mut model, &step);
            prop_assert_eq!(bed.run(operation), result, "{:?}", step);
        }
    }
}
