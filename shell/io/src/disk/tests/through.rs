//! Writes that are durable when they end.

use super::*;

fn write_through(file: &str, offset: u64, bytes: &[u8]) -> DiskOperation {
    // In odd pieces.
    let pieces = bytes.chunks(1001).map(Bytes::copy_from_slice).collect();
    DiskOperation::WriteThrough { file: name(file), offset, pieces }
}

/// What is at `path`, opened for writing.
fn opened(path: impl AsRef<std::path::Path>) -> std::fs::File {
    std::fs::File::options().read(true).write(true).open(path).unwrap()
}

#[test]
fn what_is_written_through_is_read_whichever_way_it_took() {
    both(|bed| {
        bed.run(create("a")).unwrap();
        let mut whole = Vec::new();
        // Past the page cache, over what is there, beyond its end, odd, large, and past it again.
        let sizes =
            [(0, 4096), (0, 8192), (8192, 4096), (12288, 100), (12000, 300_000), (0, 65_536), (4096, 0)];
        for (round, (offset, length)) in (1..).zip(sizes) {
            let bytes: Vec<u8> = pattern(length).into_iter().map(|byte| byte ^ round).collect();
            assert_eq!(bed.run(write_through("a", offset, &bytes)), DONE, "{offset} {length}");
            let (start, end) = (offset as usize, offset as usize + length);
            whole.resize(whole.len().max(end), 0);
            whole[start..end].copy_from_slice(&bytes);
            assert_eq!(bed.run(read("a", 0, u64::MAX)), was_read(&whole), "{offset} {length}");
        }
        bed.restart();
        assert_eq!(bed.run(write_through("a", 4096, &[9; 4096])), DONE, "by whoever opens it");
        whole[4096..8192].fill(9);
        assert_eq!(bed.run(read("a", 0, u64::MAX)), was_read(&whole));
        assert_eq!(std::fs::read(bed.path.path().join("a")).unwrap(), whole);
    });
}

#[test]
fn what_goes_both_ways_at_once_meets() {
    both(|bed| {
        bed.run(create("a")).unwrap();
        bed.run(write_through("a", 0, &[1; 40_960])).unwrap();
        for round in 2..20 {
            // Other pages, dirty in the page cache.
            let all = vec![write_through("a", 8192, &[round; 8192]), write("a", 0, &[&[round; 8192]])];
            assert_eq!(bed.together(all), [DONE, DONE]);
            let whole = [[round; 16_384].as_slice(), &[1; 24_576]].concat();
            assert_eq!(bed.run(read("a", 0, u64::MAX)), was_read(&whole), "{round}");
        }
    });
}

#[test]
fn where_the_kernel_takes_nothing_past_the_page_cache_it_goes_through_it() {
    both(|bed| {
        bed.run(create("a")).unwrap();
        let file = File::new(name("a"), opened(bed.path.path().join("a")).into(), bed.distrust.clone());
        // A file of the kernel's own takes no such write, whatever is written.
        file.direct.set(Some(opened("/proc/self/oom_score_adj").into())).unwrap();
        bed.folder.on_finished(Trace::Opened(Arc::new(file), u64::MAX));
        assert_eq!(bed.run(write_through("a", 4096, &[7; 8192])), DONE);
        assert_eq!(bed.run(read("a", 4096, u64::MAX)), was_read(&[7; 8192]));
    });
}

#[test]
fn what_fails_there_is_final_but_for_a_full_disk() {
    both(|bed| {
        bed.plant(name("full"), opened("/dev/full"));
        for length in [10, 4096, LARGE] {
            assert_eq!(bed.run(write_through("full", 0, &pattern(length))), Err(DiskError::Full));
        }
        assert!(!bed.distrust.holds(name("full")), "the file is as good as before");
        // It takes what is written, and can't be synced.
        bed.plant(name("unsynced"), opened("/dev/null"));
        assert_eq!(bed.run(write_through("unsynced", 0, &[1; 4096])), Err(DiskError::Failed));
        bed.run(create("refused")).unwrap();
        bed.plant(name("refused"), std::fs::File::open(bed.path.path().join("refused")).unwrap());
        assert_eq!(bed.run(write_through("refused", 1, &[1; 10])), Err(DiskError::Failed));
        for file in ["unsynced", "refused"] {
            assert!(bed.distrust.holds(name(file)), "{file}");
            assert_eq!(bed.run(write_through(file, 0, &[1; 4096])), Err(DiskError::Failed));
        }
        assert_eq!(bed.run(write_through("none", 0, &[1; 4096])), Err(DiskError::NotFound));
        bed.run(create("a")).unwrap();
        assert_eq!(bed.run(write_through("a", u64::MAX - 4095, &[1; 4096])), Err(DiskError::Failed));
    });
}
