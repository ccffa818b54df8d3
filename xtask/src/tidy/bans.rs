//! Words that do not belong in a file, and what to do instead.

use super::finding::Finding;
use super::layering::Class;
use super::source::Source;
use super::tree::Tree;

/// Where a ban holds.
#[derive(Clone, Copy)]
enum Scope {
    /// Code of `core/` and `lib/`, tests included.
    Pure,
    /// Code of the parts of `core/`.
    Parts,
    /// Test code everywhere.
    Tests,
    /// Rust code everywhere, comments included.
    Everything,
}

struct Ban {
    scope: Scope,
    words: &'static [&'static str],
    instead: &'static str,
}

// The words are cut in two where this file would else find itself.
const BANS: &[Ban] = &[
    Ban {
        scope: Scope::Pure,
        words: &["HashMap", "HashSet"],
        instead: "its order differs from run to run; use BTreeMap or BTreeSet",
    },
    Ban {
        scope: Scope::Pure,
        words: &["std::time", "Instant::now", "SystemTime"],
        instead: "a pure crate has no clock; time arrives as `now`",
    },
    Ban {
        scope: Scope::Parts,
        words: &["Serialize", "Deserialize"],
        instead: "only core/formats and lib/ encode (and the ground crates, for them)",
    },
    Ban {
        scope: Scope::Tests,
        words: &["Instant::now", ".elapsed(", "SystemTime"],
        instead: "a test that reads the clock fails on a busy machine; count steps instead",
    },
    Ban {
        scope: Scope::Everything,
        words: &[
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("XX", "X"),
            concat!("to", "do!("),
            concat!("unimpl", "emented!("),
            concat!("#[ig", "nore"),
        ],
        instead: "finish it, or take it out and say so in docs/features.md",
    },
];

/// Test code that may read the clock, and why.
const CLOCK_ALLOWED: &[(&str, &str)] = &[
    ("tests/clients/", "real processes hang for real: each case has a time-out, and none asserts a duration"),
    ("tests/bench/", "it measures"),
    ("tests/bench-kv/", "it measures"),
    ("tests/kv-faults/", "as tests/clients; the times of fail-overs are printed and judged by nobody"),
];

/// Finds banned words, characters outside ASCII in code, and paths of somebody's machine.
pub(crate) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        for ban in BANS {
            findings.extend(banned(source, ban));
        }
        for (index, line) in source.uncommented.lines().enumerate() {
            if !line.is_ascii() {
                findings.push(Finding::at(
                    &source.path,
                    index + 1,
                    "code is ASCII; write \\u{...} in a literal",
                ));
            }
        }
    }
    findings.extend(tree.texts.iter().flat_map(|(path, text)| machine_paths(path, text)));
    findings
}

fn banned(source: &Source, ban: &Ban) -> Vec<Finding> {
    let class = Class::of(source.path.split("/src/").next().unwrap_or_default());
    let holds = match ban.scope {
        Scope::Pure => class.is_some_and(Class::is_pure),
        Scope::Parts => class == Some(Class::Part),
        Scope::Tests => !CLOCK_ALLOWED.iter().any(|(folder, _)| source.path.starts_with(folder)),
        Scope::Everything => true,
    };
    if !holds {
        return Vec::new();
    }
    let text = if matches!(ban.scope, Scope::Everything) { &source.text } else { &source.code };
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let counts = !matches!(ban.scope, Scope::Tests) || source.is_test(index + 1);
        for word in ban.words.iter().filter(|word| counts && line.contains(**word)) {
            findings.push(Finding::at(&source.path, index + 1, format!("`{word}`: {}", ban.instead)));
        }
    }
    findings
}

/// Folders that are somebody's own.
fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for folder in ["work", "home", "Users"] {
            let needle = format!("/{folder}/");
            let is_start = |at: usize| {
                !line[..at].ends_with(|before: char| {
                    before.is_alphanumeric() || matches!(before, '.' | '_' | '-' | '/' | '}')
                })
            };
            if line.match_indices(&needle).any(|(at, _)| is_start(at)) {
                findings.push(Finding::at(
                    path,
                    index + 1,
                    format!("`{needle}` is a path of somebody's machine"),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::lines;
    use super::*;

    fn at(path: &str, text: &str) -> usize {
        find(&Tree::planted(&[(path, text)])).len()
    }

    #[test]
    fn pure_crates_have_no_clock_and_no_random_order() {
        assert_eq!(at("core/a/src/x.rs", "use std::collections::HashMap;\n"), 1);
        assert_eq!(at("lib/a/src/x.rs", "let now = std::time::Instant::now();\n"), 2);
        assert_eq!(at("lib/a/src/x.rs", "// no HashMap here\nlet a = \"HashMap\";\n"), 0);
        assert_eq!(at("shell/a/src/x.rs", "let now = Instant::now();\n"), 0);
    }

    #[test]
    fn parts_do_not_encode() {
        assert_eq!(at("core/volume/src/x.rs", "#[derive(Serialize)]\n"), 1);
        assert_eq!(at("core/glossary/src/x.rs", "#[derive(Serialize)]\n"), 0);
    }

    #[test]
    fn tests_do_not_read_the_clock() {
        let text =
            "fn f() { start.elapsed(); }\n#[cfg(test)]\nmod tests {\n  fn g() { start.elapsed(); }\n}\n";
        let found = find(&Tree::planted(&[("shell/a/src/x.rs", text)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, Some(4));
        assert_eq!(at("shell/a/tests/x.rs", "let a = Instant::now();\n"), 1);
        assert_eq!(at("tests/clients/src/x.rs", "let a = Instant::now();\n"), 0);
    }

    #[test]
    fn nothing_is_left_for_later() {
        for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("#[ig", "nore]")]
        {
            assert_eq!(at("apps/a/src/x.rs", &format!("fn f() {{}} // {word} later\n")), 1, "{word}");
        }
    }

    #[test]
    fn code_is_ascii() {
        assert_eq!(at("apps/a/src/x.rs", "// \u{2026}\n"), 0);
        assert_eq!(
            lines(&find(&Tree::planted(&[("a.rs", "let a = \"\u{2026}\";\n")])))[0].find("a.rs:1"),
            Some(0)
        );
    }

    #[test]
    fn nobody_s_machine_is_named() {
        let home = concat!("/ho", "me/");
        assert_eq!(at("docs/a.md", &format!("see {home}me/notes\n")), 1);
        assert_eq!(
            at("docs/a.md", &format!("see https://example.org{home}x and a{home}x and ${{D}}{home}x\n")),
            0
        );
    }
}
