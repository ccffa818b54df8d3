//! docs/features.md tells the truth: every number once, every state well formed, every claim with its test.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::source::{is_word, words};
use super::tree::Tree;

const PATH: &str = "docs/features.md";

/// Features are numbered from 1 without a gap, at least up to here.
const LAST: usize = 247;

/// One row of the table.
struct Row<'a> {
    line: usize,
    number: usize,
    state: &'a str,
    tests: &'a str,
}

/// Finds rows that are missing, doubled, malformed, or that claim without proof.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.texts.get(PATH) else {
        return vec![Finding::whole(PATH, "the feature table is missing")];
    };
    let (rows, mut findings) = rows(text);
    findings.extend(misnumbered(&rows));
    let known = test_names(tree);
    for row in &rows {
        findings.extend(malformed(row).into_iter().map(|message| Finding::at(PATH, row.line, message)));
        findings
            .extend(unproven(row, &known).into_iter().map(|message| Finding::at(PATH, row.line, message)));
    }
    findings
}

/// The rows that begin with a number, and those that do but have not four cells.
fn rows(text: &str) -> (Vec<Row<'_>>, Vec<Finding>) {
    let (mut rows, mut findings) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let Some(inside) = line.strip_prefix('|').and_then(|line| line.trim_end().strip_suffix('|')) else {
            continue;
        };
        let cells: Vec<&str> = inside.split('|').map(str::trim).collect();
        let Ok(number) = cells[0].parse() else { continue };
        match cells[..] {
            [_, _, state, tests] => rows.push(Row { line: index + 1, number, state, tests }),
            _ => findings.push(Finding::at(PATH, index + 1, "a row is: number, feature, state, tests")),
        }
    }
    (rows, findings)
}

fn misnumbered(rows: &[Row]) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for row in rows {
        if !seen.insert(row.number) {
            findings.push(Finding::at(
                PATH,
                row.line,
                format!("row {} stands here a second time", row.number),
            ));
        }
    }
    let last = seen.last().copied().unwrap_or(0).max(LAST);
    let missing = (1..=last).filter(|number| !seen.contains(number));
    findings.extend(missing.map(|number| Finding::whole(PATH, format!("row {number} is missing"))));
    findings
}

/// `works`, `not yet`, `partly: what is missing`, `replaced by N: why`.
fn malformed(row: &Row) -> Option<String> {
    let says_something = |text: &str| !text.trim().is_empty();
    let is_replaced = |rest: &str| {
        rest.split_once(':').is_some_and(|(by, why)| {
            says_something(why)
                && by.split(", ").all(|number| number.parse().is_ok_and(|by: usize| by != row.number))
        })
    };
    let is_well_formed = match row.state {
        "works" | "not yet" => true,
        state => {
            state.strip_prefix("partly:").is_some_and(says_something)
                || state.strip_prefix("replaced by ").is_some_and(is_replaced)
        }
    };
    (!is_well_formed).then(|| {
        format!("`{}` is none of: works, not yet, partly: what is missing, replaced by N: why", row.state)
    })
}

/// A row that claims something names tests, and each exists.
fn unproven(row: &Row, known: &BTreeSet<&str>) -> Vec<String> {
    let names: Vec<&str> = row.tests.split('`').skip(1).step_by(2).collect();
    let claims = row.state == "works" || row.state.starts_with("partly:");
    if claims && names.is_empty() {
        return vec![format!(
            "row {} claims something and names no test (`name` in its last cell)",
            row.number
        )];
    }
    let is_unknown = |name: &&str| !known.contains(name.rsplit("::").next().unwrap_or(name));
    names.into_iter().filter(is_unknown).map(|name| format!("no test is called `{name}`")).collect()
}

/// Functions under `#[test]`, and the cases of the real clients, which are functions of their own crate.
fn test_names(tree: &Tree) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for source in &tree.sources {
        let is_case = source.path.starts_with("tests/clients/src/cases/");
        for at in words(&source.code, "fn") {
            let rest = source.code[at + 2..].trim_start();
            let name = &rest[..rest.find(|character| !is_word(character)).unwrap_or(rest.len())];
            if is_case || has_test_attribute(&source.code[..at]) {
                names.insert(name);
            }
        }
    }
    names
}

/// Whether `#[test]` stands between the previous item and here.
fn has_test_attribute(before: &str) -> bool {
    let start = before.rfind(['}', ';', '{']).map_or(0, |at| at + 1);
    before[start..].contains("#[test]")
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    /// A full table with these rows in place of the ordinary ones.
    fn table(changed: &[(usize, &str)]) -> String {
        let row = |number: usize| {
            let own = changed.iter().find(|(of, _)| *of == number).map(|(_, row)| (*row).to_owned());
            own.unwrap_or_else(|| format!("| {number} | A thing | not yet | |\n"))
        };
        (1..=LAST).map(row).collect()
    }

    fn found(text: &str) -> Vec<String> {
        let code = "fn helper() {}\n#[test]\nfn proves_it() {}\n";
        let case = "pub fn nbdinfo_lists() {}\n";
        lines(&find(&Tree::planted(&[
            (PATH, text),
            ("core/a/src/lib.rs", code),
            ("tests/clients/src/cases/nbdinfo.rs", case),
        ])))
    }

    #[test]
    fn states_and_tests_that_exist_pass() {
        let rows = [
            (1, "| 1 | A | works | `proves_it` |\n"),
            (2, "| 2 | B | partly: no clones | `a::proves_it`, `nbdinfo_lists` |\n"),
            (3, "| 3 | C | replaced by 4: shorter | |\n"),
        ];
        assert_eq!(found(&table(&rows)), [""; 0]);
    }

    #[test]
    fn claims_need_proof() {
        let at = |row| found(&table(&[(1, row)])).join("\n");
        assert!(at("| 1 | A | works | |\n").contains("names no test"));
        assert!(at("| 1 | A | works | `nothing` |\n").contains("no test is called `nothing`"));
        assert!(at("| 1 | A | works | `helper` |\n").contains("no test is called `helper`"));
    }

    #[test]
    fn states_are_of_four_forms() {
        for state in [
            "done",
            "partly",
            "partly: ",
            "replaced by: x",
            "replaced by 1: itself",
            "replaced by 2:",
            "Works",
        ] {
            let row = format!("| 1 | A | {state} | `proves_it` |\n");
            let found = found(&table(&[(1, &row)]));
            assert_eq!(found.len(), 1, "{state}: {found:?}");
        }
    }

    #[test]
    fn numbers_are_complete_and_unique() {
        assert_eq!(found(&table(&[(7, "")])), ["docs/features.md: row 7 is missing"]);
        let twice = "| 7 | A | not yet | |\n| 7 | B | not yet | |\n";
        assert_eq!(found(&table(&[(7, twice)])), ["docs/features.md:8: row 7 stands here a second time"]);
        assert_eq!(found(&table(&[(7, "| 7 | A | not yet |\n")])).len(), 2);
        assert_eq!(find(&Tree::default()).len(), 1);
    }
}
