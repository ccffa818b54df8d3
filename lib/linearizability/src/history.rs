//! What was asked and answered, in the order in which it was seen.

use alloc::vec::Vec;

use crate::Model;

/// A call of a model.
pub(crate) type CallOf<M> = Call<<M as Model>::Operation, <M as Model>::Answer>;

/// A history of calls. Time is the order of what is told to it.
#[derive(Clone, Debug)]
pub struct History<O, A> {
    calls: Vec<Call<O, A>>,
    moments: u64,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<O, A> {
    /// Who asked.
    pub client: u64,
    /// What.
    pub operation: O,
    /// The moment it was asked.
    pub begin: u64,
    /// The moment it was answered, and how; none where no answer came.
    pub end: Option<(u64, A)>,
}

/// Names a call of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(usize);

impl<O, A> History<O, A> {
    /// Nothing happened yet.
    #[must_use]
    pub fn new() -> History<O, A> {
        History { calls: Vec::new(), moments: 0 }
    }

    /// A client asks. If it never learns what came of it, nothing more is told, and it asks under another number from
    /// then on or goes on under the same: both are fine here.
    pub fn begin(&mut self, client: u64, operation: O) -> CallId {
        let begin = self.moment();
        self.calls.push(Call { client, operation, begin, end: None });
        CallId(self.calls.len() - 1)
    }

    /// The answer comes.
    ///
    /// # Panics
    /// The call had an answer already.
    pub fn end(&mut self, call: CallId, answer: A) {
        let end = self.moment();
        let call = &mut self.calls[call.0];
        assert!(call.end.is_none(), "a call is answered once");
        call.end = Some((end, answer));
    }

    /// All calls, in the order in which they began.
    #[must_use]
    pub fn calls(&self) -> &[Call<O, A>] {
        &self.calls
    }

    fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }
}

impl<O, A> Default for History<O, A> {
    fn default() -> History<O, A> {
        History::new()
    }
}

impl<O: Clone, A: Clone> Call<O, A> {
    /// The call as it was known at a moment: without an answer that came later.
    pub(crate) fn as_of(&self, moment: u64) -> Option<Call<O, A>> {
        (self.begin <= moment)
            .then(|| Call { end: self.end.clone().filter(|(end, _)| *end <= moment), ..self.clone() })
    }
}
