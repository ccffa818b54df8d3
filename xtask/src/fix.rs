//! `cargo xtask fix`: everything a machine can mend.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{command, tidy};

/// What to mend.
#[derive(clap::Args)]
pub(crate) struct Choice {
    /// Only write the generated documents; touch no code.
    #[arg(long)]
    documents: bool,
}

/// Formats, applies clippy's suggestions and writes the generated documents. The documents come first: they need no
/// build, so a tree that does not compile gets them too.
pub(crate) fn run(root: &Path, choice: &Choice) -> Result<()> {
    let tree = tidy::Tree::load(root)?;
    for document in tidy::generated::DOCUMENTS {
        let path = root.join(document.path);
        let wanted = (document.render)(&tree);
        if std::fs::read_to_string(&path).ok().as_deref() == Some(wanted.as_str()) {
            continue;
        }
        std::fs::write(&path, wanted).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", document.path);
    }
    if choice.documents {
        return Ok(());
    }
    command::run(root, "cargo", &["fmt", "--all"])?;
    command::run(
        root,
        "cargo",
        &["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"],
    )
}
