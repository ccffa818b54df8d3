//! Links between documents lead somewhere.

use super::finding::Finding;
use super::tree::Tree;

/// Finds links in `.md` files to files that do not exist.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    let documents = tree.texts.iter().filter(|(path, _)| path.ends_with(".md"));
    documents.flat_map(|(path, text)| dead_links(tree, path, text)).collect()
}

fn dead_links(tree: &Tree, path: &str, text: &str) -> Vec<Finding> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut in_fence = false;
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        for target in targets(line) {
            let target = target.split('#').next().unwrap_or_default();
            let is_outside = target.contains("://") || target.starts_with("mailto:");
            if target.is_empty() || is_outside {
                continue;
            }
            if !resolve(folder, target).is_some_and(|file| file.is_empty() || tree.paths.contains(&file)) {
                findings.push(Finding::at(path, index + 1, format!("the link to {target} leads nowhere")));
            }
        }
    }
    findings
}

/// What the links of a line point at: `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for (start, _) in line.match_indices("](") {
        let rest = &line[start + 2..];
        if let Some(end) = rest.find(')') {
            targets.extend(rest[..end].split_whitespace().next());
        }
    }
    if let Some((name, target)) = line.split_once("]: ")
        && name.starts_with('[')
        && !name.contains(']')
    {
        targets.extend(target.split_whitespace().next());
    }
    targets
}

/// The path from the workspace folder that a target means, where it stays within.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut path: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                path.pop()?;
            }
            _ => path.push(part),
        }
    }
    Some(path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        lines(&find(&Tree::planted(&[("docs/a.md", text), ("docs/b.md", ""), ("core/volume/README.md", "")])))
    }

    #[test]
    fn living_links_pass() {
        let text = "[b](b.md) [b](b.md#part) [v](../core/volume/) [r](..) [self](#here) [w](https://a.example/b)\n[x]: b.md\n";
        assert_eq!(found(text), [""; 0]);
    }

    #[test]
    fn dead_links_are_found() {
        assert_eq!(found("see [c](c.md)\n"), ["docs/a.md:1: the link to c.md leads nowhere"]);
        assert_eq!(found("[x]: ../nowhere\n"), ["docs/a.md:1: the link to ../nowhere leads nowhere"]);
        assert_eq!(found("[up](../../b.md)\n").len(), 1);
    }

    #[test]
    fn examples_are_no_links() {
        assert_eq!(found("```\n[c](c.md)\n```\n"), [""; 0]);
    }
}
