//! The only clock: nanoseconds since the machine started, time in suspend included.

use rustix::time::{ClockId, clock_gettime};
use step::Timestamp;

/// The time now. It counts while the machine is suspended, so a lease doesn't outlive a closed lid.
pub(crate) fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).expect("a machine's uptime is not negative");
    let nanoseconds = u64::try_from(time.tv_nsec).expect("a fraction of a second is not negative");
    Timestamp(seconds * 1_000_000_000 + nanoseconds)
}
