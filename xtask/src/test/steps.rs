//! The steps, in the order in which they run: what fails soonest comes first, what builds on another build after it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{packages, release, toolchain};
use crate::command;
use crate::tidy::{self, Tree};

/// One thing that is checked.
pub(crate) struct Step {
    /// What `--only` and `--skip` call it.
    pub(crate) name: &'static str,
    /// What it checks, in one line.
    pub(crate) checks: &'static str,
    work: Work,
}

/// How a step does its work.
enum Work {
    /// A function of ours.
    Own(fn(&Path) -> Result<()>),
    /// Cargo with these arguments.
    Cargo(&'static [&'static str]),
    /// One of the programs that `release` builds, with these arguments.
    Released(&'static str, &'static [&'static str]),
    /// The tests of these crates, by `cargo nextest` where it is installed, else by `cargo test`.
    Tests(&'static [&'static str]),
}

/// Everything that CI checks. A crate that a row names must exist: cargo refuses otherwise.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "toolchain",
        checks: "the compiler's components and targets",
        work: Work::Own(toolchain::check),
    },
    Step {
        name: "packages",
        checks: "the programs that the tests talk to",
        work: Work::Own(packages::check),
    },
    Step { name: "format", checks: "cargo fmt", work: Work::Cargo(&["fmt", "--all", "--check"]) },
    Step { name: "tidy", checks: "the rules of the house", work: Work::Own(tidy::run) },
    Step {
        name: "clippy",
        checks: "no warning in any target",
        work: Work::Cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    },
    Step { name: "bare-metal", checks: "lib/ and core/ build without std", work: Work::Own(bare_metal) },
    Step {
        name: "tests",
        checks: "unit tests, transcripts, properties",
        work: Work::Tests(&["--workspace"]),
    },
    Step {
        name: "portable",
        checks: "checksums and erasure coding without SIMD",
        work: Work::Tests(&[
            "--package",
            "checksum",
            "--package",
            "erasure",
            "--features",
            "checksum/portable,erasure/portable",
        ]),
    },
    Step {
        name: "doc-tests",
        checks: "examples in documentation",
        work: Work::Cargo(&["test", "--quiet", "--doc", "--workspace", "--locked"]),
    },
    Step {
        name: "models",
        checks: "protocols, exhaustively; every rule switched off must be missed",
        work: Work::Cargo(&["run", "--quiet", "--release", "--locked", "--package", "models"]),
    },
    Step {
        name: "release",
        checks: "the binary that ships, and the programs that test it and its parts",
        work: Work::Own(release::build),
    },
    Step {
        name: "simulator",
        checks: "whole clusters by seed, under faults",
        work: Work::Released("simulator", &["--seeds", "300", "--from", "1"]),
    },
    Step {
        name: "teeth",
        checks: "every planted bug is found by the promises alone, within 500 seeds",
        work: Work::Released("simulator", &["--all-bugs"]),
    },
    Step {
        name: "clients",
        checks: "real clients against the real binary",
        work: Work::Released("clients-test", &[]),
    },
    Step {
        name: "clients-frames",
        checks: "the same with every message between roles encoded through a socket",
        work: Work::Released("clients-test", &["--frames"]),
    },
    Step {
        name: "clients-three",
        checks: "the same against a server of three that keep one KV",
        work: Work::Released("clients-test", &["--against", "three-servers"]),
    },
    Step {
        name: "kv-faults",
        checks: "three servers, killed, stopped, cut off, with slow and full disks",
        work: Work::Released("kv-faults", &[]),
    },
];

impl Step {
    /// Does it.
    pub(crate) fn run(&self, root: &Path) -> Result<()> {
        match self.work {
            Work::Own(function) => function(root),
            Work::Cargo(arguments) => command::run(root, "cargo", arguments),
            Work::Released(program, arguments) => {
                release::build(root)?;
                let path = target(root).join("release").join(program);
                command::run(root, &path.display().to_string(), arguments)
            }
            Work::Tests(selection) => tests(root, selection),
        }
    }
}

fn tests(root: &Path, selection: &[&str]) -> Result<()> {
    let mut arguments = vec!["test", "--quiet", "--all-targets", "--locked"];
    if command::succeeds("cargo", &["nextest", "--version"]) {
        arguments =
            vec!["nextest", "run", "--locked", "--status-level", "fail", "--final-status-level", "fail"];
    }
    arguments.extend(selection);
    command::run(root, "cargo", &arguments)
}

/// Where Cargo puts what it builds.
fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// Builds every pure crate for a target that has no std: what reaches for a clock, a file or a thread fails here.
/// The crates are named one by one, since features of the others would be unified with theirs otherwise.
fn bare_metal(root: &Path) -> Result<()> {
    let tree = Tree::load(root)?;
    let mut arguments = vec!["build", "--locked", "--target", toolchain::BARE_METAL];
    for package in tree.packages.iter().filter(|package| tidy::is_bare_metal(&package.folder)) {
        arguments.extend(["--package", &package.name]);
    }
    command::run(root, "cargo", &arguments)
}
