//! What the files of an earlier life come to: which snapshot is whole, what of the log is kept, and the state
//! that they give. Pure; the machine reads the files.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;
use consensus::{Member, Recovered, SnapshotMark};
use formats::journal::{HeaderError, Headless, Judgement, Kind, Mark, judge, scan};
use formats::kv_store::{SnapshotPart, decode_commands, decode_part};
use glossary::GroupId;
use step::{Bug, Function};

use crate::disk::{log_name, snapshot_name};
use crate::fold::Fold;
use crate::log_files::{LogFile, NO_GROUP, has_lost_its_begin, records, torn_batch};
use crate::refusals::{ADVICE, HEALABLE, Refusal, unfit, unusable};
use crate::state::State;

/// A snapshot that is whole: what it stands for; none in version 1.
pub(crate) type Whole = Option<SnapshotMark>;

/// Reads a snapshot into a fresh state. `None` when it is not whole: it was being written, or is damaged; then
/// the state is worthless. Its log tells which.
pub(crate) fn restore<F: Function>(
    bytes: &Bytes,
    owner: &[u8; 16],
    sequence: u64,
    state: &mut State<F>,
) -> Result<Option<Whole>, Refusal> {
    let file = snapshot_name(sequence);
    let scan = match scan(bytes, Kind::KV_SNAPSHOT, owner, sequence) {
        Ok(scan) => scan,
        Err(Headless { error: HeaderError::Damaged, .. }) => return Ok(None),
        Err(Headless { error, .. }) => return Err(unusable(file, error)),
    };
    let (mut pairs, mut mark) = (0, None);
    for batch in &scan.batches {
        let Some(part) = decode_part(&batch.body) else {
            return Err(format!("{file} is whole at {} but makes no sense; {ADVICE}", batch.position));
        };
        match part {
            SnapshotPart::Mark(stands_for) => mark = Some(stands_for),
            SnapshotPart::Sessions(records) => {
                records.into_iter().for_each(|(number, record)| state.sessions.restore(number, record));
            }
            SnapshotPart::Forgotten(numbers) => state.sessions.restore_forgotten(numbers),
            SnapshotPart::Pairs(page) => {
                pairs += page.len() as u64;
                page.into_iter().for_each(|(key, value)| state.map.restore(key, value));
            }
            SnapshotPart::End { index, sessions, pairs: all } => {
                state.restore_index(index);
                let is_marked = mark.is_some() || scan.header.kind.version == NO_GROUP;
                let is_whole = is_marked && pairs == all && state.map.len() == all;
                return Ok((is_whole && state.sessions.len() == sessions).then_some(mark));
            }
        }
    }
    Ok(None)
}

/// Where a log begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beginning {
    /// The first file, where a checkpoint or snapshot says which.
    pub(crate) first: Option<u64>,
    /// By group.
    pub(crate) stands: BTreeMap<GroupId, Stands>,
}

/// What states of a group stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stands {
    /// That which the log goes on from.
    pub(crate) mark: Whole,
    /// That which another member gave.
    pub(crate) arrived: Whole,
}

impl Beginning {
    /// With a snapshot of the root group.
    pub(crate) fn upon(first: u64, mark: Whole) -> Self {
        let stands = [(GroupId::ROOT, Stands { mark, arrived: None })].into();
        Beginning { first: Some(first), stands }
    }

    /// Whether the root group's state stands for something.
    pub(crate) fn has_mark(&self) -> bool {
        self.stands.get(&GroupId::ROOT).is_some_and(|stands| stands.mark.is_some())
    }
}

/// What the logs come to.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// Where the log ends.
    pub(crate) judgement: Judgement,
    /// By group, of which anything was written.
    pub(crate) groups: BTreeMap<GroupId, Folded>,
}

/// What the log says of a group.
#[derive(Debug)]
pub(crate) struct Folded {
    /// What the member of the group begins with.
    pub(crate) recovered: Recovered,
    /// The state that another member gave is the one that the log goes on from.
    pub(crate) has_arrived: bool,
    /// The log goes on from a state that is not there.
    pub(crate) lacks: Option<SnapshotMark>,
}

