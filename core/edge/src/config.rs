//! Settings of an Edge.

use core::time::Duration;
use glossary::{ByteCount, ClientId, NodeId};
use step::Bug;

/// What an Edge is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who it is to volume drivers, in every life: its gateways are one client of a vDisk (E4).
    pub client: ClientId,
    /// The volume driver.
    pub volume_driver: NodeId,
    /// Bytes of changes that may be remembered until they are stable, over all vDisks (E1, P9). From three
    /// quarters of it on the Edge flushes by itself; at the bound new changes wait. A vDisk of which nothing
    /// is remembered may have one change all the same, so that none is starved by another's outage.
    pub remember_max: ByteCount,
    /// How long to wait for an answer before asking again; doubles up to [`Config::retry_max`].
    pub retry_first: Duration,
    /// The longest wait between two tries.
    pub retry_max: Duration,
    /// How long a session may be silent while answers are due before a new one is opened. Doubles, up to
    /// sixteen times, while nothing but openings is answered: a volume driver without room may be silent for long.
    pub silence: Duration,
    /// A planted bug, in the simulator.
    pub bug: Option<Bug>,
}

impl Config {
    /// Settings as shipped.
    pub fn new(client: ClientId, volume_driver: NodeId) -> Self {
        Config {
            client,
            volume_driver,
            remember_max: ByteCount(128 << 20),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(8),
            silence: Duration::from_secs(10),
            bug: None,
        }
    }

    /// From here on the Edge flushes by itself.
    pub(crate) fn flush_from(&self) -> u64 {
        self.remember_max.0 / 4 * 3
    }
}
