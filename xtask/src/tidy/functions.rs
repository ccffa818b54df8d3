//! Functions stay small enough to be seen whole.

use super::finding::Finding;
use super::source::{Source, is_word, item, line_number, words};
use super::tree::Tree;

/// Lines of a function, from `fn` to its closing brace. One screen.
const LINES_MAX: usize = 70;

/// Finds functions, outside of tests, that are longer.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    tree.sources.iter().flat_map(find_in).collect()
}

fn find_in(source: &Source) -> Vec<Finding> {
    let code = &source.code;
    let mut findings = Vec::new();
    for start in words(code, "fn") {
        let name: String =
            code[start + 2..].trim_start().chars().take_while(|&character| is_word(character)).collect();
        let first = line_number(code, start);
        // Without a name it is a function type.
        if name.is_empty() || source.is_test(first) {
            continue;
        }
        let Some(body) = item(code, start) else { continue };
        let lines = line_number(code, body.end - 1) - first + 1;
        if lines > LINES_MAX {
            let message =
                format!("`{name}` has {lines} lines, more than {LINES_MAX}: split it by what it decides");
            findings.push(Finding::at(&source.path, first, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    fn function(body_lines: usize) -> String {
        format!(
            "struct A {{ f: fn(u8) -> u8 }}\nfn long(\n    a: u8,\n) {{\n{}}}\n",
            "    { a; }\n".repeat(body_lines)
        )
    }

    #[test]
    fn the_limit_is_seventy() {
        let at = |body| find(&Tree::planted(&[("core/a/src/x.rs", &function(body))]));
        assert!(at(66).is_empty());
        assert_eq!(
            lines(&at(67)),
            ["core/a/src/x.rs:2: `long` has 71 lines, more than 70: split it by what it decides"]
        );
    }

    #[test]
    fn tests_may_be_long() {
        let text = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(200));
        assert!(find(&Tree::planted(&[("core/a/src/x.rs", &text)])).is_empty());
    }

    #[test]
    fn declarations_have_no_body() {
        let text = format!("trait T {{\n    fn f();\n}}\nstruct B {{\n{}}}\n", "    a: u8,\n".repeat(100));
        assert!(find(&Tree::planted(&[("core/a/src/x.rs", &text)])).is_empty());
    }
}
