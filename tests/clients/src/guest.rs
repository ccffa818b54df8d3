//! A machine whose power can be cut: a server inside a QEMU guest (emulated, no KVM), killed with all its memory.
//!
//! What the guest's kernel had not written to its disk is gone with it, as with a real power cut. Its periodic
//! write-back is off, so that nothing gets there by itself: only what the server synced (or wrote past the cache) can
//! be there at the next boot. What this does not show: a disk whose own volatile cache loses what it acknowledged;
//! that is the simulator's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::bed::free_port;
use crate::process::Program;
use crate::server::Server;

/// The port that the server in the guest listens on, at the address that QEMU's network gives a guest.
pub(crate) const GUEST_ADDRESS: &str = "10.0.2.15:10809";

/// Drivers that the guest needs besides what is built into Debian's kernel for virtual machines.
const DRIVERS: &[&str] = &["virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "overlay"];

/// Kernel and initial file system of a guest, made once for a bed.
pub(crate) struct Guest {
    folder: PathBuf,
    kernel: PathBuf,
    disk: PathBuf,
    log: PathBuf,
}

impl Guest {
    /// Prepares a guest that runs a shell script after its disk is mounted at `/data`; the script starts `program`
    /// (found at `/server`) and ends only with it. `cache` keeps the kernel from run to run.
    pub(crate) fn prepare(folder: &Path, cache: &Path, program: &Path, script: &str) -> Result<Self> {
        let unpacked = unpack_kernel(cache)?;
        let modules = modules(&unpacked)?;
        let guest = Guest {
            folder: folder.to_owned(),
            kernel: only_file(&unpacked.join("boot"), "vmlinuz-")?,
            disk: folder.join("disk.raw"),
            log: folder.join("console.log"),
        };
        guest.make_initial_files(&unpacked, &modules, program, script)?;
        Program::new("mke2fs").words("-q -t ext4").arg(&guest.disk).arg("8G").run()?;
        Ok(guest)
    }

    /// Switches the machine on; returns when its console says `ready`.
    pub(crate) fn boot(&self) -> Result<Server> {
        let port = free_port()?;
        let mut arguments: Vec<String> =
            "-accel tcg,thread=multi -cpu max -m 1G -smp 2 -nodefaults -no-user-config \
            -display none -serial stdio -no-reboot"
                .split_whitespace()
                .map(str::to_owned)
                .collect();
        let forward = format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-{GUEST_ADDRESS}");
        // The host's own cache survives, so what the guest wrote is there: no need to wait for the host's disk.
        let drive = format!("file={},format=raw,if=virtio,cache=unsafe", self.disk.display());
        for (name, value) in [
            ("-kernel", self.kernel.display().to_string()),
            ("-initrd", self.folder.join("initrd.gz").display().to_string()),
            ("-append", "console=ttyS0 quiet panic=-1 mitigations=off".to_owned()),
            ("-netdev", forward),
            ("-device", "virtio-net-pci,netdev=net".to_owned()),
            ("-drive", drive),
        ] {
            arguments.extend([name.to_owned(), value]);
        }
        Server::start_guest(Path::new("qemu-system-x86_64"), &arguments, port, &self.log)
    }

    /// The initial file system: busybox, the drivers, the server with its libraries, and the script.
    fn make_initial_files(
        &self,
        unpacked: &Path,
        modules: &[String],
        program: &Path,
        script: &str,
    ) -> Result<()> {
        let root = self.folder.join("root");
        for folder in ["bin", "dev", "proc", "sys", "data", "modules", "tmp"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).context("busybox-static is missing")?;
        copy_program(program, &root)?;
        let mut init = include_str!("guest_init.sh").to_owned();
        let mut load = String::new();
        for module in modules {
            let name = module.rsplit('/').next().context("a module has a name")?;
            std::fs::copy(modules_folder(unpacked)?.join(module), root.join("modules").join(name))?;
            load.push_str(&format!("insmod /modules/{name}\n"));
        }
        init = init.replace("LOAD_MODULES\n", &load).replace("RUN_SERVER\n", script);
        std::fs::write(root.join("init"), init)?;
        let pack = "chmod +x init && find . | cpio --quiet -o -H newc | gzip -1 > ../initrd.gz";
        Program::new("sh").arg("-c").arg(format!("cd '{}' && {pack}", root.display())).run()?;
        Ok(())
    }
}

/// Downloads and unpacks Debian's kernel for virtual machines, once. Nothing is installed.
fn unpack_kernel(cache: &Path) -> Result<PathBuf> {
    let depends = Program::new("apt-cache").words("depends linux-image-cloud-amd64").run()?;
    let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let package = format!("linux-image-{}", package.context("apt knows no kernel: apt-get update")?);
    let unpacked = cache.join(&package);
    if unpacked.join("boot").is_dir() {
        return Ok(unpacked);
    }
    std::fs::create_dir_all(cache)?;
    // Two cases may come here at once: each unpacks for itself, and the last rename is as good as the first.
    let work = tempfile::Builder::new().prefix("kernel").tempdir_in(cache)?;
    let download =
        format!("cd '{}' && apt-get -q download {package} && dpkg-deb -x *.deb k", work.path().display());
    Program::new("sh").arg("-c").arg(download).run()?;
    let fresh = work.path().join("k");
    let version = modules_folder(&fresh)?;
    let version = version.file_name().and_then(|name| name.to_str()).context("a kernel has a version")?;
    Program::new("busybox").words("depmod -b").arg(&fresh).arg(version).run()?;
    if std::fs::rename(&fresh, &unpacked).is_err() {
        ensure!(unpacked.join("boot").is_dir(), "cannot keep the kernel in {}", unpacked.display());
    }
    Ok(unpacked)
}

fn modules_folder(unpacked: &Path) -> Result<PathBuf> {
    only_file(&unpacked.join("lib/modules"), "")
}

/// The one entry of a folder that begins so.
fn only_file(folder: &Path, prefix: &str) -> Result<PathBuf> {
    for entry in folder.read_dir().with_context(|| format!("{} is missing", folder.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(entry.path());
        }
    }
    anyhow::bail!("nothing in {} begins with {prefix}", folder.display())
}

/// The drivers with all that they need, in the order in which they load.
fn modules(unpacked: &Path) -> Result<Vec<String>> {
    let folder = modules_folder(unpacked)?;
    let table = std::fs::read_to_string(folder.join("modules.dep"))?;
    let built_in = std::fs::read_to_string(folder.join("modules.builtin"))?;
    load_order(&table, &built_in, DRIVERS)
}

/// Depth first over the lines `path: path …` of modules.dep.
fn load_order(table: &str, built_in: &str, drivers: &[&str]) -> Result<Vec<String>> {
    let needs: BTreeMap<&str, &str> = table.lines().filter_map(|line| line.split_once(':')).collect();
    let file = |driver: &str| format!("/{driver}.ko");
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for driver in drivers {
        if built_in.lines().any(|line| line.ends_with(&file(driver))) {
            continue;
        }
        let path = needs.keys().find(|path| path.ends_with(&file(driver)));
        visit(
            path.with_context(|| format!("the kernel has no driver {driver}"))?,
            &needs,
            &mut seen,
            &mut order,
        );
    }
    Ok(order)
}

fn visit<'a>(
    path: &'a str,
    needs: &BTreeMap<&'a str, &'a str>,
    seen: &mut BTreeSet<&'a str>,
    order: &mut Vec<String>,
) {
    if seen.insert(path) {
        for needed in needs.get(path).copied().unwrap_or_default().split_whitespace() {
            visit(needed, needs, seen, order);
        }
        order.push(path.to_owned());
    }
}

/// Copies a program to `/server`, and its libraries to where it looks for them.
fn copy_program(program: &Path, root: &Path) -> Result<()> {
    std::fs::copy(program, root.join("server"))
        .with_context(|| format!("{} is missing", program.display()))?;
    // A program without libraries makes ldd fail; then there is nothing to copy.
    let libraries = Program::new("ldd").arg(program).run().unwrap_or_default();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let target = root.join(library.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().context("a library lies in a folder")?)?;
        std::fs::copy(library, target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_load_after_what_they_need() {
        let table = "a/x.ko: a/y.ko b/z.ko\na/y.ko: b/z.ko\nb/z.ko:\nc/w.ko: a/y.ko\n";
        let order = load_order(table, "kernel/fs/v.ko\n", &["w", "v", "x"]).unwrap();
        assert_eq!(order, ["b/z.ko", "a/y.ko", "c/w.ko", "a/x.ko"]);
        assert!(load_order(table, "", &["v"]).is_err());
    }
}
