//! Files stay rooms rather than halls, and the files that everybody looks for exist.

use super::finding::Finding;
use super::tree::Tree;

/// Lines that no Rust file may exceed: every large code base has one hub that grew past this and was never split.
const LINES_MAX: usize = 800;

/// Lines from which a file is named in a note: is there a second room in it?
const LINES_NOTED: usize = 400;

/// Files that must exist.
const EXPECTED: &[&str] = &["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"];

/// Finds files that are too long, and missing ones.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            findings.push(Finding::whole(
                &source.path,
                format!("{lines} lines, more than {LINES_MAX}: split it"),
            ));
        }
    }
    for path in EXPECTED {
        if !tree.paths.contains(*path) {
            findings.push(Finding::whole(*path, "this file is missing"));
        }
    }
    findings
}

/// Files that are longer than most: named, not refused.
pub(crate) fn notes(tree: &Tree) -> Vec<Finding> {
    let long = tree.sources.iter().map(|source| (source, source.text.lines().count()));
    long.filter(|(_, lines)| *lines > LINES_NOTED && *lines <= LINES_MAX)
        .map(|(source, lines)| {
            Finding::whole(&source.path, format!("{lines} lines; is there a second room in it?"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    fn tree(line_count: usize) -> Tree {
        let text = "//\n".repeat(line_count);
        Tree::planted(&[
            ("README.md", ""),
            ("CHANGELOG.md", ""),
            ("CONTRIBUTING.md", ""),
            ("LICENSE", ""),
            ("shell/a/src/x.rs", &text),
        ])
    }

    #[test]
    fn long_files_are_noted_then_refused() {
        assert!(find(&tree(400)).is_empty() && notes(&tree(400)).is_empty());
        assert!(find(&tree(800)).is_empty());
        assert_eq!(lines(&notes(&tree(800))), ["shell/a/src/x.rs: 800 lines; is there a second room in it?"]);
        assert_eq!(lines(&find(&tree(801))), ["shell/a/src/x.rs: 801 lines, more than 800: split it"]);
        assert!(notes(&tree(801)).is_empty());
    }

    #[test]
    fn missing_files_are_named() {
        assert_eq!(find(&Tree::planted(&[])).len(), 4);
    }
}
