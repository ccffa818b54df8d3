//! `ovs`: a cluster in one process, and the verbs that operate it.
#![forbid(unsafe_code)]

mod cli;
mod config;
mod conversation;
mod failure;
mod group;
mod log;
mod serve;
mod storage;
mod up;
mod verbs;

use std::io::Write;
use std::process::ExitCode;

use cli::{BackendVerb, BenchVerb, Cli, ConfigVerb, KvVerb, OsdVerb, Parsed, Verb};
use failure::Failure;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Parsed::Cli(cli) => cli,
        Parsed::Shown(text) => return shown(text.print()),
        Parsed::Wrong(line) => return failed(&Failure::usage(line), false),
    };
    log::start(cli.globals.log, cli.globals.log_format);
    match run(&cli) {
        Ok(text) => shown(std::io::stdout().write_all(text.as_bytes())),
        Err(failure) => failed(&failure, cli.verb.is_json()),
    }
}

/// Does what was asked. Returns what goes to standard output.
fn run(cli: &Cli) -> Result<String, Failure> {
    let directory = &cli.globals.dir;
    match &cli.verb {
        Verb::Up(up) => up::run(up).map(|()| String::new()),
        Verb::Vdisk(verb) => verbs::vdisk::run(verb, directory),
        Verb::Backend(BackendVerb::Sync(sync)) => verbs::vdisk::sync(sync, directory),
        Verb::Osd(OsdVerb::List(asking)) => verbs::osd::list(asking, directory),
        Verb::Osd(OsdVerb::Stop(one)) => verbs::osd::stop(one, directory),
        Verb::Osd(OsdVerb::Start(one)) => verbs::osd::start(one, directory),
        Verb::Status(asking) => verbs::status::run(asking, directory),
        Verb::Kv(KvVerb::Data(verb)) => verbs::kv::run(verb, directory),
        Verb::Metrics(asking) => verbs::status::metrics(asking, directory),
        Verb::Serve(serve) => serve::run(serve).map(|()| String::new()),
        Verb::Kv(KvVerb::CheckBackup(verb)) => verbs::kv::check_backup(verb),
        Verb::Kv(KvVerb::Group(verb)) => verbs::kv::run_group(verb, directory),
        Verb::Bench(BenchVerb::Kv(verb)) => verbs::kv::bench::run(verb, directory),
        Verb::Kv(KvVerb::Member(verb)) => verbs::member::run(verb),
        Verb::Cluster(verb) => verbs::cluster::run(verb),
        Verb::Config(ConfigVerb::Example) => Ok(config::example()),
        Verb::Destroy(destroy) => verbs::destroy::run(destroy),
    }
}

/// The end of what went well. A reader that left, as `head` does, has what it wanted.
fn shown(written: std::io::Result<()>) -> ExitCode {
    match written.and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            failed(&Failure::system("writing to standard output", &error), false)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The end of what did not: one line, and a number.
fn failed(failure: &Failure, json: bool) -> ExitCode {
    let line = failure.message.replace('\n', " ");
    let line = if json { verbs::failure_json(failure) } else { format!("ovs: {line}") };
    // Where nobody listens, the number has to do.
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::from(failure.code as u8)
}
