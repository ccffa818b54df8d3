//! Threads that compute: erasure coding and its checks, off every event loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Sender;
use formats::work::{Done, Work};
use step::JobId;

use crate::mailbox::{Address, Input};
use crate::shard::{Life, Seat};

/// Does work; told by who builds the runtime.
pub(crate) type Perform = Arc<dyn Fn(Work) -> Done + Send + Sync>;

/// Takes work. The queue needs no bound of its own: work is a part of uploads, reads and repairs, whose
/// number each role bounds, and its bytes are in memory already.
#[derive(Clone)]
pub(crate) struct Compute {
    queue: Sender<Task>,
}

struct Task {
    seat: Seat,
    life: Life,
    job: JobId,
    work: Work,
    answer: Address,
}

impl Compute {
    /// Starts the threads. They end when the last `Compute` is dropped.
    pub(crate) fn start(threads: usize, perform: Perform) -> std::io::Result<Self> {
        assert!(threads > 0, "somebody must compute");
        let (queue, waiting) = crossbeam_channel::unbounded::<Task>();
        for number in 0..threads {
            let (waiting, perform) = (waiting.clone(), Arc::clone(&perform));
            let body = move || waiting.iter().for_each(|task| carry_out(&perform, task));
            thread::Builder::new().name(format!("compute-{number}")).spawn(body)?;
        }
        Ok(Compute { queue })
    }

    /// Queues work; it ends in the mailbox at `answer`.
    pub(crate) fn submit(&self, seat: Seat, life: Life, job: JobId, work: Work, answer: &Address) {
        let task = Task { seat, life, job, work, answer: answer.clone() };
        self.queue.send(task).expect("the threads live as long as the queue");
    }
}

fn carry_out(perform: &Perform, task: Task) {
    let Task { seat, life, job, work, answer } = task;
    // A panic is a mistake of ours in one piece of work. The role hears of it like of any that makes no
    // sense, instead of waiting for ever; the panic hook has said where it was.
    let done = catch_unwind(AssertUnwindSafe(|| perform(work))).unwrap_or(Done::Impossible);
    answer.post(Input::Worked { seat, life, job, done });
}
