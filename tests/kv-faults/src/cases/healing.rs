//! A server whose disk was damaged is killed again and again while it is given everything anew.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::clients::during;
use crate::cluster::{Cluster, connect};
use crate::network::SERVERS;
use crate::random::Random;

/// How often it is damaged, how often it is killed each time before it may go on, and how long after its start at most. It
/// is ready after some 50 ms, and has everything after some 300 ms.
const ROUNDS: u64 = 3;
const KILLS: u64 = 6;
const LATEST: u64 = 500;

/// How long clients go on before and after.
const WHILE: Duration = Duration::from_millis(500);

/// Answers that make a history worth judging.
const LEAST: usize = 300;

/// Pairs that must be given anew, and their values: many enough that it takes a moment.
const PAIRS: u32 = 200;
const VALUE_BYTES: usize = 64 << 10;

/// The first bytes of a page of a log file that hold something: behind its header, inside its first batch.
const INSIDE: usize = 4096 + 60;

/// The table's pairs are damaged: the server keeps its place.
pub(crate) fn killed_while_its_table_heals(bed: &Bed) -> Result<()> {
    let notices = |cluster: &Cluster, hurt: u16| {
        // Alone it is given nothing, and says what it lacks.
        let others: Vec<u16> = (1..=SERVERS).filter(|other| *other != hurt).collect();
        bed.network().split(&[hurt], &others)?;
        cluster.start_and_leave(hurt)?;
        cluster.wait_for_trouble(hurt, "is damaged")?;
        cluster.kill(hurt)?;
        bed.network().heal(&[hurt], &others)
    };
    killed_while_it_heals(bed, damage_table, notices, |_| Ok(()))
}

/// The middle of the log is damaged: the server puts all aside and joins its group under a new number.
pub(crate) fn killed_while_it_joins_anew(bed: &Bed) -> Result<()> {
    killed_while_it_heals(
        bed,
        damage_log,
        |_, _| Ok(()),
        |folder| {
            // What a server had put aside must be looked at and taken away before it does so again.
            let data = folder.parent().context("a folder")?;
            let aside =
                std::fs::read_dir(data)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
            let is_aside =
                |path: &&PathBuf| path.is_dir() && path != &folder && path.file_stem() == folder.file_stem();
            let aside: Vec<_> = aside.iter().filter(is_aside).collect();
            ensure!(aside.len() == 1, "one state is put aside, not {aside:?}");
            Ok(std::fs::remove_dir_all(aside[0])?)
        },
    )
}

fn killed_while_it_heals(
    bed: &Bed,
    damage: impl Fn(&Path) -> Result<()>,
    notices: impl Fn(&Cluster, u16) -> Result<()>,
    clear: impl Fn(&Path) -> Result<()>,
) -> Result<()> {
    let cluster = bed.cluster()?;
    let mut client = connect(&bed.client())?;
    let mut random = Random::new(7);
    for pair in 0..PAIRS {
        client.set(&name(pair), &value(pair))?;
    }
    let record = during(&bed.client(), || {
        sleep(WHILE);
        for round in 0..ROUNDS {
            let hurt = if round == 1 { cluster.leader()? } else { cluster.follower()? };
            hurt_once(&cluster, hurt, &damage)?;
            notices(&cluster, hurt)?;
            for _ in 0..KILLS {
                cluster.start_and_leave(hurt)?;
                sleep(Duration::from_millis(random.below(LATEST)));
                cluster.kill(hurt)?;
            }
            cluster.start_dead()?;
            cluster.wait_until_whole()?;
            cluster.verify()?;
            clear(&cluster.kv_folder(hurt))?;
        }
        sleep(WHILE);
        Ok(())
    })?;
    for pair in 0..PAIRS {
        let kept = client.get(&name(pair))?;
        ensure!(kept.as_deref() == Some(value(pair).as_slice()), "pair {pair} was acknowledged and is gone");
    }
    record.judge(LEAST)
}

/// Stops a server that has a table and a log in the middle of which there is something, and damages it.
fn hurt_once(cluster: &Cluster, server: u16, damage: impl Fn(&Path) -> Result<()>) -> Result<()> {
    cluster.snapshot(server)?;
    // The log file that a second life begins tells that the one before was whole.
    for _ in 0..2 {
        cluster.kill(server)?;
        cluster.start_dead()?;
        cluster.wait_until_whole()?;
    }
    cluster.kill(server)?;
    damage(&cluster.kv_folder(server))
}

fn name(pair: u32) -> Vec<u8> {
    format!("kept/{pair:04}").into_bytes()
}

/// Some bytes that are nowhere else.
fn value(pair: u32) -> Vec<u8> {
    let mut random = Random::new(u64::from(pair));
    (0..VALUE_BYTES).map(|_| random.below(256) as u8).collect()
}

/// Changes a byte of the second last log file.
fn damage_log(folder: &Path) -> Result<()> {
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let is_log =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
    let mut logs: Vec<_> = files.into_iter().filter(is_log).collect();
    logs.sort_unstable();
    let log = logs.iter().rev().nth(1).context("there are two log files")?;
    change(log, INSIDE)
}

/// Changes a byte of a value in the table.
fn damage_table(folder: &Path) -> Result<()> {
    let table = folder.join("table");
    let (bytes, sought) = (std::fs::read(&table)?, value(PAIRS / 2));
    let place =
        bytes.windows(32).position(|bytes| bytes == &sought[64..96]).context("the table holds all pairs")?;
    change(&table, place)
}

fn change(file: &Path, place: usize) -> Result<()> {
    let mut bytes = std::fs::read(file)?;
    bytes[place] ^= 1;
    Ok(std::fs::write(file, bytes)?)
}
