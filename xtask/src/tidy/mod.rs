//! The rules of the house that no compiler holds.
//!
//! A check is a pure function from the [`Tree`] (all files and the crate graph, read once) to findings, so each is
//! tested by planting a violation in a tree made of strings. A new rule is a new module and a row in [`CHECKS`].

mod bans;
mod dependencies;
mod features;
mod files;
mod finding;
mod functions;
pub(crate) mod generated;
mod glossary;
mod layering;
mod links;
mod metadata;
mod purity;
mod readmes;
mod source;
mod tree;

use std::path::Path;

use anyhow::{Result, bail};

use finding::Finding;
pub(crate) use purity::is_bare_metal;
pub(crate) use tree::Tree;

/// A rule: its name, and the function that finds what breaks it.
struct Check {
    name: &'static str,
    find: fn(&Tree) -> Vec<Finding>,
}

const CHECKS: &[Check] = &[
    Check { name: "layering", find: layering::find },
    Check { name: "dependencies", find: dependencies::find },
    Check { name: "purity", find: purity::find },
    Check { name: "bans", find: bans::find },
    Check { name: "functions", find: functions::find },
    Check { name: "files", find: files::find },
    Check { name: "readmes", find: readmes::find },
    Check { name: "links", find: links::find },
    Check { name: "features", find: features::find },
    Check { name: "generated", find: generated::find },
];

/// Runs every check and prints what it finds; findings are an error, notes are not.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::load(root)?;
    for note in files::notes(&tree) {
        println!("note: {note}");
    }
    let mut count = 0;
    for check in CHECKS {
        for finding in (check.find)(&tree) {
            eprintln!("tidy/{}: {finding}", check.name);
            count += 1;
        }
    }
    if count > 0 {
        bail!("tidy: {count} findings");
    }
    println!("tidy: {} checks over {} files, no finding", CHECKS.len(), tree.file_count());
    Ok(())
}
