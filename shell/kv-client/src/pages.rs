//! Ranges as iterators, one page in memory.

use std::collections::VecDeque;

use formats::kv_limits::MAX_RANGE_PAIRS;
use formats::message::kv::{Consistency, KvFound, KvQuery};
use formats::message::kv_range::KvRange;

use crate::client::{Client, nonsense};
use crate::error::Error;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// The pairs of a range. Each page is of one moment, and of none before that of the page before it.
#[derive(Debug)]
pub struct Pairs<'a>(Pages<'a>);

/// The keys of a range; as [`Pairs`].
#[derive(Debug)]
pub struct Keys<'a>(Pages<'a>);

#[derive(Debug)]
struct Pages<'a> {
    client: &'a mut Client,
    /// What is left to ask for; none at the end.
    rest: Option<KvRange>,
    is_reverse: bool,
    keys_only: bool,
    page: VecDeque<Pair>,
    /// The index of the first page.
    begun: Option<u64>,
}

impl<'a> Pages<'a> {
    fn new(client: &'a mut Client, range: KvRange, is_reverse: bool, keys_only: bool) -> Self {
        Pages { client, rest: Some(range), is_reverse, keys_only, page: VecDeque::new(), begun: None }
    }

    fn next(&mut self) -> Option<Result<Pair, Error>> {
        if self.page.is_empty()
            && let Some(range) = self.rest.take()
            && let Err(error) = self.fetch(range)
        {
            return Some(Err(error));
        }
        self.page.pop_front().map(Ok)
    }

    fn fetch(&mut self, range: KvRange) -> Result<(), Error> {
        let (is_reverse, keys_only) = (self.is_reverse, self.keys_only);
        let limit = MAX_RANGE_PAIRS as u32;
        let query = KvQuery::Page { range: range.clone(), is_reverse, keys_only, limit };
        // Another member may answer than before: it must not lag behind that.
        let consistency = match (self.client.consistency, self.begun) {
            (Consistency::Linearizable, _) => Consistency::Linearizable,
            (_, Some(_)) => Consistency::AtLeast(self.client.index()),
            (first, None) => first,
        };
        let (page, more): (VecDeque<Pair>, bool) = match self.client.query(consistency, query)? {
            KvFound::Pairs { pairs, more } if !keys_only => (pairs.into(), more),
            KvFound::Keys { keys, more } if keys_only => {
                (keys.into_iter().map(|key| (key, Vec::new())).collect(), more)
            }
            other => return Err(nonsense(&other)),
        };
        let index = self.client.index();
        self.begun.get_or_insert(index);
        match page.back() {
            Some((last, _)) if more => self.rest = Some(range.behind(last.clone(), is_reverse)),
            None if more => return Err(nonsense(&"an empty page with more behind it")),
            _ => {}
        }
        self.page = page;
        Ok(())
    }
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(client: &'a mut Client, range: KvRange, is_reverse: bool) -> Self {
        Pairs(Pages::new(client, range, is_reverse, false))
    }

    /// The index at which the first page was read: a watch from there misses nothing that the range doesn't show.
    pub fn index(&self) -> Option<u64> {
        self.0.begun
    }
}

impl<'a> Keys<'a> {
    pub(crate) fn new(client: &'a mut Client, range: KvRange, is_reverse: bool) -> Self {
        Keys(Pages::new(client, range, is_reverse, true))
    }
}

impl Iterator for Pairs<'_> {
    type Item = Result<Pair, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl Iterator for Keys<'_> {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|pair| pair.map(|(key, _)| key))
    }
}
