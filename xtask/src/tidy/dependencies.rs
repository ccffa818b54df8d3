//! What comes from outside: few crates, each argued for in the workspace manifest.

use super::finding::Finding;
use super::layering::Class;
use super::metadata::{Dependency, Package};
use super::tree::Tree;

/// What `lib/` and `core/` may be built on. Each builds for bare metal.
const PURE: &[&str] = &["bytes", "postcard", "serde", "thiserror"];

/// Crates that only hosts get, where, and why bare metal does without.
const TARGET_SPECIFIC: &[(&str, &str)] = &[
    // SIMD has no portable form: bare metal gets the scalar twin.
    ("lib/checksum", "crc-fast"),
    ("lib/erasure", "rusty_erasure"),
    // Pure computation, but it needs std: bare metal gets the types and the trait, which is all that core/ names. It
    // reads no clock and no file; the randomness that it draws for election waits is replaced before it is used.
    ("lib/consensus", "raft"),
    // The logger that raft demands; ours drops the lines or hands them to the caller.
    ("lib/consensus", "slog"),
];

/// What tests of pure crates, the simulator and the models may use besides.
const DEVELOPMENT: &[&str] = &["anyhow", "clap", "proptest", "serde_json", "stateright", "tempfile"];

/// Finds crates from outside that are not allowed where they are asked for, or not argued for.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = unargued(tree);
    for package in &tree.packages {
        findings.extend(not_allowed(package));
        findings.extend(own_versions(tree, package));
    }
    findings
}

fn not_allowed(package: &Package) -> Vec<Finding> {
    let Some(class) = Class::of(&package.folder) else { return Vec::new() };
    let manifest = format!("{}/Cargo.toml", package.folder);
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let name = &dependency.name;
        if class.is_pure() && dependency.target.is_some() && !is_target_specific(package, name) {
            let message = format!("{name} depends on the target; only {TARGET_SPECIFIC:?} may");
            findings.push(Finding::whole(&manifest, message));
        } else if dependency.folder.is_none() && !is_allowed(package, class, dependency) {
            let message = format!("{name} is not on the list for its layer (xtask/src/tidy/dependencies.rs)");
            findings.push(Finding::whole(&manifest, message));
        }
    }
    findings
}

fn is_target_specific(package: &Package, name: &str) -> bool {
    TARGET_SPECIFIC.contains(&(package.folder.as_str(), name))
}

fn is_allowed(package: &Package, class: Class, dependency: &Dependency) -> bool {
    let name = dependency.name.as_str();
    match class {
        Class::Simulator | Class::Models => PURE.contains(&name) || DEVELOPMENT.contains(&name),
        _ if class.is_pure() => {
            let in_tests = dependency.dev && DEVELOPMENT.contains(&name);
            PURE.contains(&name) || in_tests || is_target_specific(package, name)
        }
        _ => true,
    }
}

/// Versions live in the workspace manifest alone.
fn own_versions(tree: &Tree, package: &Package) -> Vec<Finding> {
    let manifest = format!("{}/Cargo.toml", package.folder);
    let mut in_dependencies = false;
    let mut findings = Vec::new();
    for (index, line) in tree.text(&manifest).lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        } else if in_dependencies && line.contains("version") {
            findings.push(Finding::at(&manifest, index + 1, "versions live in [workspace.dependencies]"));
        } else if in_dependencies
            && line.split_once('=').is_some_and(|(_, value)| value.trim().starts_with('"'))
        {
            findings.push(Finding::at(&manifest, index + 1, "write `NAME.workspace = true`"));
        }
    }
    findings
}

/// Each crate from outside has its argument: a comment on its line.
fn unargued(tree: &Tree) -> Vec<Finding> {
    let mut in_dependencies = false;
    let mut findings = Vec::new();
    for (index, line) in tree.text("Cargo.toml").lines().enumerate() {
        if line.starts_with('[') {
            in_dependencies = line == "[workspace.dependencies]";
        } else if in_dependencies && line.contains('=') && !line.contains("path") && !line.contains('#') {
            findings.push(Finding::at("Cargo.toml", index + 1, "say on this line why we depend on it"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    fn with(folder: &str, dependency: Dependency) -> Vec<Finding> {
        let mut tree = Tree::default().with_package(folder, &[]);
        tree.packages[0].dependencies.push(dependency);
        find(&tree)
    }

    fn named(name: &str) -> Dependency {
        Dependency { name: name.to_owned(), ..Dependency::default() }
    }

    #[test]
    fn pure_crates_use_the_list() {
        assert!(with("core/volume", named("bytes")).is_empty());
        assert_eq!(
            lines(&with("core/volume", named("tokio"))),
            [
                "core/volume/Cargo.toml: tokio is not on the list for its layer (xtask/src/tidy/dependencies.rs)"
            ]
        );
        assert_eq!(with("core/volume", named("proptest")).len(), 1);
        assert!(with("core/volume", Dependency { dev: true, ..named("proptest") }).is_empty());
        assert_eq!(with("simulator", named("io-uring")).len(), 1);
        assert!(with("shell/io", named("io-uring")).is_empty());
    }

    #[test]
    fn targets_matter_only_where_the_list_says() {
        let hosted =
            |name| Dependency { target: Some("cfg(not(target_os = \"none\"))".into()), ..named(name) };
        assert!(with("lib/checksum", hosted("crc-fast")).is_empty());
        assert!(with("lib/consensus", hosted("raft")).is_empty());
        assert_eq!(with("core/kv", hosted("raft")).len(), 1);
        assert_eq!(with("lib/nbd", hosted("bytes")).len(), 1);
        assert_eq!(with("lib/nbd", hosted("crc-fast")).len(), 1);
    }

    #[test]
    fn versions_stay_in_one_place() {
        let manifest = "[package]\nversion = \"1\"\n[dependencies]\na.workspace = true\nb = \"1\"\nc = { version = \"2\" }\n";
        let tree = Tree::planted(&[("shell/io/Cargo.toml", manifest)]).with_package("shell/io", &[]);
        let found: Vec<_> = find(&tree).iter().map(|finding| finding.line).collect();
        assert_eq!(found, [Some(5), Some(6)]);
    }

    #[test]
    fn each_dependency_is_argued() {
        let text = "[workspace.dependencies]\na = \"1\" # because\nb = \"2\"\nours = { path = \"lib/ours\" }\n[profile.dev]\nc = 1\n";
        let found = find(&Tree::planted(&[("Cargo.toml", text)]));
        assert_eq!(lines(&found), ["Cargo.toml:3: say on this line why we depend on it"]);
    }
}
