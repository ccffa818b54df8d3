//! The compiler and its parts, as rust-toolchain.toml asks for them.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::command;

/// The target without std.
pub(crate) const BARE_METAL: &str = "x86_64-unknown-none";

/// Checks that formatter, linter and the bare-metal target are there; adds the target where rustup can.
pub(crate) fn check(root: &Path) -> Result<()> {
    for component in ["fmt", "clippy"] {
        if !command::succeeds("cargo", &[component, "--version"]) {
            bail!("`cargo {component}` is missing: rustup component add rustfmt clippy");
        }
    }
    if !has_target(root)? {
        command::run(root, "rustup", &["target", "add", BARE_METAL])
            .with_context(|| format!("the target {BARE_METAL} is missing, and rustup could not add it"))?;
    }
    Ok(())
}

/// Whether the compiler has a core library for the target, however it was installed.
fn has_target(root: &Path) -> Result<bool> {
    let libraries = command::output(root, "rustc", &["--print", "target-libdir", "--target", BARE_METAL])?;
    Ok(Path::new(libraries.trim()).is_dir())
}
