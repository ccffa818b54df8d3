//! Documents that are written from the code, so that they cannot rot.

use super::finding::Finding;
use super::glossary;
use super::tree::Tree;

/// A document and what it should say.
pub(crate) struct Document {
    /// Path from the workspace folder.
    pub(crate) path: &'static str,
    /// Its text, from the tree.
    pub(crate) render: fn(&Tree) -> String,
}

/// Everything that `cargo xtask fix` writes.
pub(crate) const DOCUMENTS: &[Document] = &[
    Document { path: "docs/dependencies.txt", render: dependencies },
    Document { path: "docs/glossary.md", render: glossary::render },
];

/// How many differing lines of a document are shown.
const SHOWN_MAX: usize = 8;

/// Finds documents that differ from what would be written now.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    DOCUMENTS
        .iter()
        .flat_map(|document| differences(document.path, tree.text(document.path), &(document.render)(tree)))
        .collect()
}

fn differences(path: &str, found: &str, wanted: &str) -> Vec<Finding> {
    if found == wanted {
        return Vec::new();
    }
    if found.is_empty() {
        return vec![Finding::whole(path, "is missing; `cargo xtask fix` writes it")];
    }
    let mut findings = Vec::new();
    for line in wanted.lines().filter(|wanted| !found.lines().any(|found| found == *wanted)) {
        findings.push(Finding::whole(path, format!("lacks `{line}`; `cargo xtask fix` writes it")));
    }
    for line in found.lines().filter(|found| !wanted.lines().any(|wanted| wanted == *found)) {
        findings.push(Finding::whole(path, format!("still has `{line}`; `cargo xtask fix` removes it")));
    }
    let hidden = findings.len().saturating_sub(SHOWN_MAX);
    findings.truncate(SHOWN_MAX);
    if hidden > 0 || findings.is_empty() {
        let message = format!("{hidden} more lines differ, or their order does; `cargo xtask fix` writes it");
        findings.push(Finding::whole(path, message));
    }
    findings
}

/// Every edge between crates of ours, one a line.
fn dependencies(tree: &Tree) -> String {
    let mut lines = Vec::new();
    for package in &tree.packages {
        for dependency in &package.dependencies {
            let Some(used) = &dependency.folder else { continue };
            let only = if dependency.dev { " (tests)" } else { "" };
            lines.push(format!("{} -> {used}{only}\n", package.folder));
        }
    }
    lines.sort();
    lines.dedup();
    let head = "# Which crate uses which. Written by `cargo xtask fix`; a new line here is a new edge: look twice.\n";
    head.to_owned() + &lines.concat()
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    fn tree(documents: &[(&str, &str)]) -> Tree {
        Tree::planted(documents).with_package("core/volume", &["core/step", "bytes"])
    }

    #[test]
    fn a_new_edge_is_a_finding() {
        let (edges, terms) = (dependencies(&tree(&[])), glossary::render(&tree(&[])));
        assert!(edges.ends_with("\ncore/volume -> core/step\n"));
        assert!(find(&tree(&[("docs/dependencies.txt", &edges), ("docs/glossary.md", &terms)])).is_empty());
        let old = edges.replace("step", "asd");
        assert_eq!(
            lines(&find(&tree(&[("docs/dependencies.txt", &old), ("docs/glossary.md", &terms)]))),
            [
                "docs/dependencies.txt: lacks `core/volume -> core/step`; `cargo xtask fix` writes it",
                "docs/dependencies.txt: still has `core/volume -> core/asd`; `cargo xtask fix` removes it",
            ]
        );
    }

    #[test]
    fn order_counts_and_long_lists_are_cut() {
        assert_eq!(differences("a", "1\n2\n", "1\n2\n"), []);
        assert_eq!(differences("a", "2\n1\n", "1\n2\n").len(), 1);
        let found = differences("a", "y\n", &"x\n".repeat(20));
        assert_eq!(found.len(), SHOWN_MAX + 1);
        assert!(found[SHOWN_MAX].message.starts_with("13 more lines"));
    }
}
