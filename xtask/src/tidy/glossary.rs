//! docs/glossary.md: the terms of the system, from the documentation of the types in `core/glossary`.

use super::tree::Tree;

/// The file that this writes.
const HEAD: &str = "# Glossary\n\nOne name for one thing, in code, documents, command line and metrics. Written by \
`cargo xtask fix` from `core/glossary`.\n\n| Term | Meaning |\n|---|---|\n";

/// Where the terms are.
const FOLDER: &str = "core/glossary/src/";

/// The glossary, sorted by term.
pub(crate) fn render(tree: &Tree) -> String {
    let mut terms = Vec::new();
    for source in tree.sources.iter().filter(|source| source.path.starts_with(FOLDER)) {
        terms.extend(terms_of(&source.text));
    }
    terms.sort_by_key(|(name, _)| name.to_lowercase());
    let rows = terms.iter().map(|(name, meaning)| format!("| {name} | {} |\n", meaning.replace('|', "\\|")));
    HEAD.to_owned() + &rows.collect::<String>()
}

/// Each documented type of a file with the first paragraph of its documentation.
fn terms_of(text: &str) -> Vec<(String, String)> {
    let mut terms = Vec::new();
    let mut meaning = String::new();
    let mut is_first_paragraph = true;
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            is_first_paragraph &= !words.trim().is_empty();
            if is_first_paragraph {
                meaning.push_str(if meaning.is_empty() { "" } else { " " });
                meaning.push_str(words.trim());
            }
        } else if !line.starts_with("#[") {
            let is_term = |name: &&str| !meaning.is_empty() && !name.ends_with("Error");
            if let Some(name) = type_name(line).filter(is_term) {
                terms.push((name.to_owned(), plain(&meaning)));
            }
            meaning.clear();
            is_first_paragraph = true;
        }
    }
    terms
}

/// The name of the type that a line declares, in the open or through a macro of the form `Name(u64);`.
fn type_name(line: &str) -> Option<&str> {
    let declared = ["pub struct ", "pub enum "].iter().find_map(|words| line.strip_prefix(words));
    let by_macro = line.split_once('(').map(|(name, _)| name).filter(|_| line.ends_with(");"));
    let name = declared.or(by_macro)?;
    let end = name.find(|character: char| !character.is_alphanumeric()).unwrap_or(name.len());
    let name = &name[..end];
    (name.starts_with(char::is_uppercase) && (declared.is_some() || by_macro == Some(name))).then_some(name)
}

/// Links of rustdoc lead nowhere outside of rustdoc: [`Name`] becomes `Name`.
fn plain(meaning: &str) -> String {
    meaning.replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_become_terms() {
        let text = "\
/// The number of a SCO, see [`Location`]:
/// 48 bits | unique.
///
/// More about it.
#[derive(Clone)]
pub struct ScoId(pub u64);

impl ScoId {
    /// The largest.
    pub const MAX: u64 = 1;
    /// Makes one.
    pub fn new(a: u64) -> Self {}
}

numbers! {
    /// A volume.
    Volume(u64);
}

/// What may go wrong.
pub enum Fault {
    /// Not a term.
    Write(u8),
}
struct Undocumented;
/// Why not.
pub enum VolumeError {}
";
        let tree = Tree::planted(&[("core/glossary/src/lib.rs", text), ("core/step/src/lib.rs", text)]);
        let expected = "| Fault | What may go wrong. |\n\
            | ScoId | The number of a SCO, see `Location`: 48 bits \\| unique. |\n\
            | Volume | A volume. |\n";
        assert_eq!(render(&tree), format!("{HEAD}{expected}"));
    }
}
