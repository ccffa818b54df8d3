//! How anything outside a shard reaches it: a queue, and a bell that is rung only while the shard sleeps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam_channel::{Receiver, Sender};
use formats::Message;
use formats::work::Done;
use glossary::NodeId;
use rustix::event::{EventfdFlags, eventfd};
use step::JobId;

use crate::disk::Finished;
use crate::hub::Place;
use crate::relay::Relay;
use crate::shard::{Life, Seat};

/// What reaches a shard from outside.
///
/// The queue has no bound of its own. Messages belong to requests that hold permits at their gateway, or to
/// a role's own bounded number of requests in flight; ends of disk operations and work were asked for.
#[derive(Debug)]
pub(crate) enum Input {
    Message {
        from: NodeId,
        to: NodeId,
        message: Message,
    },
    Disk(Finished),
    Worked {
        seat: Seat,
        life: Life,
        job: JobId,
        done: Done,
    },
    /// Where a node is found from now on; `None`: nowhere.
    Route {
        node: NodeId,
        place: Option<Place>,
    },
    /// Who speaks for nodes that aren't here.
    Relay(Relay),
    /// A command waits beside this queue. It comes through the queue for its place in the order.
    Command,
}

/// The outer side of a shard's mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    queue: Sender<Input>,
    bell: Arc<Bell>,
}

/// The shard's side.
#[derive(Debug)]
pub(crate) struct Mailbox {
    queue: Receiver<Input>,
    bell: Arc<Bell>,
}

/// Wakes a sleeper through an event descriptor, at the price of a memory fence when nobody sleeps.
#[derive(Debug)]
struct Bell {
    sleeping: AtomicBool,
    event: OwnedFd,
}

/// A mailbox and its address.
pub(crate) fn mailbox() -> rustix::io::Result<(Address, Mailbox)> {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let bell = Arc::new(Bell { sleeping: AtomicBool::new(false), event });
    let (sender, receiver) = crossbeam_channel::unbounded();
    let address = Address { queue: sender, bell: Arc::clone(&bell) };
    Ok((address, Mailbox { queue: receiver, bell }))
}

impl Address {
    /// Posts, and wakes the shard if it sleeps. Something for a shard that has ended is lost.
    pub(crate) fn post(&self, input: Input) {
        self.put(input);
        self.ring();
    }

    /// Posts without waking: [`Address::ring`] must follow, once for any number.
    pub(crate) fn put(&self, input: Input) {
        let _ = self.queue.send(input);
    }

    /// Wakes the shard if it sleeps.
    pub(crate) fn ring(&self) {
        // With its counterpart in `prepare_to_sleep`: either the sleeper sees what was put before this fence,
        // or we see that it is about to sleep.
        fence(Ordering::SeqCst);
        if self.bell.sleeping.load(Ordering::Relaxed) && self.bell.sleeping.swap(false, Ordering::AcqRel) {
            // Only a full counter could refuse, and a full counter wakes as well. Any number but 0 does.
            let _ = rustix::io::write(&self.bell.event, &1_u64.to_le_bytes());
        }
    }
}

impl Mailbox {
    /// The next input.
    pub(crate) fn take(&self) -> Option<Input> {
        self.queue.try_recv().ok()
    }

    /// Whether the shard may sleep: whoever posts from now on wakes it. `false`: something is there already.
    pub(crate) fn prepare_to_sleep(&self) -> bool {
        self.bell.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let is_empty = self.queue.is_empty();
        if !is_empty {
            self.awake();
        }
        is_empty
    }

    /// The shard is awake: nobody needs to ring.
    pub(crate) fn awake(&self) {
        self.bell.sleeping.store(false, Ordering::Release);
    }

    /// The bell rang: makes it silent.
    pub(crate) fn silence(&self) {
        let _ = rustix::io::read(&self.bell.event, &mut [0; 8]);
    }

    /// Readable when the bell rang.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rang(mailbox: &Mailbox) -> bool {
        rustix::io::read(&mailbox.bell.event, &mut [0; 8]).is_ok()
    }

    #[test]
    fn the_bell_rings_once_and_for_a_sleeper_only() {
        let (address, mailbox) = mailbox().unwrap();
        address.post(Input::Command);
        assert!(!rang(&mailbox), "nobody slept");
        assert!(!mailbox.prepare_to_sleep(), "something waits");
        assert!(mailbox.take().is_some() && mailbox.take().is_none());
        assert!(mailbox.prepare_to_sleep());
        address.put(Input::Command);
        address.put(Input::Command);
        assert!(!rang(&mailbox));
        address.ring();
        assert!(rang(&mailbox));
        address.ring();
        assert!(!rang(&mailbox), "it was woken already");
    }
}
