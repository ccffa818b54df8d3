//! Disks whose sync takes a while, as most disks' does: a file that FUSE serves, a loop device on it, a file system on that.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyWrite, Request,
    WriteFlags,
};

/// Bytes of a disk.
const SIZE: u64 = 512 << 20;

/// The name of the one file that is served.
const NAME: &str = "disk";

const FILE: INodeNo = INodeNo(2);

/// How long the kernel may keep what it was told of files.
const EVER: Duration = Duration::from_secs(3600);

/// A mounted disk; gone when dropped.
pub struct SlowDisk {
    at: PathBuf,
    served: Option<BackgroundSession>,
}

impl SlowDisk {
    /// Mounts a new one at an empty folder. What it needs lies beside that.
    pub fn mount(at: &Path, sync: Duration) -> Result<Self> {
        let (image, folder) = (at.with_extension("image"), at.with_extension("fuse"));
        [at, &folder].into_iter().try_for_each(std::fs::create_dir_all)?;
        let file = File::options().read(true).write(true).create(true).truncate(true).open(image)?;
        file.set_len(SIZE)?;
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("slow".into())];
        // A disk goes on reading and writing while it syncs.
        config.n_threads = Some(2);
        let served = fuser::spawn_mount(Served { file, sync }, &folder, &config).context("FUSE")?;
        let disk = SlowDisk { at: at.to_owned(), served: Some(served) };
        let file = folder.join(NAME);
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-E", "nodiscard"]).arg(&file))?;
        run(Command::new("mount").args(["-o", "loop"]).args([&file, at]))?;
        // A server takes a folder for its own only where nothing else is in it.
        std::fs::remove_dir(at.join("lost+found"))?;
        Ok(disk)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg(&self.at)) {
            eprintln!("{error:#}");
        }
        if let Some(Err(error)) = self.served.take().map(BackgroundSession::umount_and_join) {
            eprintln!("FUSE: {error}");
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// A folder with one file.
struct Served {
    file: File,
    sync: Duration,
}

impl Served {
    fn attributes(ino: INodeNo) -> FileAttr {
        let time = SystemTime::UNIX_EPOCH;
        let is_file = ino == FILE;
        FileAttr {
            ino,
            size: if is_file { SIZE } else { 0 },
            blocks: if is_file { SIZE / 512 } else { 0 },
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o600 } else { 0o700 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            reply.entry(&EVER, &Self::attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&EVER, &Self::attributes(ino));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = vec![0; (SIZE.saturating_sub(offset)).min(u64::from(size)) as usize];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => reply.data(&bytes),
            Err(error) => reply.error(error.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file.write_all_at(bytes, offset) {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(error) => reply.error(error.into()),
        }
    }

    /// The power never fails while something is measured: what is told is how long it takes, nothing needs to be kept.
    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        std::thread::sleep(self.sync);
        reply.ok();
    }
}