/// Judges the logs from where the states leave off, for member `me` of all groups. What version 1 wrote is applied to the
/// state.
pub(crate) fn replay<F: Function>(
    logs: &[LogFile],
    beginning: Beginning,
    (bug, me): (Option<Bug>, Member),
    state: &mut State<F>,
) -> Result<Replayed, Refusal> {
    let scans: Vec<_> = logs.iter().map(|log| (log.sequence, log.scan.clone())).collect();
    let judgement = judge(&scans, beginning.first, Mark::default());
    if bug != Some(Bug::DamageTakenForTail) {
        refuse_damage(logs, beginning.first, &judgement)?;
    }
    let begin = |(group, stands): (GroupId, Stands)| (group, Fold::new(stands.mark, stands.arrived));
    let mut folds: BTreeMap<_, _> = beginning.stands.into_iter().map(begin).collect();
    folds.entry(GroupId::ROOT).or_default().has_old_state = state.index > 0;
    for (kept, log) in judgement.kept.iter().zip(logs) {
        let scan = log.scan.as_ref().expect("what is kept was read");
        for batch in &scan.batches[..kept.batches] {
            take_batch(&batch.body, scan.header.kind.version, state, &mut folds)
                .ok_or_else(|| unfit(&format!("{} at {}", log_name(log.sequence), batch.position)))?;
        }
    }
    if bug == Some(Bug::TornTailAccepted) {
        let torn = logs.last().and_then(torn_batch);
        let _ = torn.and_then(|(body, version)| take_batch(body, version, state, &mut folds));
    }
    let folded = |(group, fold): (GroupId, Fold)| {
        let (has_arrived, lacks) = (fold.has_arrived(), fold.lacks().cloned());
        Some((group, Folded { recovered: fold.finish(me)?, has_arrived, lacks }))
    };
    Ok(Replayed { judgement, groups: folds.into_iter().filter_map(folded).collect() })
}

fn take_batch<F: Function>(
    body: &[u8],
    version: u16,
    state: &mut State<F>,
    folds: &mut BTreeMap<GroupId, Fold>,
) -> Option<()> {
    if version == NO_GROUP {
        apply_batch(body, state)?;
        folds.entry(GroupId::ROOT).or_default().has_old_state = state.index > 0;
        return Some(());
    }
    let mut take = |(group, record)| folds.entry(group).or_default().record(record);
    records(body, version)?.into_iter().try_for_each(&mut take)
}

fn refuse_damage(logs: &[LogFile], snapshot: Option<u64>, judgement: &Judgement) -> Result<(), Refusal> {
    if let Some(damage) = judgement.damage {
        return Err(format!(
            "the KV's log is damaged at {}, position {}, though it was synced up to {}, position {}; {HEALABLE}",
            log_name(damage.at.sequence),
            damage.at.position,
            log_name(damage.synced.sequence),
            damage.synced.position,
        ));
    }
    let whole = logs.iter().filter(|log| log.scan.is_ok()).count();
    if judgement.kept.len() != whole {
        return Err(format!("the KV's log files don't follow one another; {ADVICE}"));
    }
    if snapshot.is_none() && has_lost_its_begin(logs) {
        return Err(format!(
            "the KV's log begins in its middle and no state is whole that it goes on from; {ADVICE}"
        ));
    }
    Ok(())
}

