//! The largest vDisk.

use anyhow::{Result, ensure};

use crate::bed::Bed;
use crate::process::Program;

/// 64 TiB are thin: made in no time, written at both ends and in the middle, zeros elsewhere. One cluster more is
/// refused.
pub(crate) fn sixty_four_tebibytes(bed: &Bed) -> Result<()> {
    let mut server = bed.up("1GiB")?;
    bed.ovs("vdisk create huge --size 64TiB").run()?;
    bed.ovs("vdisk create larger --size 70368744181760").refused()?;
    let uri = server.uri("huge");
    let size = Program::new("nbdinfo").arg("--size").arg(&uri).run()?;
    ensure!(size.trim() == (64_u64 << 40).to_string(), "the size is {size}");
    let state = [
        "read -P 1 0 1M",
        "read -P 2 32T 1M",
        "read -P 3 70368743129088 1M",
        "read -P 0 1M 1M",
        "read -P 0 17T 32M",
        "read -P 0 45T 32M",
        "read -P 0 70368742080512 1M",
    ];
    let writes = ["write -P 1 0 1M", "write -P 2 32T 1M", "write -P 3 70368743129088 1M", "flush"];
    qemu_io(&uri, &writes)?;
    qemu_io(&uri, &state)?;
    bed.ovs("vdisk sync huge").run()?;
    server.kill()?;
    server.start_again(&[])?;
    qemu_io(&uri, &state)?;
    // Its map is not larger than its data.
    let totals = Program::new("nbdinfo").words("--map --totals").arg(&uri).run()?;
    ensure!(totals.contains("3145728"), "3 MiB are data: {totals}");
    Ok(())
}

fn qemu_io(uri: &str, commands: &[&str]) -> Result<()> {
    let mut io = Program::new("qemu-io").words("-f raw");
    for command in commands {
        io = io.arg("-c").arg(command);
    }
    io.arg(uri).run()?;
    Ok(())
}
