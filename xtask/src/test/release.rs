//! Builds the binary that ships, and what tests it and its parts. Together, so that what they share is compiled once: each alone
//! would have features of its own of the same crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, ensure};

use crate::command;

/// What ships.
const SHIPS: &str = "ovs";

/// What tests it.
const TESTS: [&str; 3] = ["simulator", "clients-test", "kv-faults"];

/// The features of each package.
type Features = BTreeMap<String, BTreeSet<String>>;

/// Builds them all.
pub(super) fn build(root: &Path) -> Result<()> {
    let all: Vec<&str> = [SHIPS].into_iter().chain(TESTS).collect();
    let others = changed(&features(root, &[SHIPS])?, &features(root, &all)?);
    ensure!(
        others.is_empty(),
        "what is tested would not be what ships: the tests ask for more features of {}",
        others.join(", ")
    );
    let build = ["build", "--quiet", "--release", "--locked"];
    command::run(root, "cargo", &build.into_iter().chain(packages(&all)).collect::<Vec<_>>())
}

fn packages<'a>(names: &'a [&str]) -> impl Iterator<Item = &'a str> {
    names.iter().flat_map(|name| ["--package", name])
}

/// The features that these packages' builds have.
fn features(root: &Path, names: &[&str]) -> Result<Features> {
    let tree =
        ["tree", "--quiet", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}|{f}"];
    let said = command::output(root, "cargo", &tree.into_iter().chain(packages(names)).collect::<Vec<_>>())?;
    Ok(read(&said))
}

/// Reads lines such as `bytes v1.12.1|default,std (*)`. A package may stand there twice, for itself and for build scripts.
fn read(said: &str) -> Features {
    let mut all = Features::new();
    for (package, features) in said.lines().filter_map(|line| line.split_once('|')) {
        let features = features.trim_end_matches(" (*)").split(',').filter(|name| !name.is_empty());
        all.entry(package.to_owned()).or_default().extend(features.map(str::to_owned));
    }
    all
}

/// The packages of some whose features are others where more is built.
fn changed(ship: &Features, all: &Features) -> Vec<String> {
    ship.iter()
        .filter(|(package, features)| all.get(*package) != Some(features))
        .map(|(p, _)| p.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_that_only_tests_ask_for_are_named() {
        let ship = read("kv v0.1.0 (/kv)|\nbytes v1.12.1|default,std\nbytes v1.12.1|default,std (*)\n");
        let same = read("bytes v1.12.1|default,std\nkv v0.1.0 (/kv)|\nsimulator v0.1.0|\n");
        let more = read("bytes v1.12.1|default,std\nkv v0.1.0 (/kv)|planted-bugs\n");
        assert_eq!(changed(&ship, &same), Vec::<String>::new());
        assert_eq!(changed(&ship, &more), ["kv v0.1.0 (/kv)"]);
    }
}
