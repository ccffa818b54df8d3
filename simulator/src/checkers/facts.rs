//! What a history says, worked out for the checkers: who changed what, who saw what, what was stable when,
//! and when something may have been lost.

use crate::Moment;
use crate::disk::SECTOR_BYTES;
use crate::workload::pattern::{self, Value};
use crate::workload::{History, Outcome, Request};

use super::cells::Cells;

/// What a read saw in a cell. Operations go by their numbers here, not by their signatures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// The read.
    pub(crate) read: u64,
    pub(crate) value: Value,
    pub(crate) sent: Moment,
    pub(crate) ended: Moment,
}

/// A moment after which changes may be missing that were not stable: the volume driver's machine had lost
/// its power, and the Edge that remembers what is not stable (E1) died too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// When both had happened.
    pub(crate) at: Moment,
    /// The lives of the Edge that died, each with the power loss.
    pub(crate) of: Vec<(usize, Moment)>,
}

pub(crate) struct Facts<'a> {
    pub(crate) history: &'a History,
    pub(crate) cells: Cells,
    /// For each cell, the changes that cover it.
    pub(crate) changes: Vec<Vec<u64>>,
    /// For each cell, what was seen there.
    pub(crate) sights: Vec<Vec<Sight>>,
    /// For each operation, when it had taken effect.
    effective: Vec<Moment>,
    /// For each operation, when it was stable.
    stable: Vec<Moment>,
    pub(crate) losses: Vec<Loss>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        let cells = Cells::new(history.size, &history.operations);
        let numbers = 1..=history.operations.len() as u64;
        let effective: Vec<_> = numbers.clone().map(|number| history.effective_by(number)).collect();
        let stable = stable(history, &effective);
        let mut facts = Facts {
            history,
            changes: vec![Vec::new(); cells.count()],
            sights: vec![Vec::new(); cells.count()],
            cells,
            effective,
            stable,
            losses: Vec::new(),
        };
        facts.losses = facts.find_losses();
        for number in numbers {
            let request = facts.request(number);
            if request.is_change() {
                facts.cells.within(&request.range()).for_each(|cell| facts.changes[cell].push(number));
            }
        }
        facts.look();
        facts
    }

    pub(crate) fn request(&self, number: u64) -> Request {
        self.history.operations[number as usize - 1].request
    }

    pub(crate) fn sent(&self, number: u64) -> Moment {
        self.history.operations[number as usize - 1].sent
    }

    pub(crate) fn is_acknowledged(&self, number: u64) -> bool {
        self.history.operations[number as usize - 1].is_acknowledged()
    }

    pub(crate) fn is_write(&self, number: u64) -> bool {
        matches!(self.request(number), Request::Write { .. })
    }

    pub(crate) fn effective(&self, number: u64) -> Moment {
        self.effective[number as usize - 1]
    }

    pub(crate) fn stable(&self, number: u64) -> Moment {
        self.stable[number as usize - 1]
    }

    /// When the life of the Edge ended in which an operation was asked for.
    pub(crate) fn edge_died(&self, number: u64) -> Moment {
        let life = self.history.operations[number as usize - 1].life;
        self.history.edge_deaths.get(life).copied().unwrap_or(Moment::NEVER)
    }

    /// When an operation was answered with an error.
    pub(crate) fn failed(&self, number: u64) -> Moment {
        let operation = &self.history.operations[number as usize - 1];
        if matches!(operation.outcome, Outcome::Failed(_)) { operation.ended } else { Moment::NEVER }
    }

    /// Whether a change may be missing after a loss.
    pub(crate) fn may_be_lost(&self, number: u64, loss: &Loss) -> bool {
        loss.of.iter().any(|&(life, power)| self.is_exposed(number, life, power))
    }

    /// An operation in words.
    pub(crate) fn tell(&self, number: u64) -> String {
        let operation = &self.history.operations[number as usize - 1];
        let ended = match &operation.outcome {
            Outcome::Pending => "no answer".into(),
            Outcome::InDoubt => "in doubt".into(),
            Outcome::Failed(error) => format!("failed at {}: {error:?}", operation.ended),
            _ => format!("answered {}", operation.ended),
        };
        let stable = self.stable(number);
        let stable = if operation.request.is_change() && stable < Moment::NEVER {
            format!(", stable {stable}")
        } else {
            String::new()
        };
        format!("#{number} {:?} (sent {}, {ended}{stable})", operation.request, operation.sent)
    }

    /// Whether a change of a life of the Edge was unprotected from a power loss on until that life ended.
    fn is_exposed(&self, number: u64, life: usize, power: Moment) -> bool {
        let operation = &self.history.operations[number as usize - 1];
        let Some(&death) = self.history.edge_deaths.get(life) else { return false };
        if operation.life != life || !operation.request.is_change() || operation.sent >= power {
            return false;
        }
        // What came through an earlier power loss, when nobody was left to send it again, is on the disk.
        let before = self.history.power_losses.iter().copied().filter(|&earlier| earlier < power).max();
        let was_recovered = before.is_some_and(|before| self.effective(number) < before && death < before);
        self.stable(number) > power.max(death) && !was_recovered
    }

    fn find_losses(&self) -> Vec<Loss> {
        let mut losses: Vec<Loss> = Vec::new();
        for (life, &death) in self.history.edge_deaths.iter().enumerate() {
            for &power in &self.history.power_losses {
                let mut numbers = 1..=self.history.operations.len() as u64;
                if !numbers.any(|number| self.is_exposed(number, life, power)) {
                    continue;
                }
                let at = power.max(death);
                match losses.iter_mut().find(|loss| loss.at == at) {
                    Some(loss) => loss.of.push((life, power)),
                    None => losses.push(Loss { at, of: vec![(life, power)] }),
                }
            }
        }
        losses.sort_by_key(|loss| loss.at);
        losses
    }

    /// Fills in what reads saw.
    fn look(&mut self) {
        for (index, operation) in self.history.operations.iter().enumerate() {
            let start = operation.request.range().start;
            let mut see = |cell: usize, value: Value| {
                let (sent, ended) = (operation.sent, operation.ended);
                self.sights[cell].push(Sight { read: index as u64 + 1, value, sent, ended });
            };
            match &operation.outcome {
                Outcome::Data(data) => {
                    for cell in self.cells.within(&operation.request.range()) {
                        let bytes = self.cells.bytes(cell);
                        let found = &data[(bytes.start - start) as usize..(bytes.end - start) as usize];
                        if let Some(value) = value(self.history, &self.changes[cell], bytes.start, found) {
                            see(cell, value);
                        }
                    }
                }
                Outcome::Extents(runs) => {
                    let mut at = start;
                    for &(length, holds_data) in runs {
                        if !holds_data {
                            self.cells.within(&(at..at + length)).for_each(|cell| see(cell, Value::Zeros));
                        }
                        at += length;
                    }
                }
                _ => {}
            }
        }
    }
}

