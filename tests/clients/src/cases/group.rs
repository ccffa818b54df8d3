//! Three servers that keep one KV: the verbs about their group, and what certificates allow.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, free_port};
use crate::process::Program;
use crate::server::Server;

/// Exit codes, as `ovs --help` tells them.
const FAILED: i32 = 1;
const REFUSED: i32 = 4;
const TIMED_OUT: i32 = 8;

/// Time for the group to agree, on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// The verb of a server, about the group.
pub(super) fn of_server(bed: &Bed, server: u16, words: &str) -> Program {
    bed.ovs("kv").words(words).arg("--config").arg(bed.path(&format!("c/server-{server}/ovs.toml")))
}

/// The verb of a client, about keys.
pub(super) fn of_client(bed: &Bed, name: &str, words: &str) -> Program {
    bed.ovs("kv").words(words).arg("--config").arg(bed.path(&format!("c/clients/{name}/ovs.toml")))
}

fn json(program: Program) -> Result<Value> {
    Ok(serde_json::from_str(&program.run()?)?)
}

/// Asks until it is as it should be, and gives what was said then.
pub(super) fn wait_for(ask: impl Fn() -> Program, is_good: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let said = json(ask())?;
        if is_good(&said) {
            return Ok(said);
        }
        ensure!(Instant::now() < deadline, "it stays like this: {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Makes what three servers need; gives their ports.
pub(super) fn init(bed: &Bed) -> Result<[u16; 3]> {
    let ports = [free_port()?, free_port()?, free_port()?];
    let at = ports.map(|port| format!("--address 127.0.0.1:{port}")).join(" ");
    let folder = bed.path("c");
    bed.ovs("cluster init").arg(&folder).words(&at).run()?;
    bed.ovs("cluster add-client").arg(&folder).arg("user").run()?;
    for server in 1..=3 {
        of_server(bed, server, "init --with 1,2,3").run()?;
    }
    Ok(ports)
}

pub(super) fn start(bed: &Bed, ports: [u16; 3]) -> Result<Vec<Server>> {
    let folder = bed.path("c");
    let servers = (1..=3).zip(ports).map(|(server, port)| {
        let config = folder.join(format!("server-{server}/ovs.toml"));
        let log = bed.path(&format!("server-{server}.log"));
        Server::start_serve(bed.ovs_binary(), &config, port, &log)
    });
    servers.collect()
}

/// Verbs of the group do what they say, a client reaches keys of users alone, and a minority says why it refuses.
pub(crate) fn three_servers_keep_one_kv(bed: &Bed) -> Result<()> {
    let mut servers = start(bed, init(bed)?)?;
    of_client(bed, "user", "set colour green --timeout 60").run()?;
    let status = wait_for(|| of_server(bed, 1, "status --json"), |said| said["leader_server"].is_u64())?;
    ensure!(status["voters"] == serde_json::json!([1, 2, 3]), "{status}");
    members_are_told(bed)?;
    certificates_count(bed)?;
    let counted = json(of_server(bed, 1, "stats --json"))?;
    let snapshot = json(of_server(bed, 1, "snapshot --json"))?;
    ensure!(snapshot == serde_json::json!({ "snapshot": 1 }), "{snapshot}");
    let since = json(of_server(bed, 1, "stats --json"))?;
    ensure!(since["checkpoints"].as_u64() > counted["checkpoints"].as_u64(), "{counted} {since}");
    ensure!(of_server(bed, 1, "stats").run()?.contains("commands"));

    backups_are_taken_and_restored_into_nothing_else(bed)?;
    one_more_comes_and_goes(bed)?;
    let left = json(of_server(bed, 3, "leave --json"))?;
    ensure!(left["left"] == 3, "{left}");
    wait_for_voters(bed, 2)?;

    servers.get_mut(1).context("three servers")?.kill()?;
    let alone = wait_for(
        || of_server(bed, 1, "status --json"),
        |said| said["writes"].as_str().is_some_and(|writes| writes.starts_with("are refused: ")),
    )?;
    ensure!(
        alone["writes"].as_str().is_some_and(|writes| writes.contains("1 of 2 voters answer")),
        "{alone}"
    );
    of_client(bed, "user", "set colour red --timeout 2").refused_with(TIMED_OUT)?;
    let stale = of_client(bed, "user", "get colour --stale").run()?;
    ensure!(stale == "green\n", "{stale}");
    let why = wait_for_no_leader(bed)?;
    ensure!(why.contains("1 of 2 voters answer"), "{why}");
    servers.get_mut(1).context("three servers")?.start_again(&[])?;
    of_client(bed, "user", "set colour blue --timeout 60").run()?;
    Ok(())
}

/// Waits until so many vote, and nobody belongs to the group who doesn't. An even number is warned of.
pub(super) fn wait_for_voters(bed: &Bed, count: usize) -> Result<()> {
    let is_so = |said: &Value| {
        said["members"]
            .as_array()
            .is_some_and(|all| all.len() == count && all.iter().all(|member| member["votes"] == true))
    };
    let said = wait_for(|| of_server(bed, 1, "members --json"), is_so)?;
    let warns = said["warning"].as_str().is_some_and(|warning| warning.contains("an odd number"));
    ensure!(warns == count.is_multiple_of(2), "{said}");
    Ok(())
}

fn one_more_comes_and_goes(bed: &Bed) -> Result<()> {
    let (port, folder) = (free_port()?, bed.path("c"));
    let at = format!("--address 127.0.0.1:{port}");
    bed.ovs("cluster add-server").arg(&folder).words(&at).run()?;
    let said = of_server(bed, 4, "join").run()?;
    ensure!(said.contains("warning: a group of 4 voters"), "{said}");
    let config = folder.join("server-4/ovs.toml");
    let mut server = Server::start_serve(bed.ovs_binary(), &config, port, &bed.path("server-4.log"))?;
    wait_for_voters(bed, 4)?;
    of_server(bed, 4, "leave").run()?;
    wait_for_voters(bed, 3)?;
    server.stop()
}

fn backups_are_taken_and_restored_into_nothing_else(bed: &Bed) -> Result<()> {
    let file = bed.path("monday.kv");
    of_client(bed, "user", "backup").arg(&file).run()?;
    let found = bed.ovs("kv check-backup").arg(&file).run()?;
    println!("{found}");
    of_client(bed, "user", "set later yes").run()?;
    of_client(bed, "user", "restore").arg(&file).refused_with(REFUSED)?;
    of_client(bed, "user", "delete-prefix").arg("").run()?;
    of_client(bed, "user", "restore").arg(&file).run()?;
    let all = of_client(bed, "user", "range").run()?;
    ensure!(all == "colour\tgreen\n", "{all:?}");
    Ok(())
}

/// Who leads is known for a moment after the majority is gone.
fn wait_for_no_leader(bed: &Bed) -> Result<String> {
    wait_for(|| of_server(bed, 1, "status --json"), |said| said["leader"].is_null())?;
    of_server(bed, 1, "leader").refused_with(FAILED)
}

fn members_are_told(bed: &Bed) -> Result<()> {
    let members = json(of_server(bed, 2, "members --json"))?;
    ensure!(members["warning"].is_null(), "{members}");
    let all = members["members"].as_array().context("a list")?;
    ensure!(all.len() == 3 && all.iter().all(|member| member["votes"] == true), "{members}");
    ensure!(of_server(bed, 2, "members").run()?.lines().count() == 4);
    let admin = bed.path("c/clients/admin/certificates");
    for to in [2, 3, 1] {
        let line = format!("transfer --to {to} --json --certificates {}", admin.display());
        let said = json(of_server(bed, 1, &line))?;
        ensure!(said["leader_server"] == to, "{said}");
        wait_for(|| of_server(bed, 2, "leader --json"), |said| said["leader_server"] == to)?;
    }
    Ok(())
}

fn certificates_count(bed: &Bed) -> Result<()> {
    let got = of_client(bed, "user", "get colour").run()?;
    ensure!(got == "green\n", "{got}");
    let why = of_client(bed, "user", "range --whole --keys-only").refused_with(REFUSED)?;
    ensure!(why.contains("may only read and change keys of users"), "{why}");
    let whole = of_client(bed, "admin", "range --whole --keys-only").run()?;
    ensure!(whole.contains("u/colour\n") && whole.contains("server/"), "{whole}");
    let user = bed.path("c/clients/user/certificates");
    let line = format!("transfer --to 2 --certificates {}", user.display());
    let why = of_server(bed, 1, &line).refused_with(REFUSED)?;
    ensure!(why.contains("use an administrator's"), "{why}");
    Ok(())
}
