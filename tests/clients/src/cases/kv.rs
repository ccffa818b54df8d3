//! The KV's verbs, as people and scripts use them.

use anyhow::{Result, ensure};

use crate::bed::Bed;
use crate::process::Program;

/// Exit codes, as `ovs --help` tells them.
const USAGE: i32 = 2;
const NOT_RUNNING: i32 = 3;
const REFUSED: i32 = 4;
const NOT_FOUND: i32 = 7;

fn kv(bed: &Bed, words: &str) -> Program {
    bed.ovs("kv").words(words)
}

fn says(bed: &Bed, words: &str, expected: &str) -> Result<()> {
    let said = kv(bed, words).run()?;
    ensure!(said == expected, "`ovs kv {words}` says {said:?}, not {expected:?}");
    Ok(())
}

/// Every verb, what it prints, and how it ends; and nothing that a user does reaches the cluster's own records.
pub(crate) fn kv_verbs_do_what_they_say(bed: &Bed) -> Result<()> {
    kv(bed, "get colour").refused_with(NOT_RUNNING)?;
    let _server = bed.up("256MiB")?;
    kv(bed, "get colour").refused_with(NOT_FOUND)?;
    says(bed, "set colour green", "")?;
    says(bed, "get colour", "green\n")?;
    says(bed, "exists size", "false\n")?;
    says(bed, "multi-get colour size", "colour\tgreen\nsize\n")?;
    says(bed, "replace colour blue", "green\n")?;
    says(bed, "test-and-set colour red --expect blue", "blue\n")?;
    kv(bed, "test-and-set colour red --absent").refused_with(REFUSED)?;
    says(bed, "assert colour red", "")?;
    kv(bed, "assert colour green").refused_with(REFUSED)?;
    kv(bed, "assert-exists size").refused_with(REFUSED)?;
    says(bed, "assert-range col colour", "")?;
    kv(bed, "set colour \\q").refused_with(USAGE)?;
    kv(bed, &format!("get {}", "k".repeat(1023))).refused_with(USAGE)?;
    let value: Vec<u8> = (0..=255).collect();
    kv(bed, "set bytes --file -").input(value).run()?;
    says(bed, "get bytes --stale --json", &kv(bed, "get bytes --json").run()?)?;
    // What the cluster keeps of objects has a group of its own, which is nobody's to drop.
    ensure!(kv(bed, "group list").run()?.starts_with("namespaces: number 1, "), "it is there");
    kv(bed, "group drop namespaces").refused_with(REFUSED)?;

    let steps = "assert colour red\nset jobs/1 a\nbegin\nset jobs/2 b\nreplace colour -\nend\n";
    let found = kv(bed, "sequence").input(steps).run()?;
    ensure!(found == "2.1\tred\n", "{found:?}");
    let why = kv(bed, "sequence").input(steps).refused_with(REFUSED)?;
    ensure!(why.contains("step 0, key \"colour\""), "{why}");
    says(bed, "prefix jobs/", "jobs/1\ta\njobs/2\tb\n")?;
    says(bed, "reverse-range --first jobs/ --last jobs/2 --keys-only --limit 1", "jobs/2\n")?;
    says(bed, "range --first jobs/1 --exclude-first", "jobs/2\tb\n")?;
    says(bed, "watch jobs/ --after 0 --limit 2", "jobs/1\ta\njobs/2\tb\n")?;
    says(bed, "count", "3\n")?;

    let whole = kv(bed, "range --whole --keys-only").run()?;
    ensure!(whole.contains("cluster\n") && whole.contains("u/jobs/1\n"), "{whole}");
    let deleted = bed.ovs("kv").arg("delete-prefix").arg("").run()?;
    ensure!(deleted == "3\n", "{deleted:?}");
    let left = kv(bed, "range --whole --keys-only").run()?;
    ensure!(
        left == whole
            .lines()
            .filter(|key| !key.starts_with("u/"))
            .map(|key| format!("{key}\n"))
            .collect::<String>()
    );
    bed.ovs("vdisk info disk1").run()?;
    let measured = bed.ovs("bench kv --count 50 --json").run()?;
    ensure!(measured.lines().count() == 4, "{measured}");
    says(bed, "count", "0\n")
}
