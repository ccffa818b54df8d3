//! qemu-img: convert, compare, map, bench.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, VDISK};
use crate::process::Program;

/// A qcow2 image converted onto the vDisk compares equal, and comes back equal.
pub(crate) fn qemu_img_converts_and_compares(bed: &Bed) -> Result<()> {
    let server = bed.up("256MiB")?;
    let uri = server.uri(VDISK);
    let image = bed.path("source.qcow2");
    Program::new("qemu-img").words("create -q -f qcow2").arg(&image).arg("256M").run()?;
    let mut io = Program::new("qemu-io").words("-f qcow2");
    for write in ["write -P 1 0 8M", "write -P 2 10M 300k", "write -P 3 100M 20M", "write -P 4 255M 1M"] {
        io = io.arg("-c").arg(write);
    }
    io.arg(&image).run()?;
    Program::new("qemu-img").words("convert -n -f qcow2 -O raw -W -m 8").arg(&image).arg(&uri).run()?;
    Program::new("qemu-img").words("compare -f qcow2 -F raw").arg(&image).arg(&uri).run()?;
    let back = bed.path("back.raw");
    Program::new("qemu-img").words("convert -f raw -O raw").arg(&uri).arg(&back).run()?;
    Program::new("qemu-img").words("compare -f qcow2 -F raw").arg(&image).arg(&back).run()?;
    // And a difference of one byte is a difference.
    Program::new("qemu-io").words("-f raw -c").arg("write -P 9 110M 512").arg(&uri).run()?;
    Program::new("qemu-img").words("compare -f raw -F raw").arg(&back).arg(&uri).refused()?;
    Ok(())
}

/// The map and the check of a disk with a little data.
pub(crate) fn qemu_img_maps_what_was_written(bed: &Bed) -> Result<()> {
    let server = bed.up("1GiB")?;
    let uri = server.uri(VDISK);
    Program::new("qemu-io")
        .words("-f raw -c")
        .arg("write -P 1 512M 4M")
        .arg("-c")
        .arg("flush")
        .arg(&uri)
        .run()?;
    let map: Value =
        serde_json::from_str(&Program::new("qemu-img").words("map --output=json -f raw").arg(&uri).run()?)?;
    let extents = map.as_array().map_or(&[][..], Vec::as_slice);
    let data: Vec<_> = extents.iter().filter(|extent| extent["data"] == true).collect();
    ensure!(data.len() == 1, "one range of data: {map}");
    ensure!(data[0]["start"] == 512_u64 << 20 && data[0]["length"] == 4_u64 << 20, "{map}");
    let info: Value =
        serde_json::from_str(&Program::new("qemu-img").words("info --output=json -f raw").arg(&uri).run()?)?;
    ensure!(info["virtual-size"] == 1_u64 << 30, "{info}");
    Ok(())
}

/// Many requests in flight, with flushes between; what they wrote can be read.
pub(crate) fn qemu_img_benches(bed: &Bed) -> Result<()> {
    let server = bed.up("1GiB")?;
    let uri = server.uri(VDISK);
    for line in [
        "bench -f raw -c 20000 -d 32 -s 4096 -w --pattern=7 --flush-interval=500",
        "bench -f raw -c 20000 -d 32 -s 4096",
        "bench -f raw -c 200 -d 8 -s 1048576 -w --pattern=7 -o 268435456",
        "bench -f raw -c 2000 -d 16 -s 512 -S 512 -w --pattern=7 -o 805306368 --flush-interval=100",
    ] {
        Program::new("qemu-img").words(line).arg(&uri).run()?;
    }
    let mut io = Program::new("qemu-io").words("-f raw");
    for read in ["read -P 7 0 80000k", "read -P 7 256M 200M", "read -P 7 768M 1000k"] {
        io = io.arg("-c").arg(read);
    }
    io.arg(&uri).run()?;
    Ok(())
}
