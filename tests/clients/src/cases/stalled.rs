//! Servers and backends that stand still: clients wait, memory stays bounded, nothing is lost.

use std::net::Shutdown;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::bed::{Bed, VDISK};
use crate::nbd::{Connection, Verb};
use crate::process::Program;
use crate::server::Server;

/// The overload: so many connections, each with so many writes of that length, to a backend that takes nothing.
const CONNECTIONS: usize = 64;
const REQUESTS: u64 = 64;
const LENGTH_BYTES: usize = 32 << 20;

/// What a process takes besides requests: code, stacks, the map's pages, room for the allocator.
const BASE_KIB: u64 = 128 << 10;

/// How long an idle server is watched, and the CPU time that it may take meanwhile, in clock ticks of 10 ms.
const IDLE: Duration = Duration::from_secs(5);
const IDLE_TICKS_MAX: u64 = 10;

/// A server that is stopped like a hung machine, and goes on: its clients waited, and nothing more.
pub(crate) fn sigstop_makes_clients_wait(bed: &Bed) -> Result<()> {
    let server = bed.up("256MiB")?;
    let mut connection = Connection::open(server.port(), VDISK)?;
    for round in 1..=3_u8 {
        let data = vec![round; 1 << 20];
        kill_process(server.pid()?, Signal::STOP)?;
        connection.send_large(1, u64::from(round) << 20, &data)?;
        connection.send(Verb::Flush, 2, 0, 0, &[])?;
        std::thread::sleep(Duration::from_millis(500));
        kill_process(server.pid()?, Signal::CONT)?;
        ensure!(connection.receive()? + connection.receive()? == 3, "both are answered, once each");
        ensure!(connection.read(u64::from(round) << 20, 1 << 20)? == data, "round {round}");
    }
    ensure!(bed.ovs("status").run()?.starts_with("healthy"), "nothing happened");
    Ok(())
}

/// Far more is sent than anything can hold, while no disk takes anything: memory stays under what status prints, and
/// all goes on when the disks are back.
pub(crate) fn stalled_backend_bounds_memory(bed: &Bed) -> Result<()> {
    let server = bed.up("1GiB")?;
    let patch = ["write -P 9 1000M 8M", "flush"];
    qemu_io(&server, &patch)?;
    bed.ovs("vdisk sync").run()?;
    let each_osd = |verb: &str| bed.osds(verb, &[0, 1, 2, 3, 4, 5, 6, 7]);
    each_osd("stop")?;
    let payload = vec![7_u8; LENGTH_BYTES];
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(server.port(), VDISK)?);
    }
    let streams = connections.iter().map(Connection::stream).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| -> Result<()> {
        for mut connection in connections {
            let payload = &payload;
            scope.spawn(move || {
                // They are hung up on in the middle, and that is all they are for.
                let mut sent = (0..REQUESTS).map(|n| connection.send_large(n, n % 16 * (32 << 20), payload));
                while sent.next().is_some_and(|sent| sent.is_ok()) {}
            });
        }
        let watched = watch(bed, &server);
        streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        watched
    })?;
    each_osd("start")?;
    bed.ovs("vdisk sync").run()?;
    qemu_io(&server, &["read -P 9 1000M 8M", "write -P 5 900M 8M", "flush", "read -P 5 900M 8M"])
}

/// Waits until the write buffer is full, lets the clients push on, and looks at the memory.
fn watch(bed: &Bed, server: &Server) -> Result<()> {
    while counter(bed, "ovs_volume_driver_room_waits_total")? == 0 {
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_secs(5));
    let status: Value = serde_json::from_str(&bed.ovs("status --json").run()?)?;
    let bound = status["memory_limit_bytes"].as_u64().context("status tells the bound")?;
    let peak_kib = server.memory_kib("VmHWM")?;
    ensure!(
        peak_kib < (bound >> 10) + BASE_KIB,
        "the server took {peak_kib} KiB, and {bound} bytes were said"
    );
    Ok(())
}

/// A counter of the metrics, over all its samples.
fn counter(bed: &Bed, name: &str) -> Result<u64> {
    let metrics = bed.ovs("metrics").run()?;
    let samples = metrics.lines().filter(|line| line.starts_with(name));
    Ok(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// An idle server with a client that is connected and says nothing takes no CPU.
pub(crate) fn idle_takes_no_cpu(bed: &Bed) -> Result<()> {
    let server = bed.up("256MiB")?;
    qemu_io(&server, &["write -P 1 0 32M", "flush", "discard 0 8M", "read -P 1 8M 24M"])?;
    bed.ovs("vdisk sync").run()?;
    let _connection = Connection::open(server.port(), VDISK)?;
    std::thread::sleep(IDLE);
    let before = ticks(&server)?;
    std::thread::sleep(IDLE);
    let taken = ticks(&server)? - before;
    ensure!(taken <= IDLE_TICKS_MAX, "{taken} ticks of CPU time in {IDLE:?}");
    Ok(())
}

/// The CPU time that the process has taken, in ticks: fields 14 and 15 of its `stat` (proc_pid_stat(5)).
fn ticks(server: &Server) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()?.as_raw_nonzero()))?;
    let (_, fields) = stat.rsplit_once(')').context("the name stands in parentheses")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

fn qemu_io(server: &Server, commands: &[&str]) -> Result<()> {
    let mut io = Program::new("qemu-io").words("-f raw");
    for command in commands {
        io = io.arg("-c").arg(command);
    }
    io.arg(server.uri(VDISK)).run()?;
    Ok(())
}
