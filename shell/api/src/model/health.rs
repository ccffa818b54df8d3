//! What the facts of a cluster mean.

use serde::{Deserialize, Serialize};

use super::status::{Facts, Osd, OsdState, Vdisk};

/// Whether all is well, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The answer in one word.
    pub verdict: Verdict,
    /// What is wrong, the worst first: one line each. None when healthy.
    pub reasons: Vec<String>,
    /// How many more disks may fail before data can't be read.
    pub disks_may_fail: u32,
    /// Bytes acknowledged to guests that the disks don't hold yet with redundancy.
    pub unsafe_bytes: u64,
}

/// Whether all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All is well.
    Healthy,
    /// Everything can be read, but not everything is as it should be.
    Degraded,
    /// Something can't be read.
    DataLost,
}

impl Health {
    /// Judges.
    pub fn of(facts: &Facts) -> Self {
        let away: Vec<&Osd> = facts.osds.iter().filter(|osd| !osd.state.serves()).collect();
        let away_count = u32::try_from(away.len()).unwrap_or(u32::MAX);
        let bearable = bearable(facts);
        let lost: Vec<String> = facts.vdisks.iter().filter_map(lost_of).collect();
        let is_lost = !lost.is_empty() || away_count > bearable;

        let mut reasons = lost;
        reasons.extend((away_count > bearable).then(|| {
            format!("{away_count} disks are away and {bearable} may be: what only they hold can't be read without them")
        }));
        reasons.extend(facts.vdisks.iter().filter_map(halted_of));
        reasons.extend(by_state(&away));
        reasons.extend((!away.is_empty()).then(|| "automatic repair is not there yet".to_owned()));
        let full: Vec<&Osd> = facts.osds.iter().filter(|osd| osd.state == OsdState::Full).collect();
        reasons.extend(by_state(&full));
        reasons.extend(facts.kv.trouble.iter().map(|why| format!("the KV is in trouble: {why}")));
        reasons.extend(facts.troubles.iter().cloned());

        let verdict = match (is_lost, reasons.is_empty()) {
            (true, _) => Verdict::DataLost,
            (false, true) => Verdict::Healthy,
            (false, false) => Verdict::Degraded,
        };
        let unsafe_bytes = facts.vdisks.iter().map(|vdisk| vdisk.unsafe_bytes.0).sum();
        Health { verdict, reasons, disks_may_fail: bearable.saturating_sub(away_count), unsafe_bytes }
    }
}

/// How many disks may be away: an upload counts at c fragments, each on a disk of its own, and any k suffice.
/// Objects follow one of the policies, and one doesn't know which: so the weakest.
fn bearable(facts: &Facts) -> u32 {
    facts.policies.iter().map(|policy| u32::from(policy.c.saturating_sub(policy.k))).min().unwrap_or(0)
}

fn lost_of(vdisk: &Vdisk) -> Option<String> {
    let first = vdisk.lost.first()?;
    let more = match vdisk.lost.len() - 1 {
        0 => String::new(),
        1 => ", and at another place".to_owned(),
        count => format!(", and at {count} more places"),
    };
    Some(format!("{} can't be read at {} for {}{more}", vdisk.name, first.offset, first.length))
}

fn halted_of(vdisk: &Vdisk) -> Option<String> {
    vdisk.halted.as_ref().map(|why| format!("{} does not serve: {why}", vdisk.name))
}

/// One line for all disks that are the same way for the same reason.
fn by_state(osds: &[&Osd]) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for osd in osds {
        let why = osd.trouble.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let how = format!("{}{why}", osd.state.word());
        match groups.iter_mut().find(|(known, _)| *known == how) {
            Some((_, names)) => names.push(&osd.name),
            None => groups.push((how, vec![&osd.name])),
        }
    }
    groups.into_iter().map(|(how, names)| format!("{} {how}", names.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use glossary::{ByteCount, OsdId, Policy};

    use super::super::status::{Kv, WriteBuffer};
    use super::*;

    fn facts(disks: u32) -> Facts {
        let osd = |number| Osd {
            osd: OsdId(number),
            name: format!("asd-{number}"),
            state: OsdState::Up,
            used: ByteCount(0),
            capacity: ByteCount(0),
            dead: ByteCount(0),
            keys: 0,
            trouble: None,
        };
        Facts {
            cluster: String::new(),
            policies: vec![Policy { k: 4, m: 2, c: 6, x: 1 }],
            osds: (0..disks).map(osd).collect(),
            vdisks: Vec::new(),
            write_buffer: WriteBuffer { used: ByteCount(0), limit: ByteCount(0) },
            kv: Kv { copies: 1, keys: 0, index: 0, trouble: None },
            memory_limit: ByteCount(0),
            troubles: Vec::new(),
        }
    }

    #[test]
    fn each_disk_that_is_away_is_one_less_to_fail() {
        let mut facts = facts(8);
        let expected = [(0, Verdict::Healthy, 2), (1, Verdict::Degraded, 1), (2, Verdict::Degraded, 0)];
        for (away, verdict, may_fail) in expected.into_iter().chain([(3, Verdict::DataLost, 0)]) {
            facts.osds.iter_mut().take(away).for_each(|osd| osd.state = OsdState::Failed);
            let health = Health::of(&facts);
            assert_eq!((health.verdict, health.disks_may_fail), (verdict, may_fail), "{away} away");
        }
    }

    #[test]
    fn the_weakest_policy_counts_and_only_what_is_waited_for() {
        let mut facts = facts(8);
        facts.policies.push(Policy { k: 2, m: 2, c: 3, x: 1 });
        assert_eq!(Health::of(&facts).disks_may_fail, 1);
        facts.policies.push(Policy { k: 1, m: 0, c: 1, x: 1 });
        assert_eq!(Health::of(&facts).disks_may_fail, 0);
    }

    #[test]
    fn what_is_not_as_it_should_be_degrades() {
        let mut full = facts(8);
        full.osds[3].state = OsdState::Full;
        let health = Health::of(&full);
        assert_eq!((health.verdict, health.disks_may_fail), (Verdict::Degraded, 2));
        assert_eq!(health.reasons, ["asd-3 full"]);
        let mut sick = facts(8);
        sick.kv.trouble = Some("a sync failed".into());
        assert_eq!(Health::of(&sick).reasons, ["the KV is in trouble: a sync failed"]);
        let mut other = facts(8);
        other.troubles.push("the Edge does not answer".into());
        assert_eq!(Health::of(&other).verdict, Verdict::Degraded);
    }

    #[test]
    fn disks_with_one_trouble_share_a_line() {
        let mut facts = facts(8);
        for number in [1, 4, 6] {
            facts.osds[number].state = OsdState::Missing;
            facts.osds[number].trouble = Some(if number == 4 { "damaged" } else { "gone" }.into());
        }
        let reasons = Health::of(&facts).reasons;
        assert_eq!(reasons[1..3], ["asd-1, asd-6 missing (gone)", "asd-4 missing (damaged)"]);
    }
}
