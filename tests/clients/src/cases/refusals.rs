//! Starts and verbs that are refused: one line, the documented exit code, and nothing touched.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::bed::{Bed, VDISK, free_port};
use crate::process::Program;
use crate::tree::Contents;

/// Exit codes, as `ovs --help` tells them.
const USAGE: i32 = 2;
const NOT_RUNNING: i32 = 3;
const REFUSED: i32 = 4;
const BUSY: i32 = 5;
const SYSTEM: i32 = 6;
const NOT_FOUND: i32 = 7;
const TIMED_OUT: i32 = 8;

/// `up` on a directory of the bed, on a port that is free.
fn up(bed: &Bed, directory: &str, words: &str) -> Result<Program> {
    let nbd =
        if words.contains("--nbd") { String::new() } else { format!("--nbd 127.0.0.1:{}", free_port()?) };
    let up = Program::new(bed.ovs_binary()).arg("up").arg("--dir").arg(bed.path(directory));
    Ok(up.words(&nbd).words(words).limit_seconds(60))
}

/// What makes no sense or is impossible leaves not even a directory behind.
pub(crate) fn impossible_first_starts_leave_nothing(bed: &Bed) -> Result<()> {
    let long = "x".repeat(65);
    for (words, named) in [
        ("--policy 4,2,6,1 --disks 5", "--disks"),
        ("--policy 4,2,7,1", "between k and k + m"),
        ("--policy 0,2,1,1", "at least 1"),
        ("--sco-size 3MiB", "4MiB to 128MiB"),
        ("--sco-size 129MiB", "4MiB to 128MiB"),
        ("--sco-size 4100KiB", "whole MiB"),
        ("--write-buffer 1MiB", "at least 32 MiB"),
        ("--disk-size 1MiB", "at least 512 MiB"),
        ("--disks 0", "1..=256"),
        ("--disks 257", "1..=256"),
        ("--vdisk x:0", "no size"),
        ("--vdisk x:4097", "4 KiB"),
        ("--vdisk x:65TiB", "64 TiB"),
        ("--vdisk :1GiB", "name"),
        ("--vdisk a/b:1GiB", "'/'"),
        ("--vdisk a@b:1GiB", "'@'"),
        (&format!("--vdisk {long}:1GiB"), "64 bytes"),
        ("--vdisk x:1GiB --vdisk x:1GiB", "twice"),
        ("--nbd 0.0.0.0:20000", "--insecure-nbd"),
        ("--dsks 3", "'--disks'"),
    ] {
        let said = up(bed, "fresh/er", words)?.refused_with(USAGE)?;
        ensure!(said.contains(named), "`{words}` is told {named}: {said}");
        ensure!(!bed.path("fresh").exists(), "`{words}` leaves something behind");
    }
    let said = up(bed, &format!("{}/d", "y".repeat(110)), "")?.refused_with(REFUSED)?;
    ensure!(said.contains("107"), "how long a path may be is told: {said}");
    let few = Program::new("prlimit").words("--nofile=300:300").arg(bed.ovs_binary()).arg("up");
    let few = few.arg("--dir").arg(bed.path("fresh")).words("--disk-size 512MiB --nbd 127.0.0.1:0");
    let said = few.refused_with(SYSTEM)?;
    ensure!(said.contains("file descriptors") && said.contains("1024"), "how many it needs is told: {said}");
    ensure!(!bed.path("fresh").exists(), "too few descriptors leave something behind");
    Ok(())
}

/// What is not a cluster's stays as it is.
pub(crate) fn foreign_directories_stay(bed: &Bed) -> Result<()> {
    let foreign = bed.path("foreign");
    std::fs::create_dir(&foreign)?;
    std::fs::write(foreign.join("letter"), "dear")?;
    let before = Contents::of(&foreign)?;
    let said = up(bed, "foreign", "")?.refused_with(REFUSED)?;
    ensure!(said.contains("letter"), "what is there is named: {said}");
    let destroy = |directory: &Path, words: &str| {
        Program::new(bed.ovs_binary()).arg("destroy").arg("--dir").arg(directory).words(words)
    };
    destroy(&foreign, "--yes").refused_with(REFUSED)?;
    before.check_untouched(&foreign)?;
    destroy(&bed.path("nowhere"), "--yes").refused_with(NOT_FOUND)?;
    up(bed, "foreign/letter", "")?.refused_with(SYSTEM)?;
    before.check_untouched(&foreign)
}

