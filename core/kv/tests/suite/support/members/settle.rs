//! What holds of all members: while they run, and once everything is answered.

use super::{Members, Server, Violation};
use glossary::GroupId;
use std::collections::BTreeSet;

impl Members {
    /// Runs without faults until everything is answered and all members are where the leader is, then compares.
    pub(crate) fn settle(&mut self) -> Result<(), Violation> {
        self.cut.clear();
        self.hung.clear();
        self.crash_soon = None;
        self.make_room();
        for index in 0..self.servers.len() {
            if self.servers[index].kv.is_none() {
                self.start(index);
            }
        }
        let mut is_counted = false;
        for _ in 0..4_000 {
            while !self.network.is_empty() || self.servers.iter().any(|server| !server.operations.is_empty())
            {
                self.deliver()?;
                (0..self.servers.len()).try_for_each(|index| self.complete(index))?;
            }
            if self.books.keys().all(|group| self.are_level(*group))
                && self.askers.iter().all(|asker| asker.awaited.is_empty())
            {
                if is_counted {
                    return self.compare();
                }
                // A group that nobody leads has not applied what it will.
                (0..self.askers.len()).for_each(|index| self.count_as(index));
                is_counted = true;
            }
            self.tick()?;
        }
        Err("something is never answered, or a member never catches up".to_string())
    }

    /// Whether all members of a group have applied as much.
    pub(super) fn are_level(&self, group: GroupId) -> bool {
        let applied = |server: &Server| Some(server.kv.as_ref()?.pairs_of(group)?.0);
        let applied: BTreeSet<_> = self.servers.iter().map(applied).collect();
        applied.len() == 1 && !applied.contains(&None)
    }

    /// Everything is answered: every member lists what was issued, once, where it was answered to be.
    pub(super) fn compare(&mut self) -> Result<(), Violation> {
        for index in 0..self.servers.len() {
            let kv = self.servers[index].kv.as_ref().ok_or("it does not serve")?;
            for (group, book) in &self.books {
                let (_, pairs) = kv.pairs_of(*group).ok_or("it does not host a group")?;
                book.compare(pairs)?;
            }
            self.installed += self.counter(index, "installed")?;
            if self.counter(index, "differed")? > 0 {
                return Err("a member finds that others differ".to_string());
            }
        }
        Ok(())
    }

    /// Members that applied as much have the same.
    pub(super) fn look_at(&mut self, index: usize) -> Result<(), Violation> {
        let Some(kv) = &self.servers[index].kv else { return Ok(()) };
        for (group, book) in &mut self.books {
            if let Some((applied, pairs)) = kv.pairs_of(*group)
                && !book.is_same(applied, pairs)
                && !self.is_blind
            {
                return Err(format!("members of group {group} differ at entry {applied}"));
            }
        }
        Ok(())
    }
}