/// What bytes are, when that can be told: a few bytes may look like those of several writes.
fn value(history: &History, changes: &[u64], at: u64, found: &[u8]) -> Option<Value> {
    if found.len() == SECTOR_BYTES {
        return Some(match pattern::read_sector(at / SECTOR_BYTES as u64, found) {
            Value::Of(signature) => {
                let writer = history.signed(signature).filter(|number| changes.contains(number));
                writer.map_or(Value::Nobody, Value::Of)
            }
            other => other,
        });
    }
    let is_write =
        |number: &u64| matches!(history.operations[*number as usize - 1].request, Request::Write { .. });
    let mut fitting = changes
        .iter()
        .copied()
        .filter(|number| is_write(number) && pattern::is_of(history.signature(*number), at, found));
    let is_zeros = found.iter().all(|&byte| byte == 0);
    match (fitting.next(), fitting.next()) {
        (None, _) => Some(if is_zeros { Value::Zeros } else { Value::Nobody }),
        (Some(writer), None) if !is_zeros => Some(Value::Of(writer)),
        _ => None,
    }
}

/// When each change was stable: with its own answer, or with the first flush asked for after it.
fn stable(history: &History, effective: &[Moment]) -> Vec<Moment> {
    let is_flush = |request| request == Request::Flush;
    let flushes = history.operations.iter().filter(|o| is_flush(o.request) && o.is_acknowledged());
    let mut flushes: Vec<(Moment, Moment)> = flushes.map(|flush| (flush.sent, flush.ended)).collect();
    flushes.sort_unstable();
    // The earliest end among a flush and those sent after it.
    for index in (1..flushes.len()).rev() {
        flushes[index - 1].1 = flushes[index - 1].1.min(flushes[index].1);
    }
    let changes = history.operations.iter().zip(effective);
    changes
        .map(|(operation, &effective)| {
            let by_itself = operation.request.is_fua() && operation.is_acknowledged();
            let first = flushes.partition_point(|&(sent, _)| sent < effective);
            let by_flush = flushes.get(first).map_or(Moment::NEVER, |&(_, ended)| ended);
            if by_itself { operation.ended.min(by_flush) } else { by_flush }
        })
        .collect()
}
