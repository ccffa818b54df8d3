//! Lost disks: a real file system on the vDisk, and ASD folders that are gone.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, VDISK};
use crate::process::Program;
use crate::server::Server;

use super::lost::{fill_beyond_the_write_buffer, io, status_comes_to_name_what_is_lost};

/// Sizes of the file system: the first folder of real files that fits is taken.
const FILES_MAX_KIB: u64 = 160 << 10;
const FILE_SYSTEM: &str = "256M";

/// Where real files are, the richest first.
const CANDIDATES: &[&str] = &[
    "/usr/share",
    "/usr/share/doc",
    "/usr/share/perl",
    "/usr/share/zoneinfo",
    "/usr/share/terminfo",
    "/etc",
];

/// Makes an ext4 image of real files and copies it onto the vDisk.
fn write_file_system(bed: &Bed, server: &Server) -> Result<()> {
    let image = bed.path("ext4.raw");
    let source = CANDIDATES.iter().find(|folder| fits(folder)).context("no folder of real files fits")?;
    Program::new("mke2fs").words("-q -t ext4 -d").arg(source).arg(&image).arg(FILE_SYSTEM).run()?;
    Program::new("nbdcopy").arg("--flush").arg(&image).arg(server.uri(VDISK)).run()?;
    Ok(())
}

fn fits(folder: &str) -> bool {
    let said =
        Program::new("du").words("-s --apparent-size --block-size=1K").arg(folder).run().unwrap_or_default();
    let size: Option<u64> = said.split_whitespace().next().and_then(|size| size.parse().ok());
    size.is_some_and(|size| size > 0 && size < FILES_MAX_KIB)
}

/// Copies the vDisk out, compares it with what went in, and checks the file system.
fn check_file_system(bed: &Bed, server: &Server) -> Result<()> {
    let out = bed.path("out.raw");
    Program::new("nbdcopy").arg(server.uri(VDISK)).arg(&out).run()?;
    Program::new("cmp").arg(bed.path("ext4.raw")).arg(&out).run()?;
    Program::new("e2fsck").words("-f -n").arg(&out).run()?;
    Ok(())
}

fn remove_disks(bed: &Bed, disks: &[u32]) -> Result<()> {
    for disk in disks {
        let folder = bed.data().join(bed.asd(*disk));
        ensure!(Path::new(&folder).is_dir(), "{} is not there", folder.display());
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// Policy 4+2 loses two disks of eight while stopped, and everything is there.
pub(crate) fn ext4_survives_two_lost_disks(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    write_file_system(bed, &server)?;
    bed.ovs(&format!("vdisk sync {VDISK}")).run()?;
    check_file_system(bed, &server)?;
    server.stop()?;
    remove_disks(bed, &[2, 5])?;
    server.start_again(&[])?;
    check_file_system(bed, &server)?;
    let status = bed.ovs("status").run()?;
    ensure!(status.contains("degraded"), "status says that it is degraded");
    ensure!([2, 5].iter().all(|disk| status.contains(&bed.asd(*disk))), "status names the lost disks");
    // And what is written now lands on the disks that are left.
    Program::new("qemu-io")
        .words("-f raw -c")
        .arg("write -P 5 0 16M")
        .arg("-c")
        .arg("flush")
        .arg(server.uri(VDISK))
        .run()?;
    server.kill()?;
    server.start_again(&[])?;
    Program::new("qemu-io").words("-f raw -c").arg("read -P 5 0 16M").arg(server.uri(VDISK)).run()?;
    Ok(())
}

/// More disks are gone than the policy bears: the server starts, answers EIO for what is lost, names it, and the rest works.
pub(crate) fn too_many_lost_disks_say_so(bed: &Bed) -> Result<()> {
    let mut server = bed.up("1GiB")?;
    fill_beyond_the_write_buffer(bed, &server)?;
    server.stop()?;
    remove_disks(bed, &[0, 1, 2, 3, 4])?;
    server.start_again(&[])?;
    check_what_is_left(bed, &server)
}

/// The same where the folders are there and their logs are damaged.
pub(crate) fn too_many_damaged_disks_say_so(bed: &Bed) -> Result<()> {
    let mut server = bed.up("1GiB")?;
    fill_beyond_the_write_buffer(bed, &server)?;
    server.stop()?;
    for disk in 0..5 {
        for file in bed.data().join(bed.asd(disk)).read_dir()? {
            let file = file?.path();
            if !file.ends_with("identity") {
                OpenOptions::new().write(true).open(file)?.write_all_at(&[0xa5; 64 << 10], 0)?;
            }
        }
    }
    server.start_again(&[])?;
    check_what_is_left(bed, &server)
}

/// Eight disks less five leave three, and four are needed: what only they have is lost.
fn check_what_is_left(bed: &Bed, server: &Server) -> Result<()> {
    status_comes_to_name_what_is_lost(bed)?;
    let said = Program::new("qemu-io")
        .words("-f raw -c")
        .arg("read -P 5 32M 64M")
        .arg(server.uri(VDISK))
        .refused_saying()?;
    ensure!(said.contains("Input/output error"), "EIO, and no wrong byte: {said}");
    // What was never written, and what is written now.
    io(
        server,
        &["read -P 0 0 16M", "write -P 9 900M 8M", "flush", "read -P 9 900M 8M", "read -P 0 908M 16M"],
    )?;
    let osds = bed.ovs("osd list").run()?;
    ensure!([0, 4].iter().all(|disk| osds.contains(&bed.asd(*disk))), "the disks are listed: {osds}");
    Ok(())
}

/// With the write buffer gone as well, nobody can say what the vDisk held: it says so, and others work.
pub(crate) fn a_vdisk_without_its_logs_says_so(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    io(&server, &["write -P 5 0 64M", "flush"])?;
    bed.ovs(&format!("vdisk sync {VDISK}")).run()?;
    server.stop()?;
    std::fs::remove_dir_all(bed.data().join("write-buffer"))?;
    remove_disks(bed, &[0, 1, 2, 3, 4])?;
    server.start_again(&[])?;
    let status = bed.ovs("status").run()?;
    ensure!(status.contains("disk1 does not serve: TLog"), "status says what is lost: {status}");
    let info: Value = serde_json::from_str(&bed.ovs("vdisk info disk1 --json").run()?)?;
    let halted = info["halted"].as_str().unwrap_or_default();
    ensure!(halted.contains("is lost"), "so does the vDisk: {info}");
    Program::new("nbdinfo").arg(server.uri(VDISK)).refused()?;
    let said = Program::new("qemu-io").words("-f raw -c quit").arg(server.uri(VDISK)).refused()?;
    ensure!(said.contains("is lost"), "a client is told that it can't attach: {said}");
    bed.ovs("vdisk create disk2 --size 64MiB").run()?;
    let other = server.uri("disk2");
    Program::new("qemu-io")
        .words("-f raw -c")
        .arg("write -P 7 0 8M")
        .arg("-c")
        .arg("flush")
        .arg(&other)
        .run()?;
    Program::new("qemu-io").words("-f raw -c").arg("read -P 7 0 8M").arg(&other).run()?;
    Ok(())
}
