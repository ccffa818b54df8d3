//! A Rust source file, told apart into code, comments and literals.
//!
//! A scanner of characters rather than a parser: it knows comments, strings and character literals, and braces. That
//! is all the checks need, and it never fails on code that does not compile yet.

use std::ops::Range;

/// One `.rs` file.
pub(crate) struct Source {
    /// Path from the workspace folder.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// The same lines with comments and the insides of literals blanked.
    pub(crate) code: String,
    /// The same lines with comments alone blanked.
    pub(crate) uncommented: String,
    /// For each line whether it is test code.
    test_lines: Vec<bool>,
    /// Names of modules declared `#[cfg(test)] mod NAME;`, whose code is in other files.
    pub(crate) test_modules: Vec<String>,
}

impl Source {
    /// Scans a file. `all_test` says that the whole file is test code, as in a `tests` folder.
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>, all_test: bool) -> Self {
        let (path, text) = (path.into(), text.into());
        let kinds = kinds(&text);
        let code = mask(&text, &kinds, |kind| kind == Kind::Code);
        let uncommented = mask(&text, &kinds, |kind| kind != Kind::Comment);
        let mut test_lines = vec![all_test; text.lines().count()];
        let mut test_modules = Vec::new();
        for region in test_regions(&code) {
            match module_declared(&code[region.clone()]) {
                Some(name) => test_modules.push(name),
                None => {
                    for line in line_number(&code, region.start)..=line_number(&code, region.end - 1) {
                        test_lines[line - 1] = true;
                    }
                }
            }
        }
        Source { path, text, code, uncommented, test_lines, test_modules }
    }

    /// Declares the whole file test code.
    pub(crate) fn set_all_test(&mut self) {
        self.test_lines.fill(true);
    }

    /// Whether a line, counted from 1, is test code.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.test_lines.get(line - 1).copied().unwrap_or(false)
    }
}

/// The line, counted from 1, that holds a byte.
pub(crate) fn line_number(text: &str, byte: usize) -> usize {
    text[..byte].bytes().filter(|&byte| byte == b'\n').count() + 1
}

/// Where `word` stands in `code` as a word of its own.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(start, _)| start).filter(move |&start| {
        let before = code[..start].chars().next_back();
        let after = code[start + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Whether a character can be part of a name.
pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// From `start`, the item that begins there: up to its closing brace, or to its semicolon where it has no body.
pub(crate) fn item(code: &str, start: usize) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    for (offset, character) in code[start..].char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return Some(start..start + offset + 1),
            '{' if depth == 0 => return closing_brace(code, start + offset).map(|end| start..end + 1),
            _ => {}
        }
    }
    None
}

/// The byte of the brace that closes the one at `open`.
fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in code.as_bytes()[open..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(open + offset);
                }
            }
            _ => {}
        }
    }
    None
}

/// Items behind `#[cfg(test)]` (or any `cfg` that asks for `test`), attribute included.
fn test_regions(code: &str) -> Vec<Range<usize>> {
    let mut regions = Vec::new();
    for (start, _) in code.match_indices("#[cfg(") {
        let Some(end) = code[start..].find(']').map(|offset| start + offset + 1) else { continue };
        let condition = &code[start..end];
        if words(condition, "test").next().is_none() || condition.contains("not(test)") {
            continue;
        }
        if let Some(item) = item(code, end) {
            regions.push(start..item.end);
        }
    }
    regions
}

