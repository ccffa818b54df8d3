//! The crate graph, as `cargo metadata` tells it.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// A crate of this workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    /// Name of the package.
    pub(crate) name: String,
    /// Folder from the workspace folder, such as `core/volume`.
    pub(crate) folder: String,
    /// What its manifest asks for, development and build included.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line of a manifest's dependencies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// Name of the package asked for.
    pub(crate) name: String,
    /// Folder of the crate from the workspace folder, where it is one of ours.
    pub(crate) folder: Option<String>,
    /// Whether only tests see it.
    pub(crate) dev: bool,
    /// Whether it depends on the target, such as `cfg(not(target_os = "none"))`.
    pub(crate) target: Option<String>,
}

/// Asks cargo for the crates of the workspace, without going to the network.
pub(crate) fn load(root: &Path) -> Result<Vec<Package>> {
    let text =
        command::output(root, "cargo", &["metadata", "--no-deps", "--offline", "--format-version", "1"])?;
    parse(&text)
}

/// Reads the output of `cargo metadata --no-deps`.
fn parse(text: &str) -> Result<Vec<Package>> {
    let value: Value =
        serde_json::from_str(text).context("cargo metadata printed something that is not JSON")?;
    let root = string(&value, "workspace_root")?;
    let mut packages = Vec::new();
    for package in array(&value, "packages")? {
        let manifest = string(package, "manifest_path")?;
        let folder = manifest.strip_suffix("/Cargo.toml").context("a manifest is called Cargo.toml")?;
        let mut dependencies = Vec::new();
        for dependency in array(package, "dependencies")? {
            dependencies.push(Dependency {
                name: string(dependency, "name")?.to_owned(),
                folder: dependency["path"].as_str().map(|path| below(root, path)),
                dev: dependency["kind"].as_str() == Some("dev"),
                target: dependency["target"].as_str().map(str::to_owned),
            });
        }
        let name = string(package, "name")?.to_owned();
        packages.push(Package { name, folder: below(root, folder), dependencies });
    }
    packages.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(packages)
}

fn below(root: &str, path: &str) -> String {
    path.strip_prefix(root).unwrap_or(path).trim_start_matches('/').to_owned()
}

fn string<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("cargo metadata has no text `{key}`"))
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("cargo metadata has no list `{key}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_edges_are_read() {
        let text = r#"{"workspace_root": "/w", "packages": [{"name": "volume", "manifest_path": "/w/core/volume/Cargo.toml",
            "dependencies": [
                {"name": "step", "path": "/w/core/step", "kind": null, "target": null},
                {"name": "proptest", "kind": "dev", "target": "cfg(unix)"}
            ]}]}"#;
        let packages = parse(text).unwrap();
        assert_eq!(packages.len(), 1);
        assert_eq!((packages[0].name.as_str(), packages[0].folder.as_str()), ("volume", "core/volume"));
        let step =
            Dependency { name: "step".into(), folder: Some("core/step".into()), ..Dependency::default() };
        let proptest = Dependency {
            name: "proptest".into(),
            dev: true,
            target: Some("cfg(unix)".into()),
            ..Dependency::default()
        };
        assert_eq!(packages[0].dependencies, [step, proptest]);
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(parse("{}").is_err());
        assert!(parse("nonsense").is_err());
    }
}
