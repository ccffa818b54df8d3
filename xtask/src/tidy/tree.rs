//! The repository as the checks see it: every file, and the crate graph.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

use super::metadata::{self, Package};
use super::source::Source;

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &[".git", "target", "ovs-data", "node_modules"];

/// Endings of files that are read; of the others only the name is known.
const TEXT: &[&str] = &[".rs", ".md", ".toml", ".sh", ".py", ".txt", ".json", ".yml", ".yaml"];

/// All files of the repository, read once.
#[derive(Default)]
pub(crate) struct Tree {
    /// Text files by path from the workspace folder; `.rs` files too.
    pub(crate) texts: BTreeMap<String, String>,
    /// Every file and folder, by path.
    pub(crate) paths: BTreeSet<String>,
    /// The Rust files, scanned.
    pub(crate) sources: Vec<Source>,
    /// The crates, by folder.
    pub(crate) packages: Vec<Package>,
}

impl Tree {
    /// Reads the repository.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let mut tree = Tree { packages: metadata::load(root)?, ..Tree::default() };
        tree.walk(root, "")?;
        tree.scan();
        Ok(tree)
    }

    /// How many text files there are.
    pub(crate) fn file_count(&self) -> usize {
        self.texts.len()
    }

    /// The text of a file, empty where there is none.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.texts.get(path).map_or("", String::as_str)
    }

    fn walk(&mut self, root: &Path, folder: &str) -> Result<()> {
        let absolute = root.join(folder);
        let entries = absolute.read_dir().with_context(|| format!("cannot list {}", absolute.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let is_folder = entry.file_type()?.is_dir();
            if is_folder && SKIPPED.contains(&name.as_str()) {
                continue;
            }
            self.paths.insert(path.clone());
            if is_folder {
                self.walk(root, &path)?;
            } else if TEXT.iter().any(|ending| name.ends_with(ending)) || path == ".ci/run" {
                let text =
                    std::fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?;
                self.texts.insert(path, text);
            }
        }
        Ok(())
    }

    /// Scans the Rust files and marks test code, that of `#[cfg(test)] mod NAME;` in other files included.
    fn scan(&mut self) {
        let rust = self.texts.iter().filter(|(path, _)| path.ends_with(".rs"));
        let in_tests =
            |path: &str| path.starts_with("tests/") || path.contains("/tests/") || path.contains("/benches/");
        self.sources = rust.map(|(path, text)| Source::new(path, text, in_tests(path))).collect();
        let mut modules = BTreeSet::new();
        for source in &self.sources {
            modules.extend(source.test_modules.iter().map(|name| module_path(&source.path, name)));
        }
        for source in &mut self.sources {
            let stem = source.path.trim_end_matches(".rs");
            let is_within = |module: &String| stem == module || stem.starts_with(&format!("{module}/"));
            if modules.iter().any(is_within) {
                source.set_all_test();
            }
        }
    }
}

/// Path, without `.rs`, of the module that a file declares.
fn module_path(file: &str, module: &str) -> String {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{folder}/{module}"),
        _ => format!("{folder}/{}/{module}", name.trim_end_matches(".rs")),
    }
}

#[cfg(test)]
impl Tree {
    /// A tree of these files; their folders exist too.
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.texts.insert((*path).to_owned(), (*text).to_owned());
            for (end, _) in path.match_indices('/') {
                tree.paths.insert(path[..end].to_owned());
            }
            tree.paths.insert((*path).to_owned());
        }
        tree.scan();
        tree
    }

    /// The same with a crate that uses others: a folder (`simulator/` where it has but one name) is one of ours, a
    /// name is from outside.
    pub(crate) fn with_package(mut self, folder: &str, uses: &[&str]) -> Self {
        let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let dependency = |path: &&str| metadata::Dependency {
            name: last(path),
            folder: path.contains('/').then(|| path.trim_end_matches('/').to_owned()),
            ..metadata::Dependency::default()
        };
        let dependencies = uses.iter().map(dependency).collect();
        self.packages.push(Package { name: last(folder), folder: folder.to_owned(), dependencies });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_under_test_are_test_files() {
        let tree = Tree::planted(&[
            ("core/a/src/lib.rs", "#[cfg(test)]\nmod tests;\nmod b;\n"),
            ("core/a/src/tests.rs", "fn x() {}\n"),
            ("core/a/src/b.rs", "#[cfg(test)]\nmod model;\n"),
            ("core/a/src/b/model.rs", "fn y() {}\n"),
            ("core/a/tests/whole.rs", "fn z() {}\n"),
        ]);
        // Line 1 of a file that only declares such a module is none of its own code.
        let is_test = |source: &&Source| source.is_test(1);
        let test: Vec<&str> =
            tree.sources.iter().filter(is_test).map(|source| source.path.as_str()).collect();
        assert_eq!(test, ["core/a/src/b/model.rs", "core/a/src/tests.rs", "core/a/tests/whole.rs"]);
    }

    #[test]
    fn this_repository_loads() {
        let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
        let mut tree = Tree::default();
        tree.walk(Path::new(&here).parent().unwrap(), "").unwrap();
        tree.scan();
        assert!(tree.texts.contains_key("xtask/src/tidy/tree.rs"));
        assert!(tree.paths.contains("xtask/src"));
    }
}
