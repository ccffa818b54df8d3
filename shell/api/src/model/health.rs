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
