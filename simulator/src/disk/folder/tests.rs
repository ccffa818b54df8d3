use super::*;

fn folder() -> Folder {
    Folder::new(&[], 10_000, Random::stream(1, "folder"))
}

fn run(folder: &mut Folder, what: DiskOperation) -> DiskResult {
    let (ticket, _) = folder.begin(Moment(1), OperationId(1), what);
    folder.finish(Moment(1), ticket).1
}

fn name() -> FileName {
    FileName::new(format_args!("a"))
}

fn write(offset: u64, bytes: &'static [u8]) -> DiskOperation {
    DiskOperation::Write { file: name(), offset, pieces: vec![Bytes::from_static(bytes)] }
}

#[test]
fn operations_do_what_they_say() {
    let mut folder = folder();
    assert_eq!(run(&mut folder, write(0, b"x")), Err(DiskError::NotFound));
    assert_eq!(run(&mut folder, DiskOperation::Create { file: name() }), Ok(DiskOutcome::Done));
    assert_eq!(run(&mut folder, write(3, b"xyz")), Ok(DiskOutcome::Done));
    let read = DiskOperation::Read { file: name(), offset: 2, length: 9 };
    assert_eq!(run(&mut folder, read), Ok(DiskOutcome::Read(Bytes::from_static(b"\0xyz"))));
    assert_eq!(run(&mut folder, DiskOperation::List), Ok(DiskOutcome::Listed(vec![(name(), 6)])));
    let space = DiskOutcome::Space { free: 9_994, total: 10_000 };
    assert_eq!(run(&mut folder, DiskOperation::Space), Ok(space));
    assert_eq!(run(&mut folder, write(10_000, b"x")), Err(DiskError::Full));
    assert_eq!(run(&mut folder, DiskOperation::Delete { file: name() }), Ok(DiskOutcome::Done));
    assert_eq!(run(&mut folder, DiskOperation::List), Ok(DiskOutcome::Listed(vec![])));
}

#[test]
fn a_write_that_completes_after_a_sync_began_is_not_covered() {
    let mut folder = folder();
    run(&mut folder, DiskOperation::Create { file: name() }).expect("room");
    let (early, _) = folder.begin(Moment(1), OperationId(1), write(0, &[1; 512]));
    let (sync, _) = folder.begin(Moment(1), OperationId(2), DiskOperation::Sync { file: name() });
    folder.finish(Moment(1), early).1.expect("written");
    folder.finish(Moment(1), sync).1.expect("synced");
    assert_eq!(folder.files()[&name()].durable_contents(), []);
    run(&mut folder, DiskOperation::Sync { file: name() }).expect("synced");
    assert_eq!(folder.files()[&name()].durable_contents(), [1; 512]);
}

#[test]
fn faults_strike_as_ordered() {
    let mut folder = folder();
    run(&mut folder, DiskOperation::Create { file: name() }).expect("room");
    run(&mut folder, write(0, &[1; 4096])).expect("room");
    folder.faults.writes_to_fail = 1;
    assert_eq!(run(&mut folder, write(0, b"x")), Err(DiskError::Failed));
    folder.faults.writes_to_lose = 1;
    assert_eq!(run(&mut folder, write(0, &[7; 512])), Ok(DiskOutcome::Done));
    assert_eq!(folder.files()[&name()].live()[1], 1);
    folder.faults.writes_to_misdirect = 1;
    assert_eq!(run(&mut folder, write(4096, &[9; 512])), Ok(DiskOutcome::Done));
    assert_eq!(folder.files()[&name()].len(), 4096);
    assert!(folder.files()[&name()].live().contains(&9));
    folder.faults.syncs_to_fail = 1;
    assert_eq!(run(&mut folder, DiskOperation::Sync { file: name() }), Err(DiskError::Failed));
    run(&mut folder, DiskOperation::Sync { file: name() }).expect("it lies");
    let file = &folder.files()[&name()];
    assert!(folder.faults.lies && file.durable_contents() != file.live());
    for kind in [Kind::WriteError, Kind::LostWrite, Kind::MisdirectedWrite, Kind::SyncError] {
        assert_eq!(folder.tally().count(kind), 1, "{kind:?}");
    }
}

