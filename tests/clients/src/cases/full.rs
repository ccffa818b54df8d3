//! A file system that is full, or read-only: a small one in a mount namespace of its own, which ends with the case.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, VDISK, free_port};
use crate::process::Program;
use crate::server::Server;

/// The exit code for what the operating system refuses.
const SYSTEM: i32 = 6;

/// A file system of 400 MiB that only those see who enter.
struct Room {
    holder: Child,
    folder: PathBuf,
    is_root: bool,
}

impl Room {
    fn make(folder: &Path) -> Result<Self> {
        std::fs::create_dir(folder)?;
        let is_root = rustix::process::geteuid().is_root();
        let script = "mount -t tmpfs -o size=400m none \"$0\" && echo mounted && exec sleep 3600";
        let mut holder = Command::new("unshare")
            .args(if is_root { &["-m"][..] } else { &["-m", "-r"] })
            .args(["sh", "-c", script])
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output).read_line(&mut said)?;
        }
        let room = Room { holder, folder: folder.to_owned(), is_root };
        ensure!(said == "mounted\n", "no file system could be mounted: {said}");
        Ok(room)
    }

    /// The words that enter it.
    fn enter(&self) -> Vec<String> {
        let line = format!("nsenter -t {} -m", self.holder.id());
        let user = if self.is_root { "" } else { " -U --preserve-credentials" };
        format!("{line}{user}").split_whitespace().map(str::to_owned).collect()
    }

    /// A program in it.
    fn program(&self, program: &Path) -> Program {
        Program::new("env").words(&self.enter().join(" ")).arg(program)
    }

    /// A path in it, as those outside reach it.
    fn outside(&self, name: &str) -> PathBuf {
        let inside = self.folder.strip_prefix("/").unwrap_or(&self.folder);
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(inside).join(name)
    }

    /// Takes all room that is left.
    fn fill(&self) -> Result<()> {
        let mut file = std::fs::File::create(self.outside("filler"))?;
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.outside("filler"))?)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A disk that fills up under a client: it waits or is told so, and when there is room again all goes on and nothing
/// was lost. A start without room is refused, and so is one on a file system that can't be written.
pub(crate) fn full_disk_loses_nothing(bed: &Bed) -> Result<()> {
    let room = Room::make(&bed.path("room"))?;
    let port = free_port()?;
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let first = words(
        "--disks 4 --policy 2,1,3,1 --disk-size 512MiB --sco-size 4MiB --write-buffer 128MiB --vdisk disk1:1GiB",
    );
    let common = words(&format!("--dir {} --nbd 127.0.0.1:{port}", room.folder.join("d").display()));
    let mut prefix = room.enter();
    prefix.push(bed.ovs_binary().display().to_string());
    let mut server = Server::start_through(&prefix, &first, &common, port, &bed.path("server.log"))?;
    let uri = server.uri(VDISK);
    io(&uri, &["write -P 1 0 32M", "flush"])?;
    room.fill()?;
    let client = std::thread::spawn({
        let uri = uri.clone();
        move || io(&uri, &["write -P 2 64M 32M", "flush"])
    });
    let status = || room.program(bed.ovs_binary()).words("status --dir").arg(room.folder.join("d")).run();
    while !client.is_finished() && status()?.starts_with("healthy") {
        std::thread::sleep(Duration::from_millis(100));
    }
    room.free()?;
    if client.join().is_ok_and(|outcome| outcome.is_ok()) {
        io(&uri, &["read -P 2 64M 32M"])?;
    }
    io(&uri, &["read -P 1 0 32M", "write -P 3 96M 16M", "flush"])?;
    server.kill()?;
    server.start_again(&[])?;
    io(&uri, &["read -P 1 0 32M", "read -P 3 96M 16M"])?;
    server.stop()?;
    refused_without_room(bed, &room, &common)?;
    server.start_again(&[])?;
    io(&uri, &["read -P 1 0 32M", "read -P 3 96M 16M"])
}

