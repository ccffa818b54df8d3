//! A leader that is stopped hands its lead over: nobody's request fails, however often.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::failover::tell;
use crate::bed::Bed;
use crate::clients::during_each;

/// How many leaders are stopped, one after another, and how long all are left alone between.
const TIMES: usize = 12;
const BETWEEN: Duration = Duration::from_millis(300);

/// Answers that make a history worth judging.
const LEAST: usize = 1000;

/// Prints how long nobody was answered around each stop. It asserts no time: they are this machine's.
pub(crate) fn stopped_leaders(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    let mut gaps = Vec::new();
    let record = during_each(&bed.client(), |record| {
        for _ in 0..TIMES {
            sleep(BETWEEN);
            let (leader, begun) = (cluster.leader()?, Instant::now());
            cluster.stop(leader)?;
            cluster.leader_beside(leader)?;
            // Clients go on with who leads now.
            sleep(BETWEEN);
            gaps.push(record.longest_gap(begun, Instant::now()));
            cluster.start_dead()?;
            cluster.wait_until_whole()?;
        }
        Ok(())
    })?;
    tell(&format!("longest time without an answer, leader stopped {TIMES} times"), gaps);
    record.judge_all(LEAST)
}