#[test]
fn a_crash_of_the_process_keeps_what_completed() {
    let gone = (0..40).filter(|&seed| {
        let mut folder = Folder::new(&[], 10_000, Random::stream(seed, "folder"));
        run(&mut folder, DiskOperation::Create { file: name() }).expect("room");
        run(&mut folder, write(0, b"kept")).expect("room");
        folder.begin(Moment(1), OperationId(2), DiskOperation::Delete { file: name() });
        folder.crash(Crash::Process);
        let left = folder.files().get(&name());
        left.inspect(|file| assert_eq!(file.live(), b"kept"));
        left.is_none()
    });
    assert!((5..35).contains(&gone.count()), "a deletion in flight may have happened");
}

fn commit(value: u8) -> DiskOperation {
    let key = Bytes::from_static(b"key");
    let set = TableChange::Set { key, value: vec![value; 9].into() };
    DiskOperation::Commit { table: name(), changes: vec![set] }
}

fn value(folder: &Folder) -> Option<u8> {
    let pairs = folder.tables().get(&name())?.table()?.pairs();
    pairs.map(|(_, value)| value[0]).next()
}

#[test]
fn a_commit_is_done_or_not_whatever_crashes() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..40 {
        let mut folder = Folder::new(&[], 10_000, Random::stream(seed, "folder"));
        run(&mut folder, commit(1)).expect("room");
        folder.begin(Moment(1), OperationId(2), commit(2));
        folder.crash(if seed % 2 == 0 { Crash::Power } else { Crash::Process });
        *(if value(&folder) == Some(1) { &mut old } else { &mut new }) += 1;
        assert!(matches!(value(&folder), Some(1 | 2)));
    }
    assert!(old > 5 && new > 5, "{old} {new}");
}

#[test]
fn a_table_whose_commit_failed_is_not_trusted_before_the_next_life() {
    let mut folder = folder();
    run(&mut folder, commit(1)).expect("room");
    folder.faults.syncs_to_fail = 1;
    assert_eq!(run(&mut folder, commit(2)), Err(DiskError::Failed));
    let read = DiskOperation::ReadOn { table: name(), after: None, bytes_max: 1 };
    for again in [commit(3), read.clone()] {
        assert_eq!(run(&mut folder, again), Err(DiskError::Failed));
    }
    folder.crash(Crash::Power);
    assert!(matches!(run(&mut folder, read), Ok(DiskOutcome::Pairs { is_all: true, .. })));
    assert!(matches!(value(&folder), Some(1 | 2)));
    assert_eq!(run(&mut folder, DiskOperation::Delete { file: name() }), Ok(DiskOutcome::Done));
    assert_eq!(run(&mut folder, DiskOperation::List), Ok(DiskOutcome::Listed(vec![])));
}

#[test]
fn a_full_disk_takes_no_commit_and_lists_no_table_that_never_was() {
    let mut folder = Folder::new(&[], 4_100, Random::stream(1, "folder"));
    assert_eq!(run(&mut folder, commit(1)), Err(DiskError::Full));
    assert_eq!(run(&mut folder, DiskOperation::List), Ok(DiskOutcome::Listed(vec![])));
}

#[test]
fn a_power_loss_takes_what_was_not_synced() {
    let lost = (0..40).filter(|&seed| {
        let mut folder = Folder::new(&[], 10_000, Random::stream(seed, "folder"));
        run(&mut folder, DiskOperation::Create { file: name() }).expect("room");
        run(&mut folder, write(0, b"lost")).expect("room");
        folder.crash(Crash::Power);
        folder.files()[&name()].live() != b"lost"
    });
    assert!((5..35).contains(&lost.count()), "what was not synced may be gone");
}