/// Folders that are in the wrong place, too new, or missing: refused, and all is well when they are put right.
pub(crate) fn wrong_folders_are_refused(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    let uri = server.uri(VDISK);
    Program::new("qemu-io")
        .words("-f raw -c")
        .arg("write -P 7 0 8M")
        .arg("-c")
        .arg("flush")
        .arg(&uri)
        .run()?;
    server.stop()?;
    let data = bed.data();
    let at = |name: &str| data.join(name);
    let swap = |a: &str, b: &str| -> Result<()> {
        std::fs::rename(at(a), at("swap"))?;
        std::fs::rename(at(b), at(a))?;
        Ok(std::fs::rename(at("swap"), at(b))?)
    };
    let before = Contents::of(&data)?;
    let refused = |named: &str| -> Result<()> {
        let now = Contents::of(&data)?;
        let said = up(bed, "d", "")?.refused_with(REFUSED)?;
        ensure!(said.contains(named), "{named} is named: {said}");
        now.check_untouched(&data)
    };
    swap("asd-0", "asd-1")?;
    refused("swapped or copied")?;
    swap("asd-0", "asd-1")?;
    std::fs::rename(at("asd-7"), bed.path("aside"))?;
    Program::new("cp").arg("-r").arg(at("asd-0")).arg(at("asd-7")).run()?;
    refused("asd-7 is the folder of asd-0")?;
    std::fs::remove_dir_all(at("asd-7"))?;
    std::fs::rename(bed.path("aside"), at("asd-7"))?;
    std::fs::rename(at("kv"), bed.path("aside"))?;
    refused("single copy")?;
    std::fs::rename(bed.path("aside"), at("kv"))?;
    let log = first_file(&data, "kv/log-")?;
    std::fs::rename(&log, bed.path("log"))?;
    refused("holds no log")?;
    std::fs::rename(bed.path("log"), &log)?;
    for folder in ["", "asd-3", "kv", "write-buffer"] {
        newer(&at(folder).join("identity"), || refused("use a newer ovs"))?;
    }
    for prefix in ["kv/log-", "write-buffer/d1.tlog-", "write-buffer/d1.sco-"] {
        newer(&first_file(&data, prefix)?, || refused("use a newer ovs"))?;
    }
    damaged(&at("kv/log-0000000000000001"), || refused("the KV's log is damaged at log-"))?;
    before.check_untouched(&data)?;
    server.start_again(&[])?;
    Program::new("qemu-io").words("-f raw -c").arg("read -P 7 0 8M").arg(&uri).run()?;
    Ok(())
}

/// A journal whose first batch is damaged while something is tried. Its header takes a page, that of a batch 56 bytes;
/// what lies behind the body is padding.
fn damaged(path: &Path, attempt: impl Fn() -> Result<()>) -> Result<()> {
    let old = std::fs::read(path).with_context(|| path.display().to_string())?;
    let mut new = old.clone();
    new[4096 + 60] ^= 1;
    std::fs::write(path, new)?;
    attempt().with_context(|| format!("{} is damaged", path.display()))?;
    Ok(std::fs::write(path, old)?)
}

/// A file whose version is far ahead while something is tried. The version stands behind 8 bytes of magic.
fn newer(path: &Path, attempt: impl Fn() -> Result<()>) -> Result<()> {
    let old = std::fs::read(path).with_context(|| path.display().to_string())?;
    let mut new = old.clone();
    new[8] = 99;
    std::fs::write(path, new)?;
    attempt().with_context(|| format!("{} is newer", path.display()))?;
    Ok(std::fs::write(path, old)?)
}

fn first_file(data: &Path, prefix: &str) -> Result<std::path::PathBuf> {
    let (folder, name) = prefix.split_once('/').context("a folder and a name")?;
    let mut entries = data.join(folder).read_dir()?.filter_map(|entry| Some(entry.ok()?.path()));
    let found =
        entries.find(|path| path.file_name().is_some_and(|found| found.to_string_lossy().starts_with(name)));
    found.with_context(|| format!("{prefix} is not there"))
}

