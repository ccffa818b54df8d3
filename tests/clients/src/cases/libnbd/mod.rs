//! libnbd through its Python binding (what nbdsh is): every command and flag by hand. The scripts lie beside this file.

use anyhow::Result;

use crate::bed::{Bed, VDISK};
use crate::process::Program;

/// Debian's interpreter, the one that has the binding; another Python may come first in PATH.
const PYTHON: &str = "/usr/bin/python3";

/// Starts a server and runs a script with the server's address, host and vDisk as arguments.
fn script(bed: &Bed, size: &str, text: &str) -> Result<()> {
    let server = bed.up(size)?;
    python(text, &server.uri(VDISK))
}

fn python(text: &str, uri: &str) -> Result<()> {
    let common = include_str!("common.py");
    Program::new(PYTHON).arg("-").arg(uri).input(format!("{common}\n{text}")).limit_seconds(200).run()?;
    Ok(())
}

/// A write with FUA survives a kill, with its flag accepted on every command that may carry it.
pub(crate) fn libnbd_fua(bed: &Bed) -> Result<()> {
    let mut server = bed.up("1GiB")?;
    python(include_str!("fua.py"), &server.uri(VDISK))?;
    server.kill()?;
    server.start_again(&[])?;
    python(include_str!("fua_after.py"), &server.uri(VDISK))
}

/// TRIM makes holes that read as zeros, over the full 32-bit length.
pub(crate) fn libnbd_trim(bed: &Bed) -> Result<()> {
    script(bed, "8GiB", include_str!("trim.py"))
}

/// WRITE_ZEROES with NO_HOLE and FAST_ZERO.
pub(crate) fn libnbd_write_zeroes(bed: &Bed) -> Result<()> {
    script(bed, "8GiB", include_str!("write_zeroes.py"))
}

/// Block status, with and without REQ_ONE.
pub(crate) fn libnbd_block_status(bed: &Bed) -> Result<()> {
    script(bed, "1GiB", include_str!("block_status.py"))
}

/// Structured and simple replies, and DF.
pub(crate) fn libnbd_structured_replies(bed: &Bed) -> Result<()> {
    script(bed, "1GiB", include_str!("structured_replies.py"))
}

/// Requests of 32 MiB, many in flight.
pub(crate) fn libnbd_large_requests(bed: &Bed) -> Result<()> {
    script(bed, "1GiB", include_str!("large_requests.py"))
}

/// 64 connections, each with requests in flight.
pub(crate) fn libnbd_many_connections(bed: &Bed) -> Result<()> {
    script(bed, "1GiB", include_str!("many_connections.py"))
}

/// What is written and flushed on one connection is read on another.
pub(crate) fn libnbd_multi_conn(bed: &Bed) -> Result<()> {
    script(bed, "1GiB", include_str!("multi_conn.py"))
}

/// The edges of the disk: the last bytes, and requests beyond.
pub(crate) fn libnbd_edges(bed: &Bed) -> Result<()> {
    script(bed, "1GiB", include_str!("edges.py"))
}

/// Negotiation: LIST, INFO, GO, ABORT, EXPORT_NAME, an unknown name.
pub(crate) fn libnbd_options(bed: &Bed) -> Result<()> {
    script(bed, "1GiB", include_str!("options.py"))
}
