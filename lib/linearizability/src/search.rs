//! The search for an order, for the calls of one key.
//!
//! The calls' beginnings and answers stand in a list in the order of time. From its head up to the first answer stand
//! the beginnings of all calls that could have happened first. One is taken, its beginning and answer leave the list,
//! and the search goes on from the head with the new state. At an answer that is still in the list nothing else can be
//! taken: the call that was taken last is put back, and the one after it is tried. Sets of calls that were seen with
//! the same state are not tried again.
//!
//! Calls without an answer stand beside the list and are tried when nothing else fits: most of them never happened, or
//! made no difference to anybody.
//!
//! Reads are taken as soon as they fit, before anything else. That loses no order: where one is taken later, it can as
//! well be moved forward to where it fits, as nothing between depends on it.

use alloc::vec::Vec;

use crate::done::{Done, Tried};
use crate::history::CallOf;
use crate::{Call, Model};

/// What came of a search.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An order that explains all answers.
    Order,
    /// There is none.
    Nothing,
    /// The effort ended first.
    TooHard,
}

/// Searches an order of calls, which are of one key and sorted by their beginnings.
pub(crate) struct Search<'a, M: Model> {
    model: &'a M,
    calls: &'a [CallOf<M>],
    /// The answered calls.
    list: List,
    /// The others, by their beginnings.
    open: Vec<usize>,
    /// Each call's number among the answered or the others.
    numbers: Vec<usize>,
    answered: Done,
    unanswered: Done,
    tried: Tried<M::State>,
    state: M::State,
    /// Calls that were taken, each with the state before it; none for a read, instead of which nothing else is tried.
    taken: Vec<(usize, Option<M::State>)>,
    /// Answered calls that were not taken yet.
    left: usize,
}

impl<'a, M: Model> Search<'a, M> {
    pub(crate) fn new(model: &'a M, calls: &'a [CallOf<M>], state: M::State) -> Search<'a, M> {
        let (mut answered, mut unanswered) = (0, 0);
        let mut number = |call: &CallOf<M>| {
            let count = if call.end.is_some() { &mut answered } else { &mut unanswered };
            *count += 1;
            *count - 1
        };
        let numbers = calls.iter().map(&mut number).collect();
        let is_open = |index: &usize| calls[*index].end.is_none();
        Search {
            model,
            calls,
            list: List::new(calls),
            open: (0..calls.len()).filter(is_open).collect(),
            numbers,
            answered: Done::default(),
            unanswered: Done::default(),
            tried: Tried::new(),
            state,
            taken: Vec::new(),
            left: answered,
        }
    }

    /// Searches, trying at most so many calls; the number is lowered by what was tried.
    pub(crate) fn run(&mut self, effort: &mut u64) -> Found {
        self.run_each(effort, |_| true)
    }

    /// Searches all orders. Every state that one ends in is passed on, until `is_enough` says so.
    pub(crate) fn run_each(
        &mut self,
        effort: &mut u64,
        mut is_enough: impl FnMut(&M::State) -> bool,
    ) -> Found {
        let mut found = Found::Nothing;
        self.take_reads(effort);
        let mut next = self.first();
        loop {
            if self.left == 0 {
                found = Found::Order;
                if is_enough(&self.state) {
                    return found;
                }
            }
            let Some((candidate, index)) = self.candidate(next) else {
                match self.put_back() {
                    Some(index) => next = self.after(index),
                    None => return found,
                }
                continue;
            };
            if *effort == 0 {
                return Found::TooHard;
            }
            *effort -= 1;
            next = if self.take(index) {
                self.take_reads(effort);
                self.first()
            } else {
                candidate.following(&self.list)
            };
        }
    }

    /// Where to begin looking for the next call.
    fn first(&self) -> Candidate {
        Candidate::Answered(self.list.first())
    }

    /// Where to look after a call that was put back.
    fn after(&self, index: usize) -> Candidate {
        match self.calls[index].end {
            Some(_) => Candidate::Answered(self.list.after_begin(index)),
            None => Candidate::Open(self.numbers[index] + 1),
        }
    }

    /// The first call from there on that could come next, and where it is.
    fn candidate(&self, mut from: Candidate) -> Option<(Candidate, usize)> {
        if let Candidate::Answered(place) = from {
            match place.map(|place| self.list.what(place)) {
                Some(Event::Begin(index)) => return Some((from, index)),
                // Nothing more that was answered can be taken before this answer, or at all.
                Some(Event::End(_)) | None => from = Candidate::Open(0),
            }
        }
        let Candidate::Open(mut number) = from else { return None };
        let limit = self.list.first_answer();
        while let Some(&index) = self.open.get(number) {
            if limit.is_none_or(|limit| self.calls[index].begin > limit) {
                return None;
            }
            if !self.unanswered.contains(number) {
                return Some((Candidate::Open(number), index));
            }
            number += 1;
        }
        None
    }

    /// Takes a call if its answer fits and that leads somewhere new.
    fn take(&mut self, index: usize) -> bool {
        let call = &self.calls[index];
        let answer = call.end.as_ref().map(|(_, answer)| answer);
        let Some(state) = self.model.step(&self.state, &call.operation, answer) else { return false };
        if answer.is_none() && state == self.state {
            // As if it never happened, which is tried anyway.
            return false;
        }
        let number = self.numbers[index];
        self.set(index).insert(number);
        if !self.tried.insert(&self.answered, &self.unanswered, &state) {
            self.set(index).remove(number);
            return false;
        }
        self.taken.push((index, Some(core::mem::replace(&mut self.state, state))));
        if self.calls[index].end.is_some() {
            self.list.lift(index);
            self.left -= 1;
        }
        true
    }

    /// Takes all reads that could come next and fit.
    fn take_reads(&mut self, effort: &mut u64) {
        let mut place = self.list.first();
        while let Some((at, Event::Begin(index))) = place.map(|place| (place, self.list.what(place))) {
            *effort = effort.saturating_sub(1);
            if self.is_fitting_read(index) {
                let number = self.numbers[index];
                self.answered.insert(number);
                self.list.lift(index);
                self.left -= 1;
                self.taken.push((index, None));
            }
            // A place that left the list still knows what came after it, but for its own answer.
            place = self.list.after_lifted(at, index);
        }
    }

    fn is_fitting_read(&self, index: usize) -> bool {
        let call = &self.calls[index];
        call.end.as_ref().is_some_and(|(_, answer)| {
            self.model.is_read(&call.operation, answer)
                && self.model.step(&self.state, &call.operation, Some(answer)).is_some()
        })
    }

    /// Puts back the last call instead of which another can be tried, and the reads after it.
    fn put_back(&mut self) -> Option<usize> {
        loop {
            let (index, state) = self.taken.pop()?;
            let number = self.numbers[index];
            self.set(index).remove(number);
            if self.calls[index].end.is_some() {
                self.list.put_back(index);
                self.left += 1;
            }
            if let Some(state) = state {
                self.state = state;
                return Some(index);
            }
        }
    }

    fn set(&mut self, index: usize) -> &mut Done {
        if self.calls[index].end.is_some() { &mut self.answered } else { &mut self.unanswered }
    }
}

