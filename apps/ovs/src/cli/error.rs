//! What the command line says of itself, and of arguments that it can't use: one line.

use std::fmt::Write;
use std::sync::LazyLock;

use clap::error::ErrorKind;
use formats::journal::Kind;
use formats::{fragment, frame, identity, recording, registry, sco, tlog};

use super::Cli;
use crate::failure::ExitCode;

/// What a command line comes to.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Something to do.
    Cli(Cli),
    /// Help or a version, which prints itself.
    Shown(clap::Error),
    /// Arguments that make no sense, and why: one line.
    Wrong(String),
}

/// What clap's error comes to.
pub(super) fn explain(error: clap::Error) -> Parsed {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Parsed::Shown(error),
        _ => Parsed::Wrong(one_line(&error.render().to_string())),
    }
}

/// Clap explains in paragraphs: what is wrong, tips, usage, where help is. The first ones make a line.
fn one_line(text: &str) -> String {
    let told = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let told: Vec<&str> =
        told.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    let line = told.join(" ").replace(" tip: ", "; ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    format!("{line} (see `ovs --help`)")
}

/// The version, and those of everything that is stored or sent.
pub(super) fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(versions);
    &TEXT
}

fn versions() -> String {
    let formats = [
        ("SCO", sco::VERSION),
        ("TLog", Kind::TLOG.version),
        ("TLog object", tlog::VERSION),
        ("map", Kind::MAP.version),
        ("ASD segment", Kind::ASD_SEGMENT.version),
        ("ASD checkpoint", Kind::ASD_CHECKPOINT.version),
        ("KV log", Kind::KV_LOG.version),
        ("KV snapshot", Kind::KV_SNAPSHOT.version),
        ("KV backup", Kind::KV_BACKUP.version),
        ("fragment", fragment::VERSION),
        ("registry", registry::VERSION.into()),
        ("message frame", frame::VERSION),
        ("recording", recording::VERSION),
        ("identity", identity::VERSION),
    ];
    let mut text = format!("{}\n\nFormats:\n", env!("CARGO_PKG_VERSION"));
    for (name, version) in formats {
        writeln!(text, "  {name:<15} {version}").expect("strings take what is written");
    }
    write!(text, "  {:<15} {}", "API", api::VERSION).expect("strings take what is written");
    text
}

/// The table of exit codes, below the long help.
pub(super) fn exit_codes() -> String {
    let mut text = String::from("Examples:\n  ovs up --vdisk disk1:10GiB\n  ovs status\n\nExit codes:\n");
    for (code, meaning) in ExitCode::TABLE {
        writeln!(text, "  {code}  {meaning}").expect("strings take what is written");
    }
    text.trim_end().to_owned()
}