/// The folder of one disk has no room left: it is shown as full, and the others take everything.
pub(crate) fn a_full_disk_is_shown_and_the_rest_serves(bed: &Bed) -> Result<()> {
    const FULL: &str = "asd-3";
    let room = Room::make(&bed.path("room"))?;
    let port = free_port()?;
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let first = words(
        "--disks 4 --policy 2,1,3,1 --disk-size 4GiB --sco-size 4MiB --write-buffer 128MiB --vdisk disk1:1GiB",
    );
    let common = words(&format!("--dir {} --nbd 127.0.0.1:{port}", bed.data().display()));
    let mut prefix = room.enter();
    prefix.push(bed.ovs_binary().display().to_string());
    let mut server = Server::start_through(&prefix, &first, &common, port, &bed.path("server.log"))?;
    server.stop()?;
    // Its folder moves to the small file system, and is seen where it was.
    let folder = bed.data().join(FULL);
    room.program(Path::new("cp")).words("-a").arg(&folder).arg(&room.folder).run()?;
    room.program(Path::new("mount")).words("--bind").arg(room.folder.join(FULL)).arg(&folder).run()?;
    server.start_again(&[])?;
    let uri = server.uri(VDISK);
    let write = |pattern: u64| {
        let (at, sync) = (pattern * 32, format!("vdisk sync {VDISK}"));
        io(&uri, &[&format!("write -P {pattern} {at}M 32M"), "flush"])?;
        bed.ovs(&sync).run()
    };
    write(1)?;
    ensure!(states(bed)? == ["up"; 4], "all is well: {:?}", states(bed)?);
    room.fill()?;
    // Each round offers it fragments, until it has said that it has no room.
    let mut rounds = 2..8;
    while states(bed)? != ["up", "up", "up", "full"] {
        let round = rounds.next().with_context(|| format!("it is never full: {:?}", states(bed)))?;
        write(round)?;
    }
    let status = bed.ovs("status").run()?;
    ensure!(status.contains(&format!("{FULL} full")), "status says why it is degraded: {status}");
    write(8)?;
    for pattern in (1..rounds.start).chain([8]) {
        io(&uri, &[&format!("read -P {pattern} {}M 32M", pattern * 32)])?;
    }
    room.free()?;
    Ok(())
}

/// How the disks are, in order.
fn states(bed: &Bed) -> Result<Vec<String>> {
    let osds: Value = serde_json::from_str(&bed.ovs("osd list --json").run()?)?;
    let osds = osds.as_array().with_context(|| format!("no list of disks: {osds}"))?;
    Ok(osds.iter().map(|osd| osd["state"].as_str().unwrap_or_default().to_owned()).collect())
}

fn refused_without_room(bed: &Bed, room: &Room, common: &[String]) -> Result<()> {
    let up = || room.program(bed.ovs_binary()).arg("up").words(&common.join(" "));
    let fresh = || {
        let nbd = format!("up --disk-size 512MiB --nbd {} --dir", common[3]);
        room.program(bed.ovs_binary()).words(&nbd).arg(room.folder.join("fresh"))
    };
    room.fill()?;
    let said = up().refused_with(SYSTEM)?;
    ensure!(said.contains("full"), "what is wrong is told: {said}");
    fresh().refused_with(SYSTEM)?;
    room.free()?;
    room.program(Path::new("mount")).words("-o remount,ro").arg(&room.folder).run()?;
    let said = up().refused_with(SYSTEM)?;
    ensure!(said.contains("Read-only"), "what is wrong is told: {said}");
    fresh().refused_with(SYSTEM)?;
    room.program(Path::new("mount")).words("-o remount,rw").arg(&room.folder).run()?;
    ensure!(!room.outside("fresh").exists(), "a refused start leaves nothing behind");
    Ok(())
}

fn io(uri: &str, commands: &[&str]) -> Result<()> {
    let mut io = Program::new("qemu-io").words("-f raw");
    for command in commands {
        io = io.arg("-c").arg(command);
    }
    io.arg(uri).run()?;
    Ok(())
}
