//! Debian packages that the tests talk to: NBD clients, QEMU, file system tools, what cuts networks and slows disks.

use std::path::Path;

use anyhow::{Result, bail};

use crate::command;

/// QEMU's packages come from one source and must have one version: Debian's emulator breaks the utilities of another
/// one. So they are installed together, at the version of the first.
const QEMU: &[&str] = &["qemu-system-x86", "qemu-utils", "qemu-block-extra"];

/// The others.
const OTHERS: &[&str] = &[
    "libnbd-bin",
    "python3-libnbd",
    "nbdkit",
    "fio",
    "e2fsprogs",
    "cpio",
    "busybox-static",
    "curl",
    "iproute2",
    "strace",
];

/// The kernel of the guest whose power is cut. It is only downloaded and unpacked, by the test itself.
const KERNEL: &str = "linux-image-cloud-amd64";

/// Checks that all are installed; installs what is missing where we are root.
pub(crate) fn check(root: &Path) -> Result<()> {
    let is_root = command::output(root, "id", &["-u"])?.trim() == "0";
    if !command::succeeds("apt-cache", &["show", KERNEL]) {
        if !is_root {
            bail!("apt does not know {KERNEL}: apt-get update");
        }
        command::run(root, "apt-get", &["-q", "update"])?;
    }
    let is_missing = |package: &&&str| !is_installed(root, package);
    let qemu: Vec<&str> = QEMU.iter().filter(is_missing).copied().collect();
    let others: Vec<&str> = OTHERS.iter().filter(is_missing).copied().collect();
    if qemu.is_empty() && others.is_empty() {
        return Ok(());
    }
    let missing = [qemu.as_slice(), others.as_slice()].concat().join(" ");
    if !is_root {
        bail!("these packages are missing: {missing}\ninstall them (apt-get install), or be root and we do");
    }
    println!("installing: {missing}");
    command::run(root, "apt-get", &["-q", "update"])?;
    if !qemu.is_empty() {
        let policy = command::output(root, "apt-cache", &["policy", QEMU[0]])?;
        let version = candidate(&policy)?;
        let all: Vec<String> = QEMU.iter().map(|package| format!("{package}={version}")).collect();
        install(root, &all.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    if !others.is_empty() {
        install(root, &others)?;
    }
    Ok(())
}

fn is_installed(root: &Path, package: &str) -> bool {
    let status = command::output(
        root,
        "sh",
        &["-c", &format!("dpkg-query -W -f '${{Status}}' {package} 2>&1 || true")],
    );
    status.is_ok_and(|status| status == "install ok installed")
}

/// The version that apt would install, from the output of `apt-cache policy`.
fn candidate(policy: &str) -> Result<&str> {
    let line = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    match line {
        Some(version) if version != "(none)" => Ok(version),
        _ => bail!("apt knows no {}; these tests need a Debian with its main archive", QEMU[0]),
    }
}

fn install(root: &Path, packages: &[&str]) -> Result<()> {
    // A machine may have newer utilities from elsewhere, which Debian's emulator breaks: hence the downgrade.
    let mut arguments = vec!["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "install", "-y"];
    arguments.extend(["--no-install-recommends", "--allow-downgrades"]);
    arguments.extend(packages);
    command::run(root, "env", &arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidate_is_read_from_policy() {
        let policy = "qemu-system-x86:\n  Installed: (none)\n  Candidate: 1:7.2+dfsg-7\n  Version table:\n";
        assert_eq!(candidate(policy).unwrap(), "1:7.2+dfsg-7");
        assert!(candidate("qemu-system-x86:\n  Candidate: (none)\n").is_err());
        assert!(candidate("").is_err());
    }
}
