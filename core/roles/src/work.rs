//! Work that executors do off the event loop, for whichever role asked.

use formats::work::{Done, Work};

/// Does a piece of work. Pure: the same work always comes to the same.
pub fn perform(work: Work) -> Done {
    objects::perform(work)
}
