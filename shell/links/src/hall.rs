//! What all connections share.

use std::collections::VecDeque;

use ::io::SocketId;

use crate::audit::Audit;
use crate::budget::Budget;
use crate::settings::Settings;
use crate::trust::Trust;

/// Settings, room, the audit trail, and who was turned away.
pub(crate) struct Hall {
    pub(crate) settings: Settings,
    pub(crate) budget: Budget,
    /// Connections that wait for room, in order.
    pub(crate) waiting: VecDeque<SocketId>,
    pub(crate) audit: Audit,
    /// Whom to believe of those who come from other machines, where any may.
    pub(crate) trust: Option<Trust>,
    pub(crate) stopping: bool,
    /// Strangers that were turned away since that was last logged, and why the last was.
    turned_away: (u64, String),
}

impl Hall {
    pub(crate) fn new(settings: Settings, audit: Audit) -> Self {
        let budget = Budget::new(settings.bounds.requests_bytes_max);
        let turned_away = (0, String::new());
        Hall { settings, budget, waiting: VecDeque::new(), audit, trust: None, stopping: false, turned_away }
    }

    /// A connection waits for room, behind those who do.
    pub(crate) fn wait(&mut self, id: SocketId) {
        if !self.waiting.contains(&id) {
            self.waiting.push_back(id);
        }
    }

    /// Somebody who has not said who he is was turned away. Anybody can cause that as often as he likes, so that it
    /// is counted here and logged once in a while.
    pub(crate) fn note_turned_away(&mut self, why: impl ToString) {
        self.turned_away.0 += 1;
        self.turned_away.1 = why.to_string();
    }

    /// Logs who was turned away since the last time.
    pub(crate) fn log_turned_away(&mut self) {
        let (count, why) = std::mem::take(&mut self.turned_away);
        if count > 0 {
            tracing::warn!(count, "connections were turned away; the last: {why}");
        }
    }
}
