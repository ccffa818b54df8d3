//! Starting, stopping, and starts that are refused.

use std::net::TcpListener;

use anyhow::{Result, ensure};

use crate::bed::{Bed, VDISK, free_port};
use crate::process::Program;

/// SIGTERM stops within its time, and nothing is lost, flushed or not.
pub(crate) fn stop_keeps_everything(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    let uri = server.uri(VDISK);
    for round in 1..=5 {
        let write = format!("write -P {round} {round}M 900k");
        Program::new("qemu-io").words("-f raw -t writeback -c").arg(&write).arg(&uri).run()?;
        server.stop()?;
        server.start_again(&[])?;
        for earlier in 1..=round {
            let read = format!("read -P {earlier} {earlier}M 900k");
            Program::new("qemu-io").words("-f raw -c").arg(&read).arg(&uri).run()?;
        }
    }
    Ok(())
}

/// SIGTERM while a client writes: the server still ends in time and with 0.
pub(crate) fn stop_is_clean_under_load(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    let uri = server.uri(VDISK);
    let bench = std::thread::spawn(move || {
        // It fails when its server goes, and that is all it is for.
        let bench = Program::new("qemu-img").words("bench -f raw -c 10000000 -d 32 -s 4096 -w").arg(&uri);
        let _ = bench.limit_seconds(60).run();
    });
    // Once something was written, the load is on.
    let metrics = || bed.ovs("metrics").run();
    while !metrics()?
        .lines()
        .any(|line| !line.starts_with('#') && line.contains("write") && !line.ends_with(" 0"))
    {}
    server.stop()?;
    ensure!(bench.join().is_ok(), "the client's thread ends");
    server.start_again(&[])?;
    server.stop()
}

/// A directory and a port have one server; what is refused touches nothing.
pub(crate) fn second_start_is_refused(bed: &Bed) -> Result<()> {
    let server = bed.up("256MiB")?;
    let start = |data: &std::path::Path, nbd: String| {
        Program::new(bed.ovs_binary())
            .arg("up")
            .arg("--dir")
            .arg(data)
            .arg("--nbd")
            .arg(nbd)
            .limit_seconds(60)
            .refused()
    };
    let said = start(&bed.data(), format!("127.0.0.1:{}", free_port()?))?;
    one_line(&said)?;
    let said = start(&bed.path("other"), format!("127.0.0.1:{}", server.port()))?;
    one_line(&said)?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let said = start(&bed.path("other"), taken.local_addr()?.to_string())?;
    one_line(&said)?;
    ensure!(!bed.path("other").join("asd-0").exists(), "a refused start leaves nothing behind");
    let said = start(&bed.path("open"), format!("0.0.0.0:{}", free_port()?))?;
    ensure!(said.contains("--insecure-nbd"), "beyond the loopback it asks for the word: {said}");
    // The first one is unharmed.
    Program::new("nbdinfo").arg(server.uri(VDISK)).run()?;
    Ok(())
}

/// What contradicts the stored settings, or is impossible, is refused in one line that names it.
pub(crate) fn contradictions_are_refused(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    server.stop()?;
    let port = free_port()?;
    let nbd = format!("127.0.0.1:{port}");
    let up = |data: &str, words: &str| {
        let up =
            Program::new(bed.ovs_binary()).arg("up").arg("--dir").arg(bed.path(data)).arg("--nbd").arg(&nbd);
        up.words(words).limit_seconds(60).refused()
    };
    let said = up("d", "--disks 9")?;
    ensure!(said.contains('8') && said.contains('9'), "both values are named: {said}");
    one_line(&said)?;
    let said = up("d", "--sco-size 8MiB")?;
    ensure!(said.contains("4 MiB") || said.contains("4MiB"), "the stored value is named: {said}");
    for impossible in [
        "--policy 4,2,7,1",
        "--policy 9,3,10,1",
        "--policy 0,2,1,1",
        "--sco-size 2MiB",
        "--sco-size 256MiB",
        "--vdisk x:0",
        "--vdisk x:1000",
        "--vdisk x:65TiB",
        "--vdisk a/b:1GiB",
        "--vdisk a@b:1GiB",
        "--vdisk :1GiB",
        "--vdisk x:1GiB --vdisk x:2GiB",
    ] {
        one_line(&up("fresh", impossible)?)?;
        ensure!(!bed.path("fresh").join("asd-0").exists(), "`{impossible}` leaves nothing behind");
    }
    let said = Program::new(bed.ovs_binary()).words("vdsik list").arg("--dir").arg(bed.data()).refused()?;
    ensure!(said.contains("vdisk"), "a typo is told the verb that was meant: {said}");
    let said = bed.ovs("vdisk list").refused()?;
    ensure!(said.contains("running"), "without a server a verb says so: {said}");
    server.start_again(&[])?;
    let said = bed.ovs(&format!("vdisk resize {VDISK} --size 128MiB")).refused()?;
    one_line(&said)?;
    server.stop()
}

/// A refusal is one clear line, not a page and not a stack.
fn one_line(said: &str) -> Result<()> {
    ensure!(said.trim().lines().count() == 1, "not one line:\n{said}");
    Ok(())
}
