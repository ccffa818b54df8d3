//! What questions find in the map. A question costs no more than its page.

use alloc::vec::Vec;
use formats::message::kv::{KvAnswer, KvError, KvFound, KvQuery};
use formats::message::kv_range::KvRange;
use step::{Function, OrderedMap};

use crate::limits::{self, MAX_COUNTED_KEYS, MAX_RANGE_BYTES, MAX_RANGE_PAIRS, STEP_BYTES};
use crate::map::Map;
use crate::overlay::Pair;
use crate::state::State;

/// Gathers a page: so many entries, and bytes, whatever the first has.
struct Page<T> {
    entries: Vec<T>,
    limit: usize,
    bytes: usize,
}

impl<T> Page<T> {
    fn new(limit: usize) -> Self {
        Page { entries: Vec::new(), limit: limit.min(MAX_RANGE_PAIRS), bytes: 0 }
    }

    /// Takes an entry, unless the page is full.
    fn take(&mut self, bytes: usize, entry: impl FnOnce() -> T) -> bool {
        let is_beyond = self.bytes + bytes > MAX_RANGE_BYTES && !self.entries.is_empty();
        if self.entries.len() >= self.limit || is_beyond {
            return false;
        }
        self.bytes += bytes;
        self.entries.push(entry());
        true
    }

    /// Takes pairs until it is full. Whether there are more.
    fn fill<'m>(
        &mut self,
        pairs: impl Iterator<Item = Pair<'m>>,
        entry: impl Fn(Pair<'m>) -> (usize, T),
    ) -> bool {
        for pair in pairs {
            let (bytes, entry) = entry(pair);
            if !self.take(bytes, || entry) {
                return true;
            }
        }
        false
    }
}

impl<F: Function> State<F> {
    /// Answers a question as it was answered before answers told where they were read.
    pub(crate) fn query(&self, query: &KvQuery) -> KvAnswer {
        let index = self.index;
        match (query, self.read(query)) {
            (_, Err(error)) => KvAnswer::Failed(error),
            (KvQuery::Get { .. }, Ok(KvFound::Value(value))) => KvAnswer::Value(value),
            (KvQuery::Range { .. }, Ok(KvFound::Pairs { pairs, more })) => KvAnswer::Range { pairs, more },
            (KvQuery::Function { .. }, Ok(KvFound::Function(answer))) => KvAnswer::Done(answer),
            (_, Ok(found)) => KvAnswer::Read { index, found },
        }
    }

    /// Answers a question, and says what it saw.
    pub(crate) fn query_at(&self, query: &KvQuery) -> KvAnswer {
        self.read(query).map_or_else(KvAnswer::Failed, |found| KvAnswer::Read { index: self.index, found })
    }

    fn read(&self, query: &KvQuery) -> Result<KvFound, KvError> {
        Ok(match query {
            KvQuery::Get { key } => KvFound::Value(self.map.get(key).map(<[u8]>::to_vec)),
            KvQuery::Exists { key } => KvFound::Exists(self.map.get(key).is_some()),
            KvQuery::MultiGet { keys } => KvFound::Values(self.values(keys)),
            KvQuery::Range { prefix, from, limit } => {
                let mut range = KvRange::prefix(prefix);
                if from > prefix {
                    range.first = core::ops::Bound::Included(from.clone());
                }
                page(&self.map, &range, false, false, *limit)
            }
            KvQuery::Page { range, is_reverse, keys_only, limit } => {
                page(&self.map, range, *is_reverse, *keys_only, *limit)
            }
            KvQuery::Count { range } => count(&self.map, range),
            KvQuery::Function { function, query } => {
                let hosted = self.functions.get(function).ok_or(KvError::NoFunction(*function))?;
                let answer = hosted.query(&self.map, query);
                limits::check_answer(answer.len())?;
                KvFound::Function(answer)
            }
            KvQuery::Watch { prefix, after } => self.changes(prefix, *after),
        })
    }

    fn values(&self, keys: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
        let mut page = Page::new(keys.len());
        for key in keys {
            let value = self.map.get(key);
            if !page.take(value.map_or(0, <[u8]>::len), || value.map(<[u8]>::to_vec)) {
                break;
            }
        }
        page.entries
    }

    /// What was changed: the commands behind `after` whose changes make a page.
    fn changes(&self, prefix: &[u8], after: u64) -> KvFound {
        let Some(recent) = self.recent.behind(after) else { return KvFound::Missed };
        let mut changed = alloc::collections::BTreeMap::new();
        let (mut through, mut bytes) = (after, 0);
        let mut commands = recent.peekable();
        while let Some((index, _)) = commands.peek().copied() {
            let mut own = Vec::new();
            while let Some((_, key)) = commands.next_if(|(of, _)| *of == index) {
                if key.starts_with(prefix) && !changed.contains_key(key) {
                    let value = self.map.get(key);
                    bytes += key.len() + value.map_or(0, <[u8]>::len) + STEP_BYTES;
                    own.push((key, value));
                }
            }
            // A command is told whole or not at all: an index is all that says how far somebody is.
            let is_beyond = changed.len() + own.len() > MAX_RANGE_PAIRS || bytes > MAX_RANGE_BYTES;
            if is_beyond && !(changed.is_empty() && own.len() == 1) {
                return if changed.is_empty() { KvFound::Missed } else { told(through, changed) };
            }
            changed.extend(own);
            through = index;
        }
        told(self.index, changed)
    }
}

fn told(through: u64, changed: alloc::collections::BTreeMap<&[u8], Option<&[u8]>>) -> KvFound {
    let own = |(key, value): (&[u8], Option<&[u8]>)| (key.to_vec(), value.map(<[u8]>::to_vec));
    KvFound::Changes { through, changes: changed.into_iter().map(own).collect() }
}

fn page(map: &Map, range: &KvRange, is_reverse: bool, keys_only: bool, limit: u32) -> KvFound {
    let all = map.range(range);
    let (upwards, downwards) = if is_reverse { (None, Some(all.rev())) } else { (Some(all), None) };
    let all = upwards.into_iter().flatten().chain(downwards.into_iter().flatten());
    if keys_only {
        let mut page = Page::new(limit as usize);
        let more = page.fill(all, |(key, _)| (key.len(), key.to_vec()));
        KvFound::Keys { keys: page.entries, more }
    } else {
        let mut page = Page::new(limit as usize);
        let size = |(key, value): &Pair<'_>| key.len() + value.len();
        let more = page.fill(all, |pair| (size(&pair), (pair.0.to_vec(), pair.1.to_vec())));
        KvFound::Pairs { pairs: page.entries, more }
    }
}

fn count(map: &Map, range: &KvRange) -> KvFound {
    let mut keys = 0;
    for (key, _) in map.range(range) {
        if keys == MAX_COUNTED_KEYS {
            return KvFound::Count { keys, next: Some(key.to_vec()) };
        }
        keys += 1;
    }
    KvFound::Count { keys, next: None }
}