/// Applies what the state lacks of a batch of version 1; `None` when the batch doesn't continue it.
fn apply_batch<F: Function>(body: &[u8], state: &mut State<F>) -> Option<()> {
    let (first_index, commands) = decode_commands(body)?;
    if !commands.is_empty() && (first_index == 0 || first_index > state.index + 1) {
        return None;
    }
    for (command, index) in commands.iter().zip(first_index..) {
        if index > state.index {
            state.apply(command);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_files::read_log;
    use crate::no_function::NoFunction;
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use formats::journal::{FileHeader, PAGE, Predecessor, Writer};
    use formats::kv_store::encode_part;

    const OWNER: [u8; 16] = [4; 16];

    fn file(
        kind: Kind,
        sequence: u64,
        predecessor: Option<Predecessor>,
        bodies: &[Vec<u8>],
    ) -> (Bytes, Writer) {
        let header = FileHeader { kind, owner: OWNER, sequence, predecessor, label: Vec::new() };
        let (mut writer, page) = Writer::begin(&header);
        let mut bytes = page.to_vec();
        for body in bodies {
            let pieces = writer.batch(Mark::default(), vec![Bytes::copy_from_slice(body)]);
            pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
        }
        (bytes.into(), writer)
    }

    fn restored(parts: &[SnapshotPart]) -> Result<bool, Refusal> {
        let parts = [&[SnapshotPart::Mark(SnapshotMark::default())], parts].concat();
        let parts: Vec<_> = parts.iter().map(encode_part).collect();
        let (bytes, _) = file(Kind::KV_SNAPSHOT, 2, None, &parts);
        restore(&bytes, &OWNER, 2, &mut State::<NoFunction>::new(BTreeMap::new()))
            .map(|whole| whole.is_some())
    }

    #[test]
    fn a_snapshot_is_whole_when_its_end_says_what_is_there() {
        let pairs = SnapshotPart::Pairs(vec![(vec![1], vec![]), (vec![2], vec![])]);
        let end = |pairs| SnapshotPart::End { index: 9, sessions: 0, pairs };
        assert_eq!(restored(&[pairs.clone(), end(2)]), Ok(true));
        assert_eq!(restored(&[pairs.clone(), end(3)]), Ok(false));
        assert_eq!(restored(core::slice::from_ref(&pairs)), Ok(false));
        let more = SnapshotPart::End { index: 9, sessions: 1, pairs: 2 };
        assert_eq!(restored(&[pairs, more]), Ok(false));
    }

    fn replayed(files: &[(u64, Bytes)], first: Option<u64>) -> Result<Judgement, Refusal> {
        let read = |(sequence, bytes): &(u64, Bytes)| read_log(bytes.clone(), &OWNER, *sequence);
        let logs = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let (beginning, mut state) =
            (Beginning { first, ..Beginning::default() }, State::<NoFunction>::new(BTreeMap::new()));
        replay(&logs, beginning, (None, Member(1)), &mut state).map(|replayed| replayed.judgement)
    }

    #[test]
    fn logs_that_do_not_follow_one_another_are_refused() {
        let (first, writer) = file(Kind::KV_LOG, 1, None, &[]);
        let end = writer.as_predecessor();
        let (second, _) = file(Kind::KV_LOG, 2, Some(end), &[]);
        let (stray, _) = file(Kind::KV_LOG, 2, Some(Predecessor { check: !end.check, ..end }), &[]);
        let (first, second, stray) = ((1, first), (2, second), (2, stray));
        assert!(replayed(&[first.clone(), second.clone()], None).is_ok());
        assert!(replayed(&[first, stray], None).is_err_and(|why| why.contains("don't follow")));
        assert!(replayed(core::slice::from_ref(&second), None).is_err_and(|why| why.contains("middle")));
        assert!(replayed(&[second], Some(2)).is_ok());
    }

    #[test]
    fn a_damaged_header_is_a_torn_creation_only_while_nothing_is_behind_it() {
        let (bytes, _) = file(Kind::KV_LOG, 1, None, &[Vec::new()]);
        let mut torn = bytes.to_vec();
        torn[40] ^= 1;
        let alone = Bytes::from(torn[..PAGE as usize].to_vec());
        assert!(replayed(&[(1, alone)], None).is_ok_and(|judgement| judgement.kept.is_empty()));
        assert!(replayed(&[(1, torn.into())], None).is_err_and(|why| why.contains("header")));
    }

    #[test]
    fn a_batch_of_version_1_that_leaves_a_gap_is_refused() {
        let command = formats::kv_store::LoggedCommand {
            session: 1,
            sequence: 1,
            answered_below: 1,
            command: formats::message::kv::KvCommand::Sequence(Vec::new()),
        };
        for (index, fits) in [(1, true), (2, false), (0, false)] {
            let body = formats::kv_store::encode_commands(index, core::iter::once(&command));
            let (bytes, _) = file(Kind { version: NO_GROUP, ..Kind::KV_LOG }, 1, None, &[body]);
            assert_eq!(replayed(&[(1, bytes)], None).is_ok(), fits, "from {index}");
        }
    }
}
