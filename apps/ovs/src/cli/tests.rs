//! What is understood, and what is said of what isn't.

use std::path::Path;

use clap::CommandFactory;
use glossary::Policy;

use super::*;

fn said(line: &str) -> Parsed {
    parse(line.split_whitespace().map(OsString::from))
}

#[track_caller]
fn cli(line: &str) -> Cli {
    match said(line) {
        Parsed::Cli(cli) => cli,
        other => panic!("`{line}` is understood: {other:?}"),
    }
}

#[track_caller]
fn wrong(line: &str, words: &[&str]) {
    match said(line) {
        Parsed::Wrong(text) => {
            assert_eq!(text.lines().count(), 1, "one line: {text}");
            for word in words {
                assert!(text.contains(word), "`{line}`: {text}");
            }
        }
        other => panic!("`{line}` makes no sense: {other:?}"),
    }
}

fn up(line: &str) -> Up {
    match cli(line).verb {
        Verb::Up(up) => *up,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn up_knows_what_was_given() {
    let nothing = up("ovs up");
    assert_eq!(nothing.dir, Path::new("./ovs-data"));
    assert!(nothing.policy.is_empty() && nothing.vdisk.is_empty() && !nothing.frames);
    assert_eq!((nothing.disks, nothing.sco_size, nothing.write_buffer), (None, None, None));
    assert_eq!((nothing.nbd, nothing.record, nothing.disk_size), (None, None, None));

    let all = up(
        "ovs up --dir d --disks 6 --policy 4,2,6,1 --policy 1,1,2,1 --sco-size 4MiB --write-buffer 1GiB \
         --vdisk a:1GiB --vdisk b:64TiB --nbd localhost:7 --io portable --frames --record r --disk-size 2TiB",
    );
    assert_eq!(all.dir, Path::new("d"));
    assert_eq!(all.disks, Some(6));
    assert_eq!(all.policy, [Policy { k: 4, m: 2, c: 6, x: 1 }, Policy { k: 1, m: 1, c: 2, x: 1 }]);
    assert_eq!(all.sco_size, Some(ByteCount(4 << 20)));
    assert_eq!(all.write_buffer, Some(ByteCount(1 << 30)));
    let vdisks: Vec<(&str, u64)> = all.vdisk.iter().map(|(name, size)| (name.as_str(), size.0)).collect();
    assert_eq!(vdisks, [("a", 1 << 30), ("b", 64 << 40)]);
    assert_eq!(all.nbd, Some("127.0.0.1:7".parse().unwrap()));
    assert!(all.frames && !all.insecure_nbd && !all.accept_write_buffer_loss);
    assert_eq!((all.io, all.disk_size), (io::IoChoice::Portable, Some(ByteCount(2 << 40))));
    assert_eq!(all.record.as_deref(), Some(Path::new("r")));
}

#[test]
fn up_refuses_nonsense_in_a_line() {
    wrong("ovs up --vdisk x:0", &["--vdisk", "no size"]);
    wrong("ovs up --vdisk x:1000", &["4 KiB"]);
    wrong("ovs up --vdisk x:65TiB", &["64 TiB"]);
    wrong("ovs up --vdisk a/b:1GiB", &["'/'"]);
    wrong("ovs up --vdisk a@b:1GiB", &["'@'"]);
    wrong("ovs up --vdisk :1GiB", &["a name"]);
    wrong(&format!("ovs up --vdisk {}:1GiB", "x".repeat(65)), &["64 bytes"]);
    wrong("ovs up --vdisk x:1GiB --vdisk x:2GiB", &["x twice"]);
    wrong("ovs up --sco-size 2MiB", &["4MiB to 128MiB"]);
    wrong("ovs up --sco-size 256MiB", &["4MiB to 128MiB"]);
    wrong("ovs up --sco-size 16M", &["16M", "10GiB"]);
    wrong("ovs up --policy 4,2,7,1", &["between k and k + m"]);
    wrong("ovs up --policy 0,2,1,1", &["at least 1"]);
    wrong("ovs up --policy 4,2", &["4,2,6,1"]);
    wrong("ovs up --disks 0", &["--disks", "1..=256"]);
    wrong("ovs up --io magic", &["magic", "portable"]);
    wrong("ovs up --nbd nowhere", &["127.0.0.1:10809"]);
    wrong("ovs up --nbd 0.0.0.0:1", &["--insecure-nbd"]);
    wrong("ovs up --nbd [::]:1", &["--insecure-nbd"]);
    assert!(up("ovs up --nbd 0.0.0.0:1 --insecure-nbd").insecure_nbd);
    assert!(up("ovs up --nbd [::1]:1").nbd.is_some());
}

#[test]
fn typos_are_told_what_was_meant() {
    wrong("ovs vdsik list", &["vdsik", "'vdisk'", "ovs --help"]);
    wrong("ovs vdisk lst", &["'list'"]);
    wrong("ovs statsu", &["'status'"]);
    wrong("ovs status --jsn", &["'--json'"]);
    wrong("ovs up --sco-sise 3", &["'--sco-size'"]);
    wrong("ovs", &["subcommand", "up", "vdisk"]);
    wrong("ovs vdisk", &["subcommand", "create", "resize"]);
    wrong("ovs osd", &["subcommand", "stop"]);
    wrong("ovs vdisk create disk1", &["--size"]);
    wrong("ovs vdisk create --size 1GiB", &["NAME"]);
    wrong("ovs vdisk create a b --size 1GiB", &["'b'"]);
    wrong("ovs osd stop disk7", &["asd-3 or 3"]);
    wrong("ovs osd stop asd-+7", &["asd-3 or 3"]);
    wrong("ovs osd stop asd-", &["asd-3 or 3"]);
    wrong("ovs status --timeout 0", &["--timeout"]);
    wrong("ovs status --log loud", &["loud", "warn"]);
}

#[test]
fn the_directory_is_said_anywhere() {
    for line in
        ["ovs --dir d status", "ovs status --dir d", "ovs vdisk --dir d list", "ovs vdisk list --dir d"]
    {
        assert_eq!(cli(line).globals.dir, Path::new("d"), "{line}");
    }
    match cli("ovs destroy --dir d").verb {
        Verb::Destroy(destroy) => assert_eq!((destroy.dir.as_path(), destroy.yes), (Path::new("d"), false)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn disks_have_two_names() {
    for line in ["ovs osd stop asd-3", "ovs disk stop 3", "ovs osd stop 3"] {
        match cli(line).verb {
            Verb::Osd(OsdVerb::Stop(one)) => assert_eq!(one.osd, OsdId(3)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn waiting_is_bounded_and_said_in_seconds() {
    let usual = Duration::from_secs(30);
    match (cli("ovs status").verb, cli("ovs status --timeout 5 --json").verb) {
        (Verb::Status(plain), Verb::Status(given)) => {
            assert_eq!((plain.patience(usual), plain.json), (usual, false));
            assert_eq!((given.patience(usual), given.json), (Duration::from_secs(5), true));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn verbs_of_the_group_answer_in_json_where_that_is_wanted() {
    let config = "--config c/ovs.toml";
    for verb in [
        "status",
        "members",
        "leader",
        "stats",
        "snapshot",
        "leave",
        "transfer --to 2",
        "verify",
        "rejoin",
        "prefer --nobody",
    ] {
        let line = format!("ovs kv {verb} {config}");
        assert!(!cli(&line).verb.is_json() && cli(&format!("{line} --json")).verb.is_json(), "{line}");
    }
    assert!(cli("ovs bench kv --json").verb.is_json() && !cli("ovs bench kv").verb.is_json());
    wrong("ovs kv leave --timeout 0 --config c", &["--timeout"]);
    wrong("ovs kv bench", &["bench"]);
}

#[test]
fn help_has_an_example_for_every_verb() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        if !command.has_subcommands() {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains(&format!("Example:\n {path}")), "{path}: {help}");
        }
        command.get_subcommands().for_each(|verb| check(verb, &path));
    }
    check(&Cli::command(), "");
}

#[test]
fn help_is_asked_for_in_two_ways() {
    for (asked, verb) in
        [("ovs help", "ovs [OPTIONS]"), ("ovs help vdisk create", "ovs vdisk create [OPTIONS]")]
    {
        let Parsed::Shown(help) = said(asked) else { panic!("`{asked}` shows help") };
        assert!(help.render().to_string().contains(&format!("Usage: {verb}")), "{asked}: {help}");
    }
}

#[test]
fn help_and_version_say_what_scripts_need() {
    let Parsed::Shown(help) = said("ovs --help") else { panic!("help is shown") };
    let help = help.render().to_string();
    assert!(
        help.contains("Exit codes:\n  0  done\n") && help.contains("  3  no cluster is running"),
        "{help}"
    );
    let Parsed::Shown(version) = said("ovs --version") else { panic!("the version is shown") };
    let version = version.render().to_string();
    assert!(version.starts_with(&format!("ovs {}\n", env!("CARGO_PKG_VERSION"))), "{version}");
    for format in [
        "SCO",
        "TLog",
        "map",
        "ASD segment",
        "KV log",
        "fragment",
        "registry",
        "message frame",
        "identity",
        "API",
    ] {
        assert!(version.lines().any(|line| line.trim_start().starts_with(format)), "{format}: {version}");
    }
    let Parsed::Shown(short) = said("ovs -V") else { panic!("the version is shown") };
    assert_eq!(short.render().to_string(), format!("ovs {}\n", env!("CARGO_PKG_VERSION")));
}