/// Where the search looks for the next call.
#[derive(Clone, Copy)]
enum Candidate {
    /// At a place of the list.
    Answered(Option<usize>),
    /// Among the calls without an answer, by number.
    Open(usize),
}

impl Candidate {
    /// What to try when this one does not do.
    fn following(self, list: &List) -> Candidate {
        match self {
            Candidate::Answered(place) => Candidate::Answered(place.and_then(|place| list.after(place))),
            Candidate::Open(number) => Candidate::Open(number + 1),
        }
    }
}

/// What stands at a place of the list.
#[derive(Clone, Copy)]
enum Event {
    /// The beginning of a call.
    Begin(usize),
    /// An answer, at this moment.
    End(u64),
}

/// Beginnings and answers in the order of time, linked so that a call is taken out and put back at once. Place 0 is
/// the head, and stands for the end too.
struct List {
    events: Vec<Event>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Of each answered call: the places of its beginning and its answer.
    places: Vec<(usize, usize)>,
}

impl List {
    fn new<O, A>(calls: &[Call<O, A>]) -> List {
        let mut moments: Vec<(u64, usize, bool)> = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            if let Some((end, _)) = &call.end {
                moments.push((call.begin, index, true));
                moments.push((*end, index, false));
            }
        }
        moments.sort_unstable();
        let count = moments.len() + 1;
        let mut places = alloc::vec![(0, 0); calls.len()];
        let mut events = alloc::vec![Event::End(0)];
        for (place, (moment, index, is_begin)) in (1..).zip(moments) {
            if is_begin {
                places[index].0 = place;
                events.push(Event::Begin(index));
            } else {
                places[index].1 = place;
                events.push(Event::End(moment));
            }
        }
        let next = (0..count).map(|place| (place + 1) % count).collect();
        let previous = (0..count).map(|place| (place + count - 1) % count).collect();
        List { events, next, previous, places }
    }

    fn what(&self, place: usize) -> Event {
        self.events[place]
    }

    fn first(&self) -> Option<usize> {
        self.after(0)
    }

    fn after(&self, place: usize) -> Option<usize> {
        Some(self.next[place]).filter(|next| *next != 0)
    }

    /// What comes after the beginning of a call that may just have left the list.
    fn after_lifted(&self, begin: usize, call: usize) -> Option<usize> {
        let next = self.after(begin)?;
        let is_own_answer = self.places[call].1 == next;
        let is_out = self.next[self.previous[begin]] != begin;
        if is_own_answer && is_out { self.after(next) } else { Some(next) }
    }

    fn after_begin(&self, call: usize) -> Option<usize> {
        self.after(self.places[call].0)
    }

    /// The moment of the first answer that is left.
    fn first_answer(&self) -> Option<u64> {
        let mut place = self.first()?;
        loop {
            match self.what(place) {
                Event::Begin(_) => place = self.after(place)?,
                Event::End(moment) => return Some(moment),
            }
        }
    }

    fn lift(&mut self, call: usize) {
        let (begin, end) = self.places[call];
        self.unlink(begin);
        self.unlink(end);
    }

    /// Undoes the last `lift`.
    fn put_back(&mut self, call: usize) {
        let (begin, end) = self.places[call];
        self.link(end);
        self.link(begin);
    }

    fn unlink(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn link(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = place;
        self.previous[next] = place;
    }
}
