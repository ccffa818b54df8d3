//! qemu-io: patterns written, discarded, zeroed, read back.

use anyhow::{Result, ensure};

use crate::bed::{Bed, VDISK};
use crate::process::Program;

/// Runs qemu-io's commands in one session; a pattern that does not verify is an error.
fn qemu_io(uri: &str, commands: &[&str]) -> Result<()> {
    let mut io = Program::new("qemu-io").words("-f raw -d unmap");
    for command in commands {
        io = io.arg("-c").arg(command);
    }
    let said = io.arg(uri).run()?;
    ensure!(!said.contains("Pattern verification failed"), "a pattern differs");
    Ok(())
}

/// Writes, overwrites, zeroes and discards, seen at once and after a restart.
pub(crate) fn qemu_io_patterns(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    let uri = server.uri(VDISK);
    qemu_io(
        &uri,
        &[
            "read -P 0 0 1M",
            "write -P 0xaa 0 8M",
            "write -P 0xbb 1M 64k",
            "write -P 0xcc 4092k 8k",
            "write -z 2M 1M",
            "write -zu 3M 512k",
            "discard 5M 1M",
            "write -f -P 0xdd 200M 4M",
            "flush",
        ],
    )?;
    let state = [
        "read -P 0xaa 0 1M",
        "read -P 0xbb 1M 64k",
        "read -P 0xaa 1088k 960k",
        "read -P 0 2M 1536k",
        "read -P 0xaa 3584k 508k",
        "read -P 0xcc 4092k 8k",
        "read -P 0xaa 4100k 1020k",
        "read -P 0 5M 1M",
        "read -P 0xaa 6M 2M",
        "read -P 0 8M 100M",
        "read -P 0xdd 200M 4M",
    ];
    qemu_io(&uri, &state)?;
    server.kill()?;
    server.start_again(&[])?;
    qemu_io(&uri, &state)
}

/// Sectors of 512 bytes, written side by side into the same clusters.
pub(crate) fn qemu_io_unaligned(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    let uri = server.uri(VDISK);
    qemu_io(
        &uri,
        &[
            "write -P 1 0 64k",
            "aio_write -P 2 512 512",
            "aio_write -P 3 1024 512",
            "aio_write -P 4 1536 5k",
            "aio_write -P 5 32256 1k",
            "aio_flush",
            "write -z 12k 512",
            "discard 40k 512",
            "flush",
        ],
    )?;
    let state = [
        "read -P 1 0 512",
        "read -P 2 512 512",
        "read -P 3 1024 512",
        "read -P 4 1536 5k",
        "read -P 1 6656 5632",
        "read -P 0 12k 512",
        "read -P 1 12800 19456",
        "read -P 5 32256 1k",
        "read -P 1 33280 7680",
        "read -P 1 41472 24064",
    ];
    qemu_io(&uri, &state)?;
    server.kill()?;
    server.start_again(&[])?;
    qemu_io(&uri, &state)
}
