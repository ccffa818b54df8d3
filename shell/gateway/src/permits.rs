//! Permits for memory: taken before anything large comes into being (P9).

use std::collections::VecDeque;

use glossary::CLUSTER_BYTES;
use io::SocketId;
use nbd::Command;

/// What a request costs beside its data: its place in tables and queues, the head of its answer.
pub(crate) const ANSWER_COST: u64 = 1024;

/// What a list of extents costs: a volume driver sends 1,024 at most.
const EXTENTS_COST: u64 = 32 << 10;

/// What a piece of zeros costs: its checksums and the list of its pieces.
const ZEROES_COST: u64 = 16 << 10;

/// What a write of `length` bytes costs while it is under way. It keeps the buffers alive that it came in, and
/// with them what stood between it and the write before (`gap`), up to as much as it is long itself: a payload
/// shorter than that is copied out. A buffer is left when three quarters of it are filled.
pub(crate) fn cost_of_write(length: u32, gap: u64) -> u64 {
    let length = u64::from(length);
    (length + gap.min(length)).div_ceil(3) * 4 + ANSWER_COST
}

/// What a read of `length` bytes costs until it is sent: whole clusters.
pub(crate) fn cost_of_read(length: u32) -> u64 {
    u64::from(length) + 2 * CLUSTER_BYTES + ANSWER_COST
}

/// What a command without a payload of its own costs until it is answered. What takes next to nothing needs no
/// permit: so that guests can flush and discard while memory is short.
pub(crate) fn cost_of(command: &Command) -> u64 {
    match command {
        Command::Read { length, .. } => cost_of_read(*length),
        Command::BlockStatus { .. } => EXTENTS_COST,
        Command::WriteZeroes { no_hole: true, .. } => ZEROES_COST,
        Command::WriteZeroes { .. } | Command::Trim { .. } | Command::Flush | Command::Write { .. } => 0,
    }
}

/// Bytes that may be taken, and who waits for some. Whoever comes while others wait, waits behind them: so
/// every connection gets its turn, one request at a time, and a large request isn't overtaken for ever.
#[derive(Debug)]
pub(crate) struct Permits {
    max: u64,
    used: u64,
    queue: VecDeque<(SocketId, u64)>,
    /// Those who first have to take the answers that they hold memory with: nobody waits behind them.
    parked: Vec<(SocketId, u64)>,
}

impl Permits {
    pub(crate) fn new(max: u64) -> Self {
        Permits { max, used: 0, queue: VecDeque::new(), parked: Vec::new() }
    }

    /// Takes `cost` bytes for a connection, or lets it wait; then [`Permits::next`] will name it.
    pub(crate) fn take(&mut self, who: SocketId, cost: u64) -> bool {
        assert!(cost <= self.max, "a request that costs more than there is would wait for ever");
        let granted = self.queue.is_empty() && self.used + cost <= self.max;
        if granted {
            self.used += cost;
        } else {
            self.queue.push_back((who, cost));
        }
        granted
    }

    /// Gives bytes back.
    pub(crate) fn release(&mut self, cost: u64) {
        self.used = self.used.checked_sub(cost).expect("what is released was taken");
    }

    /// The connection that waits longest, if what it waits for is free now; it is taken for it.
    pub(crate) fn next(&mut self) -> Option<SocketId> {
        let (who, cost) = self.queue.pop_front_if(|(_, cost)| self.used + *cost <= self.max)?;
        self.used += cost;
        Some(who)
    }

    /// A connection that waits doesn't take its answers: it lets others pass until [`Permits::unpark`].
    pub(crate) fn park(&mut self, who: SocketId) {
        if let Some(place) = self.queue.iter().position(|(waiting, _)| *waiting == who) {
            self.parked.extend(self.queue.remove(place));
        }
    }

    /// It took them, and waits again, behind the others.
    pub(crate) fn unpark(&mut self, who: SocketId) {
        self.queue.extend(self.parked.extract_if(.., |(waiting, _)| *waiting == who));
    }

    /// A connection is gone: it waits no more.
    pub(crate) fn forget(&mut self, who: SocketId) {
        self.queue.retain(|(waiting, _)| *waiting != who);
        self.parked.retain(|(waiting, _)| *waiting != who);
    }

    pub(crate) fn someone_waits(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_overtaken() {
        let mut permits = Permits::new(100);
        assert!(permits.take(SocketId(1), 60));
        assert!(!permits.take(SocketId(2), 50));
        assert!(!permits.take(SocketId(1), 10), "it would fit, but somebody waits");
        assert!(!permits.take(SocketId(3), 10));
        assert_eq!(permits.next(), None);
        permits.forget(SocketId(3));
        permits.release(60);
        assert_eq!(
            [permits.next(), permits.next(), permits.next()],
            [Some(SocketId(2)), Some(SocketId(1)), None]
        );
        assert_eq!(permits.used(), 60);
    }

    #[test]
    fn nobody_waits_behind_one_who_does_not_take_his_answers() {
        let mut permits = Permits::new(100);
        assert!(permits.take(SocketId(1), 60));
        assert!(!permits.take(SocketId(1), 60));
        permits.park(SocketId(1));
        assert!(permits.take(SocketId(2), 40));
        assert!(!permits.take(SocketId(2), 40));
        permits.unpark(SocketId(1));
        permits.release(100);
        assert_eq!([permits.next(), permits.next()], [Some(SocketId(2)), Some(SocketId(1))]);
    }

    #[test]
    fn a_write_pays_for_what_it_keeps_alive() {
        assert_eq!(cost_of_write(3000, 28), 4040 + ANSWER_COST);
        assert_eq!(cost_of_write(3000, u64::MAX), 8000 + ANSWER_COST);
    }
}
