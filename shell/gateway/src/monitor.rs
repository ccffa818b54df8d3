//! What can be seen of a gateway from other threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A view of a gateway at work, for status and metrics. Numbers are those of its last turn.
#[derive(Clone, Debug, Default)]
pub struct Monitor(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    connections: AtomicU64,
    memory: AtomicU64,
    memory_highest: AtomicU64,
    refused: AtomicU64,
}

impl Monitor {
    /// Clients that are connected.
    pub fn connections(&self) -> u64 {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Bytes that permits are taken for.
    pub fn memory(&self) -> u64 {
        self.0.memory.load(Ordering::Relaxed)
    }

    /// The most bytes that permits were ever taken for, at the end of a turn.
    pub fn memory_highest(&self) -> u64 {
        self.0.memory_highest.load(Ordering::Relaxed)
    }

    /// Connections that were closed because there were too many, or because they held up others.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, connections: usize, memory: u64) {
        self.0.connections.store(connections as u64, Ordering::Relaxed);
        self.0.memory.store(memory, Ordering::Relaxed);
        self.0.memory_highest.fetch_max(memory, Ordering::Relaxed);
    }

    pub(crate) fn note_refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }
}
