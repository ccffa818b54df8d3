//! vDisks over servers that are processes of their own: their KV, their disks, and which of them may die.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use serde_json::Value;

use super::cut::kill_again_and_again;
use super::fio::{Job, fio, forget};
use crate::bed::{Bed, VDISK, free_port};
use crate::cluster::Cluster;
use crate::process::Program;
use crate::server::Server;

/// Time for servers to find each other, on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// The exit code where nothing runs, as `ovs --help` tells it.
const NOT_RUNNING: i32 = 3;

/// How often the server of the vDisks is killed in full flight.
const CUTS: u64 = 5;

impl Cluster<'_> {
    /// Which server leads the KV, as one of them says.
    pub(super) fn leader(&self, asked: u16) -> Result<u16> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status: Value = serde_json::from_str(&self.kv(asked, "status --json").run()?)?;
            if let Some(leader) = status["leader_server"].as_u64() {
                return Ok(u16::try_from(leader)?);
            }
            ensure!(Instant::now() < deadline, "nobody leads: {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until another server leads than did.
    fn leader_is_another(&self, asked: u16, before: u16) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while self.leader(asked)? == before {
            ensure!(Instant::now() < deadline, "nobody else leads");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until so many disks serve.
    fn wait_for_disks(&self, count: usize) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let osds: Value = serde_json::from_str(&self.verb("osd list --json").run()?)?;
            let up = osds.as_array().map_or(0, |all| all.iter().filter(|osd| osd["state"] == "up").count());
            if up == count {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{up} of {count} disks serve: {osds}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Writes by fio until `harm` was done at least once, then checks all of it; nothing may be an error to the guest.
fn written_under(bed: &Bed, guests: &Server, mut harm: impl FnMut() -> Result<()>) -> Result<()> {
    const PHASES: u64 = 2;
    std::thread::scope(|scope| {
        let phase = |seed| forget(guests).and_then(|()| fio(bed, guests, Job::Write, seed));
        let writer = scope.spawn(move || (1..=PHASES).try_for_each(phase));
        let mut rounds = 0;
        while !writer.is_finished() {
            harm()?;
            rounds += 1;
        }
        ensure!(rounds > 0, "a server died while the guest wrote");
        writer.join().map_err(|_| anyhow!("the thread of the client panicked"))?
    })?;
    fio(bed, guests, Job::Verify, PHASES)
}

/// One server has disks and vDisks, three others the KV: its leader may die at any time, all of it for a while, and the
/// server of the vDisks itself, and no guest is told of an error or misses what was acknowledged.
pub(crate) fn guests_go_on_while_servers_of_the_kv_die(bed: &Bed) -> Result<()> {
    let cluster = Cluster::new(bed, &["kv", "kv", "kv", "asd,volume-driver,edge"], "1GiB")?;
    let (mut guests, mut servers) = cluster.start_all()?;
    let status = cluster.verb("status").run()?;
    ensure!(status.starts_with("healthy") && status.contains("KV            3 copies"), "{status}");
    let mut asked = 1;
    written_under(bed, &guests, || {
        let leader = cluster.leader(asked)?;
        asked = leader % 3 + 1;
        let server = servers.get_mut(usize::from(leader) - 1).context("three servers")?;
        server.kill()?;
        cluster.leader_is_another(asked, leader)?;
        server.start_again(&[])
    })?;
    cuts_keep_what_was_acknowledged(&mut guests)?;

    servers.iter_mut().try_for_each(Server::kill)?;
    let io = |words: &[&str]| {
        let commands =
            words.iter().fold(Program::new("qemu-io").words("-f raw"), |io, it| io.arg("-c").arg(it));
        commands.arg(guests.uri(VDISK)).run().map(drop)
    };
    io(&["write -P 9 600M 8M", "flush", "read -P 9 600M 8M"])?;
    servers.iter_mut().try_for_each(|server| server.start_again(&[]))?;
    cluster.verb("vdisk sync").run()?;
    io(&["read -P 9 600M 8M"])?;
    another_volume_driver_is_refused(&cluster)?;
    guests.stop()?;
    servers.iter_mut().try_for_each(Server::stop)
}

fn cuts_keep_what_was_acknowledged(guests: &mut Server) -> Result<()> {
    forget(guests)?;
    kill_again_and_again(guests, CUTS)
}

/// A server that the others have not heard of before is told why it may not.
fn another_volume_driver_is_refused(cluster: &Cluster<'_>) -> Result<()> {
    let (bed, port) = (cluster.bed, free_port()?);
    let words = format!("--address 127.0.0.1:{port} --roles volume-driver,edge");
    bed.ovs("cluster add-server").arg(bed.path("c")).words(&words).run()?;
    let config = bed.path("c/server-5/ovs.toml");
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, text.replace("127.0.0.1:10809", &format!("127.0.0.1:{}", free_port()?)))?;
    let why = bed.ovs("serve").arg("--config").arg(config).refused()?;
    ensure!(why.contains("server 4 runs the volume driver of this cluster"), "{why}");
    Ok(())
}

/// One server has everything, and a lost write buffer is a loss that is to be accepted.
pub(crate) fn one_server_has_every_role(bed: &Bed) -> Result<()> {
    let cluster = Cluster::new(bed, &["kv,asd,volume-driver,edge"], "1GiB")?;
    let (mut guests, _) = cluster.start_all()?;
    fio(bed, &guests, Job::Write, 1)?;
    cuts_keep_what_was_acknowledged(&mut guests)?;
    let status = cluster.verb("status").run()?;
    ensure!(status.starts_with("healthy") && status.contains("each server counts as one"), "{status}");
    cluster.verb("vdisk create more --size 8MiB").run()?;
    ensure!(cluster.verb("vdisk list").run()?.contains("more"), "it was made");
    guests.stop()?;
    cluster.verb("status").refused_with(NOT_RUNNING)?;

    std::fs::rename(bed.path("c/server-1/data/write-buffer"), bed.path("aside"))?;
    let config = bed.path("c/server-1/ovs.toml");
    let why = bed.ovs("serve").arg("--config").arg(&config).refused()?;
    ensure!(why.contains("write-buffer is missing") && why.contains("--accept-write-buffer-loss"), "{why}");
    guests.start_again(&["--accept-write-buffer-loss"])?;
    ensure!(cluster.verb("status").run()?.starts_with("healthy"), "it goes on without");
    guests.stop()
}

/// Three servers have a KV and two disks each: any one but that of the vDisks may die under writes, and all can be read
/// without it.
pub(crate) fn disks_of_other_servers_hold_what_guests_write(bed: &Bed) -> Result<()> {
    let cluster = Cluster::new(bed, &["kv,asd,volume-driver,edge", "kv,asd", "kv,asd"], "1GiB")?;
    let (mut guests, mut servers) = cluster.start_all()?;
    cluster.wait_for_disks(6)?;
    let mut victim = 0;
    written_under(bed, &guests, || {
        let server = servers.get_mut(victim % 2).context("two others")?;
        victim += 1;
        server.kill()?;
        cluster.wait_for_disks(4)?;
        server.start_again(&[])?;
        cluster.wait_for_disks(6)
    })?;
    cluster.verb("vdisk sync").run()?;
    for server in &mut servers {
        server.kill()?;
        // What the process keeps in memory is gone, so that disks are read.
        guests.stop()?;
        guests.start_again(&[])?;
        fio(bed, &guests, Job::Verify, 2)?;
        server.start_again(&[])?;
        cluster.wait_for_disks(6)?;
    }
    let why = cluster.verb("osd stop asd-2001").refused()?;
    ensure!(why.contains("asd-2001 is a disk of server 2"), "{why}");
    more_disks_are_taken_up(&cluster, &mut servers)?;
    guests.stop()?;
    servers.iter_mut().try_for_each(Server::stop)
}

/// The KV of a server with every role is lost and begun anew: the server waits for a backup rather than take all that its disks
/// hold for garbage. After the restore it goes on by itself, and everything is there.
pub(crate) fn a_new_kv_is_not_begun_over_disks_with_data(bed: &Bed) -> Result<()> {
    let cluster = Cluster::new(bed, &["kv,asd,volume-driver,edge"], "1GiB")?;
    let mut server = cluster.start(1)?;
    fio(bed, &server, Job::Write, 1)?;
    cluster.verb("vdisk sync").run()?;
    let backup = bed.path("backup");
    cluster.kv(1, "backup --whole").arg(&backup).run()?;
    server.stop()?;
    let data = bed.path("c/server-1/data");
    let put_aside = |folder: &str, parts: &[&str]| {
        std::fs::create_dir(bed.path(folder))?;
        parts.iter().try_for_each(|part| std::fs::rename(data.join(part), bed.path(folder).join(part)))
    };

    put_aside("lost", &["kv", "member"])?;
    cluster.kv(1, "init --disks-lost 1").run()?;
    let said = server.start_waiting("write-buffer holds data, and the KV knows nothing of it")?;
    Program::new(bed.ovs_binary()).words("kv restore --whole").arg(&backup).arg("--dir").arg(&data).run()?;
    server.await_ready(said)?;
    fio(bed, &server, Job::Verify, 1)?;
    server.stop()?;

    // Without the write buffer a cluster would be begun, and the disks' data be the garbage of it.
    put_aside("lost-too", &["kv", "member", "write-buffer"])?;
    cluster.kv(1, "init --disks-lost 2").run()?;
    server.start_waiting("asd-1000 holds data, and the KV knows nothing of it")?;
    server.stop()
}

/// Disks that a server has more after its next start are in use without another's.
fn more_disks_are_taken_up(cluster: &Cluster<'_>, servers: &mut [Server]) -> Result<()> {
    let server = servers.first_mut().context("two others")?;
    let config = cluster.bed.path("c/server-2/ovs.toml");
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, text.replace("disks = 2", "disks = 3"))?;
    server.stop()?;
    server.start_again(&[])?;
    cluster.wait_for_disks(7)
}
