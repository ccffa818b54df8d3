//! fio: mixed block sizes, verified by checksums that fio writes into the blocks.

use anyhow::{Result, anyhow, ensure};

use crate::bed::{Bed, VDISK};
use crate::process::Program;
use crate::server::Server;

/// Bytes that one phase writes, in MiB.
const SIZE_MIB: u64 = 48;

/// What a fio process does.
#[derive(Clone, Copy)]
pub(super) enum Job {
    /// Writes, and ends with a flush.
    Write,
    /// Reads everything back and verifies it.
    Verify,
}

/// Jobs of several block sizes, each in its own region, all at once. `seed` changes what and where.
pub(super) fn fio(bed: &Bed, server: &Server, job: Job, seed: u64) -> Result<()> {
    let uri = server.uri(VDISK);
    let mut fio = Program::new("fio").words("--ioengine=nbd --rw=randwrite --verify=crc32c --verify_fatal=1");
    fio = fio.words("--group_reporting --iodepth=16 --thread --randrepeat=1").arg(format!("--uri={uri}"));
    // State files of fio go to the folder of the case.
    fio = fio.arg(format!("--aux-path={}", bed.path("").display())).arg(format!("--randseed={seed}"));
    fio = match job {
        Job::Write => fio.words("--do_verify=0 --end_fsync=1"),
        Job::Verify => fio.words("--verify_only=1"),
    };
    for (index, size) in
        ["--bs=4k", "--bs=64k", "--bs=512", "--bsrange=4k-256k", "--bs=1M"].into_iter().enumerate()
    {
        let region = index as u64 * SIZE_MIB * 2;
        let length = if size == "--bs=512" { SIZE_MIB / 8 } else { SIZE_MIB };
        fio = fio.arg(format!("--name=job{index}")).arg(size);
        fio = fio.arg(format!("--offset={region}m")).arg(format!("--size={length}m"));
    }
    fio.limit_seconds(200).run()?;
    Ok(())
}

/// Discards everything that jobs write. What they write vouches for itself, an earlier phase's as well as this one's: after
/// this a write that is missing shows.
pub(super) fn forget(server: &Server) -> Result<()> {
    let length = format!("discard 0 {}M", SIZE_MIB * 10);
    let io = Program::new("qemu-io").words("-f raw -d unmap -c").arg(length).arg("-c").arg("flush");
    io.arg(server.uri(VDISK)).run()?;
    Ok(())
}

/// Written and verified by a server that lives, overwritten in part, verified again.
pub(crate) fn fio_verifies_mixed_sizes(bed: &Bed) -> Result<()> {
    let mut server = bed.up("1GiB")?;
    for seed in [1, 2] {
        fio(bed, &server, Job::Write, seed)?;
        fio(bed, &server, Job::Verify, seed)?;
    }
    server.stop()?;
    server.start_again(&[])?;
    fio(bed, &server, Job::Verify, 2)
}

/// Phases that end in a flush, each followed by a kill and a verification. Some overwrite what was there, some begin with
/// nothing.
pub(crate) fn fio_verifies_after_kill(bed: &Bed) -> Result<()> {
    let mut server = bed.up("1GiB")?;
    for seed in 1..=6 {
        if seed % 2 == 0 {
            forget(&server)?;
        }
        fio(bed, &server, Job::Write, seed)?;
        server.kill()?;
        server.start_again(&[])?;
        fio(bed, &server, Job::Verify, seed)?;
    }
    Ok(())
}

/// The vDisk grows again and again under a client that writes; a client that connects then writes the new room too.
pub(crate) fn fio_verifies_while_the_vdisk_grows(bed: &Bed) -> Result<()> {
    let mut server = bed.up("1GiB")?;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| fio(bed, &server, Job::Write, 1));
        let mut size_mib = 1024;
        while !writer.is_finished() {
            size_mib += 64;
            bed.ovs(&format!("vdisk resize {VDISK} --size {size_mib}MiB")).run()?;
        }
        ensure!(size_mib > 1024, "it grew while the client wrote");
        writer.join().map_err(|_| anyhow!("the thread of the client panicked"))?
    })?;
    let uri = server.uri(VDISK);
    Program::new("qemu-io")
        .words("-f raw -c")
        .arg("read -P 0 1024M 64M")
        .arg("-c")
        .arg("write -P 5 1056M 32M")
        .arg("-c")
        .arg("flush")
        .arg(&uri)
        .run()?;
    server.kill()?;
    server.start_again(&[])?;
    Program::new("qemu-io")
        .words("-f raw -c")
        .arg("read -P 0 1024M 32M")
        .arg("-c")
        .arg("read -P 5 1056M 32M")
        .arg(&uri)
        .run()?;
    fio(bed, &server, Job::Verify, 1)
}

/// Disks stop and start under a client that writes: it notices nothing, and what it wrote meanwhile bears the loss of two
/// others. What it flushed is verified while disks are away, and when all are back.
pub(crate) fn fio_verifies_while_disks_stop_and_start(bed: &Bed) -> Result<()> {
    const PHASES: u64 = 3;
    let server = bed.up("1GiB")?;
    std::thread::scope(|scope| {
        let phase = |seed| forget(&server).and_then(|()| fio(bed, &server, Job::Write, seed));
        let writer = scope.spawn(move || (1..=PHASES).try_for_each(phase));
        let mut rounds = 0;
        while !writer.is_finished() {
            bed.osds("stop", &[3, 6])?;
            ensure!(bed.ovs("status").run()?.contains("degraded"), "status says that two disks are away");
            rounds += u32::from(!writer.is_finished());
            bed.osds("start", &[3, 6])?;
        }
        ensure!(rounds > 0, "disks were away while the client wrote");
        writer.join().map_err(|_| anyhow!("the thread of the client panicked"))?
    })?;
    bed.ovs(&format!("vdisk sync {VDISK}")).run()?;
    bed.osds("stop", &[1, 4])?;
    fio(bed, &server, Job::Verify, PHASES)?;
    bed.osds("start", &[1, 4])?;
    ensure!(bed.ovs("status").run()?.starts_with("healthy"), "all disks are back");
    fio(bed, &server, Job::Verify, PHASES)
}