/// The name in `… mod NAME;`, where an item is only that.
fn module_declared(item: &str) -> Option<String> {
    let start = words(item, "mod").next()?;
    let name = item[start + 3..].trim().strip_suffix(';')?.trim();
    name.chars().all(is_word).then(|| name.to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The text with everything that is not kept replaced by blanks; lines stay lines.
fn mask(text: &str, kinds: &[Kind], keep: impl Fn(Kind) -> bool) -> String {
    let kept =
        |(character, kind): (char, &Kind)| if character == '\n' || keep(*kind) { character } else { ' ' };
    text.chars().zip(kinds).map(kept).collect()
}

/// For each character of a file, what it belongs to. The quotes of a literal count as code.
fn kinds(text: &str) -> Vec<Kind> {
    let characters: Vec<char> = text.chars().collect();
    let mut kinds = vec![Kind::Code; characters.len()];
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        if rest.starts_with(&['/', '/']) {
            let length = rest.iter().position(|&character| character == '\n').unwrap_or(rest.len());
            kinds[at..at + length].fill(Kind::Comment);
            at += length;
        } else if rest.starts_with(&['/', '*']) {
            let length = block_comment(rest);
            kinds[at..at + length].fill(Kind::Comment);
            at += length;
        } else if let Some((open, inside, close)) = literal(rest) {
            kinds[at + open..at + open + inside].fill(Kind::Literal);
            at += open + inside + close;
        } else {
            // A name is skipped whole, so that the `r` at its end is not taken for the start of a raw string.
            at += rest.iter().take_while(|&&character| is_word(character)).count().max(1);
        }
    }
    kinds
}

/// The length of the block comment, nested ones included, that starts here.
fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        if rest[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Lengths of opening, inside and closing of the literal that starts here, if one does.
fn literal(rest: &[char]) -> Option<(usize, usize, usize)> {
    let prefix = rest.iter().take_while(|&&character| matches!(character, 'b' | 'c' | 'r')).count().min(2);
    let hashes = rest[prefix..].iter().take_while(|&&character| character == '#').count();
    let raw = rest[..prefix].contains(&'r');
    match rest.get(prefix + hashes)? {
        '"' if raw => {
            let open = prefix + hashes + 1;
            let mut end = vec!['"'];
            end.extend(std::iter::repeat_n('#', hashes));
            let inside =
                (open..rest.len()).find(|&at| rest[at..].starts_with(&end)).unwrap_or(rest.len()) - open;
            Some((open, inside, end.len().min(rest.len() - open - inside)))
        }
        '"' if hashes == 0 => Some(escaped(rest, prefix + 1, '"')),
        '\'' if hashes == 0 && is_character(&rest[prefix..]) => Some(escaped(rest, prefix + 1, '\'')),
        _ => None,
    }
}

/// A literal in which a backslash takes the character after it along.
fn escaped(rest: &[char], open: usize, quote: char) -> (usize, usize, usize) {
    let mut at = open;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    let at = at.min(rest.len());
    (open, at - open, usize::from(at < rest.len()))
}

/// Whether a quote opens a character rather than a lifetime.
fn is_character(rest: &[char]) -> bool {
    rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("a.rs", text, false).code
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        assert_eq!(code("a // b\nc"), "a     \nc");
        assert_eq!(code("a /* b /* c */ */ d"), "a                 d");
        assert_eq!(code("\"{\\\"\" + '{'"), "\"   \" + ' '");
        assert_eq!(code("r#\"a\"b\"# + br\"{\""), "r#\"   \"# + br\" \"");
        assert_eq!(code("b'\\'' b'x'"), "b'  ' b' '");
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        assert_eq!(code("fn f<'a>(x: &'a str, r#type: u8) {}"), "fn f<'a>(x: &'a str, r#type: u8) {}");
        assert_eq!(code("for\"a\""), "for\" \"");
    }

    #[test]
    fn unfinished_literals_end_with_the_file() {
        assert_eq!(code("\"abc"), "\"   ");
        assert_eq!(code("r#\"abc"), "r#\"   ");
        assert_eq!(code("'\\"), "' ");
        assert_eq!(code("/* a"), "    ");
    }

    #[test]
    fn test_items_are_known() {
        let source =
            Source::new("a.rs", "fn a() {\n}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n", false);
        let test: Vec<bool> = (1..=7).map(|line| source.is_test(line)).collect();
        assert_eq!(test, [false, false, true, true, true, true, false]);
        let source = Source::new("a.rs", "#[cfg(test)]\nmod tests;\n#[cfg(not(test))]\nfn a() {}\n", false);
        assert_eq!(source.test_modules, ["tests"]);
        assert!(!source.is_test(2) && !source.is_test(4));
    }

    #[test]
    fn words_stand_alone() {
        assert_eq!(words("fn fnord fn_a a_fn fn", "fn").collect::<Vec<_>>(), [0, 19]);
    }

    #[test]
    fn items_end_at_brace_or_semicolon() {
        assert_eq!(item("use a::{b};", 0), Some(0..10));
        assert_eq!(item("fn f(x: [u8; 3]) { if x { } } y", 0), Some(0..29));
        assert_eq!(item("fn f(x: [u8; 3]);", 0), Some(0..17));
        assert_eq!(item("fn f(", 0), None);
    }
}
