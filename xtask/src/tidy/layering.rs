//! Who may use whom. The folders are purity classes; within the pure ones the order is fixed.
//!
//! | class | may use |
//! |---|---|
//! | `lib/` | `lib/` |
//! | `core/{glossary, step, formats, facts}` | the earlier of these, `lib/` |
//! | parts: the other crates of `core/` | the rows above, never another part |
//! | `core/roles` | everything pure |
//! | `shell/` | everything pure, and the shell crates named in [`SHELL_BASE`] |
//! | `simulator`, `models` | everything pure |
//! | `apps/`, `tests/bench`, `tests/kv-faults` | everything but `simulator` |
//! | `xtask`, other `tests/` | nothing of ours: they judge the rest from outside |
//!
//! Development dependencies obey the same table.

use super::finding::Finding;
use super::tree::Tree;

/// The crates of `core/` that every part may use, in their order: each may use the earlier ones.
const GROUND: &[&str] = &["glossary", "step", "formats", "facts"];

/// The only crates that see two parts.
const COMPOSITION: &[&str] = &["roles"];

/// The crates of `shell/` that the others may use.
const SHELL_BASE: &[&str] = &["io", "certificates"];

/// What a crate is, by its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A standard or an algorithm that knows nothing about us.
    Library,
    /// A crate that every part may use; its place in [`GROUND`].
    Ground(usize),
    /// Decides one thing.
    Part,
    /// Wires parts together.
    Composition,
    /// Touches the world; whether other shell crates may use it.
    Shell { base: bool },
    /// A second executor of the pure crates: the simulator.
    Simulator,
    /// Exhaustive checks of the pure crates.
    Models,
    /// A program that we ship, or that measures what we ship.
    Program,
    /// Automation and tests that look from outside.
    Outside,
}

impl Class {
    /// The class of the crate in a folder; none for a folder that has no place in the house.
    pub(crate) fn of(folder: &str) -> Option<Class> {
        let (room, name) = folder.split_once('/').unwrap_or((folder, ""));
        let position = GROUND.iter().position(|&ground| ground == name);
        match room {
            "lib" => Some(Class::Library),
            "core" if COMPOSITION.contains(&name) => Some(Class::Composition),
            "core" => Some(position.map_or(Class::Part, Class::Ground)),
            "shell" => Some(Class::Shell { base: SHELL_BASE.contains(&name) }),
            "simulator" => Some(Class::Simulator),
            "models" => Some(Class::Models),
            "apps" => Some(Class::Program),
            "tests" if ["bench", "kv-faults"].contains(&name) => Some(Class::Program),
            "xtask" | "tests" => Some(Class::Outside),
            _ => None,
        }
    }

    /// Whether it decides and never touches the world.
    pub(crate) fn is_pure(self) -> bool {
        matches!(self, Class::Library | Class::Ground(_) | Class::Part | Class::Composition)
    }

    /// Whether a crate of this class may use one of another.
    fn may_use(self, other: Class) -> bool {
        match self {
            Class::Library => other == Class::Library,
            Class::Ground(place) => match other {
                Class::Ground(earlier) => earlier < place,
                _ => other == Class::Library,
            },
            Class::Part => matches!(other, Class::Library | Class::Ground(_)),
            Class::Composition | Class::Simulator | Class::Models => other.is_pure(),
            Class::Shell { .. } => other.is_pure() || other == Class::Shell { base: true },
            Class::Program => !matches!(other, Class::Simulator | Class::Models | Class::Outside),
            Class::Outside => false,
        }
    }
}

/// Finds edges that the table above does not allow, and crates that have no class.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let manifest = format!("{}/Cargo.toml", package.folder);
        let Some(class) = Class::of(&package.folder) else {
            findings.push(Finding::whole(
                manifest,
                "this folder has no place in the layers (see ARCHITECTURE.md)",
            ));
            continue;
        };
        for used in package.dependencies.iter().filter_map(|dependency| dependency.folder.as_ref()) {
            if !Class::of(used).is_some_and(|other| class.may_use(other)) {
                let message = format!("{} may not use {used}: the layers forbid it", package.folder);
                findings.push(Finding::whole(manifest.clone(), message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    fn edge(from: &str, to: &str) -> usize {
        find(&Tree::default().with_package(from, &[to])).len()
    }

    #[test]
    fn allowed_edges_pass() {
        for (from, to) in [
            ("lib/nbd", "lib/stdx"),
            ("core/step", "core/glossary"),
            ("core/formats", "lib/checksum"),
            ("core/volume", "core/formats"),
            ("core/volume", "lib/erasure"),
            ("core/roles", "core/volume"),
            ("shell/gateway", "shell/io"),
            ("shell/gateway", "core/roles"),
            ("simulator", "core/roles"),
            ("models", "core/volume"),
            ("apps/ovs", "shell/gateway"),
            ("tests/bench", "core/volume"),
        ] {
            assert_eq!(edge(from, to), 0, "{from} -> {to}");
        }
    }

    #[test]
    fn forbidden_edges_are_found() {
        for (from, to) in [
            ("lib/nbd", "core/glossary"),
            ("core/glossary", "core/step"),
            ("core/step", "core/formats"),
            ("core/step", "core/volume"),
            ("core/volume", "core/asd"),
            ("core/volume", "core/roles"),
            ("core/roles", "shell/io"),
            ("shell/io", "shell/gateway"),
            ("shell/io", "apps/ovs"),
            ("simulator", "shell/io"),
            ("models", "simulator/"),
            ("apps/ovs", "simulator/"),
            ("tests/clients", "apps/ovs"),
            ("xtask", "lib/stdx"),
        ] {
            assert_eq!(edge(from, to), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn messages_name_both_ends() {
        let found = find(&Tree::default().with_package("core/volume", &["core/asd", "bytes"]));
        assert_eq!(
            lines(&found),
            ["core/volume/Cargo.toml: core/volume may not use core/asd: the layers forbid it"]
        );
        assert_eq!(find(&Tree::default().with_package("utils", &[])).len(), 1);
    }
}
