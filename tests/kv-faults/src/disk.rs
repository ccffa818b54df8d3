//! Disks of servers' own: small ones, and ones that can hang.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A server's own disk, and how many bytes it has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disk {
    /// In memory.
    Memory(u64),
    /// A file system in a file, which can be frozen: whoever writes or syncs there waits, and no signal ends that.
    Freezable(u64),
}

impl Disk {
    /// Puts it where a server's data lies.
    pub(crate) fn mount(self, data: &Path) -> Result<()> {
        std::fs::create_dir_all(data)?;
        match self {
            Disk::Memory(bytes) => {
                let options = format!("size={bytes}");
                run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(data))
            }
            Disk::Freezable(bytes) => {
                let image = image(data);
                std::fs::File::create(&image)?.set_len(bytes)?;
                run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
                run(Command::new("mount").args(["-o", "loop"]).args([&image, data]))?;
                // A server takes a folder for its own only where nothing else is in it.
                Ok(std::fs::remove_dir(data.join("lost+found"))?)
            }
        }
    }
}

fn image(data: &Path) -> PathBuf {
    data.with_extension("image")
}

/// The disk hangs.
pub(crate) fn freeze(data: &Path) -> Result<()> {
    run(Command::new("fsfreeze").arg("-f").arg(data))
}

/// It goes on.
pub(crate) fn thaw(data: &Path) -> Result<()> {
    run(Command::new("fsfreeze").arg("-u").arg(data))
}

/// It goes on, if it hangs.
pub(crate) fn release(data: &Path) {
    // One that doesn't hang says so.
    let _ = Command::new("fsfreeze").arg("-u").arg(data).stderr(Stdio::null()).status();
}

/// Takes it away.
pub(crate) fn unmount(data: &Path) {
    // One that is not mounted needs no more.
    let _ = Command::new("umount").arg(data).status();
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ends with {status}");
    Ok(())
}
