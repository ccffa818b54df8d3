//! What is being done for somebody.

use alloc::boxed::Box;
use alloc::vec::Vec;
use formats::message::object::ObjectAnswer;
use glossary::NodeId;

use crate::collect::Collect;
use crate::delete::Delete;
use crate::get::Get;
use crate::inspect::Inspect;
use crate::join::Join;
use crate::put::Put;
use crate::scan::Scan;
use crate::sweep::Sweep;

/// The most requests that one task answers: an asker that gave up on a number and asked again under others.
const REQUESTS_MAX: usize = 8;

/// A task and who waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) askers: Askers,
    pub(crate) task: Task,
}

/// Who waits for an answer, and under which numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Askers {
    pub(crate) node: NodeId,
    pub(crate) requests: Vec<u64>,
}

impl Askers {
    /// Answers this number too. Gives back one that is answered no more, when there are too many.
    pub(crate) fn add(&mut self, request: u64) -> Option<u64> {
        self.requests.push(request);
        (self.requests.len() > REQUESTS_MAX).then(|| self.requests.remove(0))
    }
}

/// The kinds of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Put(Box<Put>),
    Join(Join),
    Get(Get),
    Delete(Delete),
    Sweep(Sweep),
    Inspect(Inspect),
    Collect(Collect),
    Scan(Scan),
}

/// How a task goes on.
#[derive(Debug)]
pub(crate) enum Next {
    /// It waits for something.
    Wait,
    /// It is over, and this is the answer.
    Answer(ObjectAnswer),
    /// The answer is this, but fragments are still on their way.
    AnswerAndJoin(ObjectAnswer, Join),
    /// It is over, and nobody waits for it.
    End,
}
