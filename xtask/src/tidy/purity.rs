//! Pure crates cannot reach the world, and unsafe code stays in its rooms.

use super::finding::Finding;
use super::layering::Class;
use super::source::{line_number, words};
use super::tree::Tree;

/// Crates of `lib/` that wrap a library of pure computation which needs std, and why. They are not built for bare
/// metal. A row that is no longer needed is a finding.
const NEEDS_STD: &[(&str, &str)] = &[];

/// Where unsafe code may be: system calls, and memory that the kernel works on meanwhile.
const UNSAFE: &[&str] = &["shell/io"];

/// Whether a crate must build for bare metal.
pub(crate) fn is_bare_metal(folder: &str) -> bool {
    Class::of(folder).is_some_and(Class::is_pure) && !NEEDS_STD.iter().any(|(exempt, _)| *exempt == folder)
}

/// Finds crates without the attributes that make the compiler hold purity, and unsafe code out of place.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    find_with(tree, NEEDS_STD)
}

fn find_with(tree: &Tree, needs_std: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let is_pure = Class::of(&package.folder).is_some_and(Class::is_pure);
        let is_exempt = needs_std.iter().any(|(folder, _)| *folder == package.folder);
        let may_be_unsafe = UNSAFE.contains(&package.folder.as_str());
        for root in ["lib.rs", "main.rs"].map(|name| format!("{}/src/{name}", package.folder)) {
            let Some(source) = tree.sources.iter().find(|source| source.path == root) else { continue };
            let says = |attribute: &str| source.code.lines().any(|line| line.trim() == attribute);
            if is_pure && !is_exempt && !says("#![no_std]") {
                findings.push(Finding::whole(&root, "a pure crate says `#![no_std]`"));
            }
            if is_exempt && says("#![no_std]") {
                findings.push(Finding::whole(
                    &root,
                    "this crate no longer needs its exemption in tidy/purity.rs",
                ));
            }
            if !may_be_unsafe && !says("#![forbid(unsafe_code)]") {
                findings.push(Finding::whole(&root, "say `#![forbid(unsafe_code)]`"));
            }
        }
    }
    findings.extend(unsafe_out_of_place(tree));
    findings
}

/// Files that no crate root covers (tests, examples, build scripts) are searched for the word.
fn unsafe_out_of_place(tree: &Tree) -> Vec<Finding> {
    let is_in =
        |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let mut findings = Vec::new();
    for source in &tree.sources {
        if UNSAFE.iter().any(|folder| is_in(&source.path, folder)) {
            continue;
        }
        for at in words(&source.code, "unsafe") {
            let line = line_number(&source.code, at);
            findings.push(Finding::at(&source.path, line, format!("unsafe code belongs in {UNSAFE:?}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    const GOOD: &str = "//! A crate.\n#![no_std]\n#![forbid(unsafe_code)]\n";

    #[test]
    fn attributes_are_demanded() {
        let tree = |text| Tree::planted(&[("core/a/src/lib.rs", text)]).with_package("core/a", &[]);
        assert!(find(&tree(GOOD)).is_empty());
        assert_eq!(
            lines(&find(&tree("// #![no_std]\n"))),
            [
                "core/a/src/lib.rs: a pure crate says `#![no_std]`",
                "core/a/src/lib.rs: say `#![forbid(unsafe_code)]`"
            ]
        );
    }

    #[test]
    fn programs_may_use_std_but_not_unsafe() {
        let text = "#![forbid(unsafe_code)]\nfn main() {}\n";
        let tree = Tree::planted(&[("apps/ovs/src/main.rs", text)]).with_package("apps/ovs", &[]);
        assert!(find(&tree).is_empty());
    }

    #[test]
    fn unsafe_stays_in_its_rooms() {
        let text = "fn f() {\n    unsafe { g() }\n}\n// unsafe\n";
        let tree = Tree::planted(&[("shell/io/src/ring.rs", text), ("core/a/tests/x.rs", text)]);
        let found = find(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("core/a/tests/x.rs", Some(2)));
    }

    #[test]
    fn exemptions_do_not_outlive_their_need() {
        let tree = Tree::planted(&[("lib/pack/src/lib.rs", GOOD)]).with_package("lib/pack", &[]);
        let found = find_with(&tree, &[("lib/pack", "zstd")]);
        assert_eq!(
            lines(&found),
            ["lib/pack/src/lib.rs: this crate no longer needs its exemption in tidy/purity.rs"]
        );
        let std = Tree::planted(&[("lib/pack/src/lib.rs", "#![forbid(unsafe_code)]")])
            .with_package("lib/pack", &[]);
        assert!(find_with(&std, &[("lib/pack", "zstd")]).is_empty());
    }

    #[test]
    fn bare_metal_is_for_pure_crates() {
        assert!(is_bare_metal("core/volume") && is_bare_metal("lib/nbd"));
        assert!(!is_bare_metal("shell/io") && !is_bare_metal("xtask"));
    }
}