/// What contradicts the stored settings is told both values; the port may change, and vDisks may be added.
pub(crate) fn both_values_are_named(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    server.stop()?;
    let before = Contents::of(&bed.data())?;
    for (words, given, stored) in [
        ("--disks 9", "--disks 9", ": 8"),
        ("--sco-size 8MiB", "8 MiB", ": 4 MiB"),
        ("--write-buffer 1GiB", "1 GiB", ": 256 MiB"),
        ("--disk-size 777MiB", "777 MiB", "made with"),
        ("--policy 2,1,3,1", "2,1,3,1", ": 4,2,6,1"),
        ("--vdisk disk1:1GiB", "1 GiB", "256 MiB"),
    ] {
        let said = up(bed, "d", words)?.refused_with(REFUSED)?;
        ensure!(said.contains(given) && said.contains(stored), "`{words}` names both: {said}");
        before.check_untouched(&bed.data())?;
    }
    server.start_again(&[
        "--disks",
        "8",
        "--policy",
        "4,2,6,1",
        "--vdisk",
        "disk1:256MiB",
        "--vdisk",
        "more:1GiB",
    ])?;
    Program::new("nbdinfo").arg(server.uri("more")).run()?;
    Ok(())
}

/// Verbs end with the code that help tells.
pub(crate) fn verbs_end_with_their_codes(bed: &Bed) -> Result<()> {
    bed.ovs("status").refused_with(NOT_RUNNING)?;
    let mut server = bed.up("256MiB")?;
    let long = "x".repeat(65);
    let info = "vdisk info disk1 --json";
    let before = bed.ovs(info).run()?;
    for (verb, code, named) in [
        ("vdisk resize nope --size 1GiB", NOT_FOUND, "nope"),
        ("vdisk sync nope", NOT_FOUND, "nope"),
        ("backend sync nope", NOT_FOUND, "nope"),
        ("vdisk info nope", NOT_FOUND, "nope"),
        ("vdisk delete nope --yes", NOT_FOUND, "nope"),
        ("osd stop 99", NOT_FOUND, "asd-99"),
        ("disk start asd-99", NOT_FOUND, "asd-99"),
        ("vdisk create disk1 --size 1GiB", REFUSED, "already"),
        ("vdisk resize disk1 --size 128MiB", REFUSED, "never shrink"),
        ("vdisk delete disk1", REFUSED, "--yes"),
        ("vdisk create x --size 0", USAGE, "no size"),
        ("vdisk create x --size 4097", USAGE, "4 KiB"),
        ("vdisk create x --size 65TiB", USAGE, "64 TiB"),
        ("vdisk create a/b --size 1GiB", USAGE, "'/'"),
        ("vdisk create .. --size 1GiB", USAGE, "letter or digit"),
        (&format!("vdisk create {long} --size 1GiB"), USAGE, "64 bytes"),
        ("vdsik list", USAGE, "'vdisk'"),
        ("vdisk lst", USAGE, "'list'"),
        ("vdisk", USAGE, "create"),
        ("destroy --yes", BUSY, "running"),
    ] {
        let said = bed.ovs(verb).refused_with(code)?;
        ensure!(said.contains(named), "`{verb}` is told {named}: {said}");
    }
    bed.ovs("vdisk create").arg("").words("--size 1GiB").refused_with(USAGE)?;
    ensure!(bed.ovs(info).run()? == before, "what is refused changes nothing");
    up(bed, "d", "")?.refused_with(BUSY)?;
    up(bed, "other", &format!("--nbd 127.0.0.1:{}", server.port()))?.refused_with(BUSY)?;
    ensure!(!bed.path("other").exists(), "a busy port leaves something behind");
    rustix::process::kill_process(server.pid()?, rustix::process::Signal::STOP)?;
    bed.ovs("status --timeout 1").refused_with(TIMED_OUT)?;
    rustix::process::kill_process(server.pid()?, rustix::process::Signal::CONT)?;
    server.stop()?;
    destroyed(bed)
}

/// `destroy` asks, and leaves what is not the cluster's.
fn destroyed(bed: &Bed) -> Result<()> {
    let before = Contents::of(&bed.data())?;
    let said = bed.ovs("destroy").refused_with(REFUSED)?;
    ensure!(said.contains("--yes"), "the word is told: {said}");
    before.check_untouched(&bed.data())?;
    let mine = bed.data().join("asd-2/mine");
    std::fs::write(&mine, "precious")?;
    let said = bed.ovs("destroy --yes").run()?;
    ensure!(
        said.contains("asd-2/mine") && mine.exists(),
        "what is not the cluster's stays and is named: {said}"
    );
    ensure!(!bed.data().join("identity").exists() && !bed.data().join("kv").exists(), "the rest is gone");
    Ok(())
}
