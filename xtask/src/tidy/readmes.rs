//! Every folder says what it is for, in 40 lines; a crate answers four questions.

use super::finding::Finding;
use super::tree::Tree;

/// Lines of a README. More is documentation, and has its place in `docs/`.
const LINES_MAX: usize = 40;

/// Folders of folders, which need a README too once they exist.
const ROOMS: &[&str] = &["lib", "core", "shell", "apps", "tests"];

/// What a crate's README answers, each with the words that may head the answer.
const ANSWERS: &[(&str, &[&str])] = &[
    ("what it decides", &["decides", "does"]),
    ("what it never does", &["never"]),
    ("where to start reading", &["read"]),
    ("how to test it", &["test"]),
];

/// Finds missing, long and silent READMEs.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for room in ROOMS.iter().filter(|room| tree.paths.contains(**room)) {
        findings.extend(present_and_short(tree, room));
    }
    for package in &tree.packages {
        let found = present_and_short(tree, &package.folder);
        if found.is_none() {
            findings.extend(unanswered(tree, &package.folder));
        }
        findings.extend(found);
    }
    findings
}

fn present_and_short(tree: &Tree, folder: &str) -> Option<Finding> {
    let path = format!("{folder}/README.md");
    let Some(text) = tree.texts.get(&path) else {
        return Some(Finding::whole(path, "every folder says what it is for: this README is missing"));
    };
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| Finding::whole(path, format!("{lines} lines, more than {LINES_MAX}")))
}

fn unanswered(tree: &Tree, folder: &str) -> Vec<Finding> {
    let path = format!("{folder}/README.md");
    let heads: Vec<String> = tree.text(&path).lines().flat_map(heads).collect();
    let is_answered = |words: &[&str]| words.iter().any(|word| heads.iter().any(|head| head.contains(word)));
    let silent = ANSWERS.iter().filter(|(_, words)| !is_answered(words));
    silent
        .map(|(question, words)| {
            let message = format!("does not answer {question}: a heading or bold word with one of {words:?}");
            Finding::whole(&path, message)
        })
        .collect()
}

/// The heading or the bold words of a line, in small letters.
fn heads(line: &str) -> Vec<String> {
    if line.starts_with('#') {
        return vec![line.to_lowercase()];
    }
    line.split("**").skip(1).step_by(2).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    const GOOD: &str =
        "# a\n**Decides** x.\n**Never** y.\n## Where to start reading\nz\n**How to test**: cargo test\n";

    fn tree(text: &str) -> Tree {
        Tree::planted(&[("core/README.md", ""), ("core/a/README.md", text)]).with_package("core/a", &[])
    }

    #[test]
    fn four_answers_are_enough() {
        assert!(find(&tree(GOOD)).is_empty());
    }

    #[test]
    fn silence_is_found() {
        let found = find(&tree("# a\nIt never decides what to read or test.\n**Decides** it.\n"));
        assert_eq!(found.len(), 3);
        assert!(lines(&found)[0].contains("what it never does"));
    }

    #[test]
    fn missing_and_long_are_found() {
        assert_eq!(find(&Tree::planted(&[("core/a/x", "")]).with_package("core/a", &[])).len(), 2);
        assert_eq!(
            lines(&find(&tree(&format!("{GOOD}{}", "\n".repeat(40))))),
            ["core/a/README.md: 46 lines, more than 40"]
        );
    }
}
