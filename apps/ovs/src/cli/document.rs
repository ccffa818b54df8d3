//! docs/cli.md, written from the command line's own definition.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::Cli;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");

const HEAD: &str = "\
# The command line

Written from the program's own help by `UPDATE=1 cargo test -p ovs document`; its test fails when they differ.
";

/// One section for each verb that does something.
fn sections(command: &Command, path: &str, text: &mut String) {
    let is_root = path.is_empty();
    let path = if is_root { command.get_name().to_owned() } else { format!("{path} {}", command.get_name()) };
    if is_root || !command.has_subcommands() {
        let mut shown = command.clone().bin_name(&path).term_width(100);
        if !is_root {
            // What all verbs know is said once.
            shown = ["dir", "log", "log_format"]
                .iter()
                .fold(shown, |shown, name| shown.mut_arg(name, |arg| arg.hide(true)));
        }
        let help = shown.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        write!(text, "\n## {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()).unwrap();
    }
    for verb in command.get_subcommands() {
        sections(verb, &path, text);
    }
}

#[test]
fn the_document_is_what_the_program_says() {
    let mut command = Cli::command();
    command.build();
    let mut wanted = HEAD.to_owned();
    sections(&command, "", &mut wanted);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PATH, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(Path::new(PATH)).unwrap_or_default();
    assert!(found == wanted, "docs/cli.md has drifted: `UPDATE=1 cargo test -p ovs document` writes it");
}

#[test]
fn the_readme_has_every_exit_code() {
    let readme = include_str!("../../README.md");
    for (code, meaning) in crate::failure::ExitCode::TABLE {
        assert!(readme.contains(&format!("| {code} | {meaning} |\n")), "{code}");
    }
}
