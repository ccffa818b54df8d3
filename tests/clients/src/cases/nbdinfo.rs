//! nbdinfo: what the server says about itself.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, VDISK};
use crate::process::Program;

const GIB: u64 = 1 << 30;

/// The list names the vDisk, with its size.
pub(crate) fn nbdinfo_lists_the_export(bed: &Bed) -> Result<()> {
    let server = bed.up("1GiB")?;
    let root = format!("nbd://127.0.0.1:{}", server.port());
    let list: Value =
        serde_json::from_str(&Program::new("nbdinfo").words("--list --json").arg(&root).run()?)?;
    let exports = list["exports"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(exports.len() == 1, "one vDisk, so one export: {list}");
    ensure!(exports[0]["export-name"] == VDISK && exports[0]["export-size"] == GIB, "{list}");
    let size = Program::new("nbdinfo").arg("--size").arg(server.uri(VDISK)).run()?;
    ensure!(size.trim() == GIB.to_string(), "size {size}");
    Program::new("nbdinfo").arg(server.uri("no-such-disk")).refused()?;
    Ok(())
}

/// Every ability that we claim, and none that we lack.
pub(crate) fn nbdinfo_knows_every_ability(bed: &Bed) -> Result<()> {
    let server = bed.up("1GiB")?;
    let uri = server.uri(VDISK);
    for can in ["flush", "fua", "trim", "zero", "fast-zero", "df", "multi-conn", "structured-reply", "write"]
    {
        Program::new("nbdinfo").arg("--can").arg(can).arg(&uri).run()?;
    }
    for lacks in ["--is read-only", "--is rotational", "--is tls"] {
        Program::new("nbdinfo").words(lacks).arg(&uri).refused()?;
    }
    let whole: Value = serde_json::from_str(&Program::new("nbdinfo").arg("--json").arg(&uri).run()?)?;
    let export = &whole["exports"][0];
    ensure!(
        export["contexts"].as_array().is_some_and(|contexts| contexts.contains(&"base:allocation".into())),
        "{whole}"
    );
    ensure!(
        export["block_size_maximum"].as_u64().is_none_or(|bytes| bytes >= 32 << 20),
        "requests of 32 MiB fit: {whole}"
    );
    ensure!(whole["protocol"] == "newstyle-fixed", "{whole}");
    Ok(())
}

/// The map shows data where something was written, and a hole elsewhere.
pub(crate) fn nbdinfo_maps_what_was_written(bed: &Bed) -> Result<()> {
    let server = bed.up("1GiB")?;
    let uri = server.uri(VDISK);
    Program::new("qemu-io")
        .words("-f raw -c")
        .arg("write -P 1 64M 1M")
        .arg("-c")
        .arg("flush")
        .arg(&uri)
        .run()?;
    let map: Value = serde_json::from_str(&Program::new("nbdinfo").words("--map --json").arg(&uri).run()?)?;
    let extents = map.as_array().map_or(&[][..], Vec::as_slice);
    let mut position = 0;
    let mut data = Vec::new();
    for extent in extents {
        let (offset, length) =
            (extent["offset"].as_u64().unwrap_or(0), extent["length"].as_u64().unwrap_or(0));
        ensure!(offset == position && length > 0, "extents follow each other: {map}");
        position += length;
        // base:allocation: bit 0 is a hole, bit 1 reads as zeros.
        if extent["type"] == 0 {
            data.push((offset, length));
        } else {
            ensure!(extent["type"] == 3, "what was never written is a hole of zeros: {map}");
        }
    }
    ensure!(position == GIB, "the map covers the disk: {map}");
    ensure!(data == [(64 << 20, 1 << 20)], "data is where it was written: {map}");
    Ok(())
}
