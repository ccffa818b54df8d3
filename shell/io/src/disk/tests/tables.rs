//! Tables among the other operations of a folder.

use super::*;

fn set(key: &'static [u8], value: &'static [u8]) -> TableChange {
    TableChange::Set { key: Bytes::from_static(key), value: Bytes::from_static(value) }
}

fn commit(changes: &[TableChange]) -> DiskOperation {
    DiskOperation::Commit { table: name("table"), changes: changes.to_vec() }
}

fn read_on(after: Option<&'static [u8]>, bytes_max: u64) -> DiskOperation {
    DiskOperation::ReadOn { table: name("table"), after: after.map(Bytes::from_static), bytes_max }
}

fn pairs(expected: &[(&'static [u8], &'static [u8])], is_all: bool) -> DiskResult {
    let pair =
        |(key, value): &(&'static [u8], &'static [u8])| (Bytes::from_static(key), Bytes::from_static(value));
    Ok(DiskOutcome::Pairs { pairs: expected.iter().map(pair).collect(), is_all })
}

#[test]
fn tables_are_committed_read_on_listed_and_deleted() {
    both(|bed| {
        assert_eq!(bed.run(read_on(None, 1)), Err(DiskError::NotFound));
        assert_eq!(bed.run(commit(&[set(b"a", b"1"), set(b"b", b"2"), set(b"c", b"3")])), DONE);
        let gone = TableChange::Delete { key: Bytes::from_static(b"b") };
        assert_eq!(bed.run(commit(&[gone, set(b"a", b"one")])), DONE);
        assert_eq!(bed.run(read_on(None, 1)), pairs(&[(b"a", b"one")], false));
        assert_eq!(bed.run(read_on(Some(b"a"), 1)), pairs(&[(b"c", b"3")], true));
        let Ok(DiskOutcome::Listed(files)) = bed.run(DiskOperation::List) else { panic!("it is listed") };
        assert!(matches!(files[..], [(file, 1..)] if file == name("table")), "{files:?}");
        bed.restart();
        assert_eq!(bed.run(read_on(None, 99)), pairs(&[(b"a", b"one"), (b"c", b"3")], true));
        assert_eq!(bed.run(delete("table")), DONE);
        assert_eq!(bed.run(read_on(None, 1)), Err(DiskError::NotFound));
        assert_eq!(bed.run(commit(&[set(b"d", b"4")])), DONE);
        assert_eq!(bed.run(read_on(None, 99)), pairs(&[(b"d", b"4")], true), "another of that name");
    });
}

#[test]
fn a_damaged_table_is_told_as_such_until_it_is_deleted() {
    both(|bed| {
        assert_eq!(bed.run(commit(&[set(b"a", b"1")])), DONE);
        bed.restart();
        // What is left of a table that is being made is nobody's.
        std::fs::write(bed.path.path().join(".table.new"), "half").unwrap();
        std::fs::write(bed.path.path().join("table"), "what redb never wrote").unwrap();
        for again in [read_on(None, 1), commit(&[set(b"b", b"2")]), read_on(None, 1)] {
            assert_eq!(bed.run(again), Err(DiskError::Damaged));
        }
        assert_eq!(bed.run(delete("table")), DONE);
        assert_eq!(bed.run(commit(&[set(b"b", b"2")])), DONE);
        assert_eq!(bed.run(read_on(None, 1)), pairs(&[(b"b", b"2")], true));
        assert!(!bed.path.path().join(".table.new").exists());
    });
}

#[test]
fn a_table_that_is_distrusted_can_only_be_deleted() {
    both(|bed| {
        assert_eq!(bed.run(commit(&[set(b"a", b"1")])), DONE);
        bed.distrust.add(name("table"));
        bed.restart();
        assert_eq!(bed.run(read_on(None, 1)), Err(DiskError::Failed));
        assert_eq!(bed.run(commit(&[set(b"b", b"2")])), Err(DiskError::Failed));
        assert_eq!(bed.run(delete("table")), DONE);
        assert_eq!(bed.run(read_on(None, 1)), Err(DiskError::NotFound));
    });
}

#[test]
fn what_lies_in_the_place_of_a_table_is_not_followed() {
    both(|bed| {
        symlink("/etc/passwd", bed.path.path().join("table")).unwrap();
        assert_eq!(bed.run(read_on(None, 1)), Err(DiskError::Failed));
        assert_eq!(bed.run(commit(&[set(b"a", b"1")])), Err(DiskError::Failed));
    });
}

#[test]
fn a_large_table_is_committed_and_read_by_threads_with_small_stacks() {
    let mut bed = Bed::new(portable(), 16);
    let set = |key: u32| TableChange::Set {
        key: key.to_be_bytes().to_vec().into(),
        value: vec![key as u8; 100].into(),
    };
    let changes = (0..60_000).map(set).collect();
    assert_eq!(bed.run(DiskOperation::Commit { table: name("table"), changes }), DONE);
    bed.restart();
    let prefix = TableChange::DeletePrefix { prefix: Bytes::from_static(&[0, 0, 1]) };
    assert_eq!(bed.run(commit(&[prefix])), DONE);
    bed.restart();
    let Ok(DiskOutcome::Pairs { pairs, is_all: true }) = bed.run(read_on(None, u64::MAX)) else {
        panic!("all of it is read")
    };
    assert_eq!(pairs.len(), 60_000 - 256);
}
