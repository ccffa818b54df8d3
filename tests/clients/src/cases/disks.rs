//! Lost disks: a real file system on the vDisk, and ASD folders that are gone.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::bed::{Bed, VDISK};
use crate::process::Program;
use crate::server::Server;

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

fn remove_disks(bed: &Bed, disks: &[&str]) -> Result<()> {
    for disk in disks {
        let folder = bed.data().join(disk);
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
    remove_disks(bed, &["asd-2", "asd-5"])?;
    server.start_again(&[])?;
    check_file_system(bed, &server)?;
    let status = bed.ovs("status").run()?;
    ensure!(status.contains("degraded"), "status says that it is degraded");
    ensure!(status.contains("asd-2") && status.contains("asd-5"), "status names the lost disks");
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

/// One disk more than the policy bears: the server starts, says what is lost, and answers EIO there, never a wrong byte.
pub(crate) fn too_many_lost_disks_say_so(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    let uri = server.uri(VDISK);
    Program::new("qemu-io")
        .words("-f raw -c")
        .arg("write -P 5 0 128M")
        .arg("-c")
        .arg("flush")
        .arg(&uri)
        .run()?;
    bed.ovs(&format!("vdisk sync {VDISK}")).run()?;
    server.stop()?;
    remove_disks(bed, &["asd-0", "asd-1", "asd-2", "asd-3", "asd-4"])?;
    server.start_again(&[])?;
    // Eight disks less five leave three, and four are needed: what is not in the write buffer any more is lost.
    let said = Program::new("qemu-io").words("-f raw -c").arg("read -P 5 0 128M").arg(&uri).refused();
    if let Ok(said) = said {
        ensure!(!said.contains("Pattern verification failed"), "a wrong byte was returned");
    }
    let status = bed.ovs("status").run()?;
    ensure!(!status.contains("healthy"), "status does not call this healthy");
    // What was never lost still works.
    Program::new("qemu-io").words("-f raw -c").arg("read -P 0 200M 8M").arg(&uri).run()?;
    Ok(())
}
