//! Permits of answers that are on their way out.

use std::collections::VecDeque;

use io::Connection;

/// Which part of a connection's output stream each permit is for: it is given back when that part was sent.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Bytes ever queued.
    queued: u64,
    /// Bytes of them that were sent when it was last looked at.
    sent: u64,
    /// Where in the stream an answer ends, and what its permit is for.
    permits: VecDeque<(u64, u64)>,
}

impl Outgoing {
    /// Queues what `answer` appends to the connection's output; its permit is given back when it was sent.
    pub(crate) fn queue(
        &mut self,
        connection: &mut Connection,
        cost: u64,
        answer: impl FnOnce(&mut Connection),
    ) {
        let before = connection.unsent();
        answer(connection);
        self.queued += (connection.unsent() - before) as u64;
        if cost > 0 {
            self.permits.push_back((self.queued, cost));
        }
    }

    /// Looks what was sent: whether anything was since the last look, and the bytes of permits to be given back.
    pub(crate) fn sent(&mut self, connection: &Connection) -> (bool, u64) {
        let sent = self.queued - connection.unsent() as u64;
        let moved = std::mem::replace(&mut self.sent, sent) < sent;
        let mut released = 0;
        while let Some((_, cost)) = self.permits.pop_front_if(|(end, _)| *end <= sent) {
            released += cost;
        }
        (moved, released)
    }

    /// The connection is gone: all that was held for it.
    pub(crate) fn abandon(&mut self) -> u64 {
        self.permits.drain(..).map(|(_, cost)| cost).sum()
    }
}
