//! nbdcopy: whole images in and out, with several connections and requests in flight.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Result, ensure};

use crate::bed::{Bed, VDISK};
use crate::process::Program;
use crate::random::Random;

/// Bytes of the image.
const SIZE: u64 = 256 << 20;

/// An image with data and holes goes in, comes out the same, and does so again after a restart.
pub(crate) fn nbdcopy_in_and_out(bed: &Bed) -> Result<()> {
    let image = bed.path("in.raw");
    make_image(&image)?;
    let mut server = bed.up("256MiB")?;
    let uri = server.uri(VDISK);
    Program::new("nbdcopy").arg("--flush").arg(&image).arg(&uri).run()?;
    for (run, connections) in [("1", "1"), ("2", "4")] {
        let out = bed.path(&format!("out{run}.raw"));
        Program::new("nbdcopy").arg(format!("--connections={connections}")).arg(&uri).arg(&out).run()?;
        Program::new("cmp").arg(&image).arg(&out).run()?;
        std::fs::remove_file(&out)?;
    }
    // What comes out is read again, from a server that has forgotten everything.
    server.stop()?;
    server.start_again(&[])?;
    let out = bed.path("out3.raw");
    Program::new("nbdcopy").arg(&uri).arg(&out).run()?;
    Program::new("cmp").arg(&image).arg(&out).run()?;
    Ok(())
}

/// Random data at random places, holes between.
fn make_image(path: &std::path::Path) -> Result<()> {
    let file = File::create(path)?;
    file.set_len(SIZE)?;
    let mut random = Random::new(1);
    let mut written = 0;
    for _ in 0..60 {
        let length = usize::try_from(512 * (1 + random.below(4096)))?;
        let offset = 512 * random.below((SIZE - 4096 * 512) / 512);
        let bytes: Vec<u8> = (0..length / 8).flat_map(|_| random.next().to_le_bytes()).collect();
        file.write_all_at(&bytes, offset)?;
        written += length;
    }
    ensure!(written > 16 << 20, "the image has too little data to prove anything");
    Ok(())
}
