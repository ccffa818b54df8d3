//! A part of the map for users of the KV: keys under one prefix, which they don't see.
//!
//! The map holds the cluster's own records too. A user's keys stand under [`USER_PREFIX`], where no record of the cluster
//! is: a client adds it to what it sends and takes it from what it gets, so "all keys" are all of a user's. Whoever lets
//! requests of users in asks [`is_users`] whether they stay there, whatever the client did.

use alloc::vec::Vec;
use core::ops::Bound;

use crate::kv_members::MEMBERS_KEY;
use crate::message::kv::{KvBody, KvCommand, KvError, KvExpected, KvFound, KvQuery, KvStep};
use crate::message::kv_range::{KvRange, end_of};

/// The prefix of users' keys.
pub const USER_PREFIX: &[u8] = b"u/";

/// The prefixes of keys about the servers and members that keep the map itself, and its groups: of no use to another cluster.
pub const GROUP_PREFIXES: [&[u8]; 7] = [
    crate::kv_groups::GROUP_PREFIX,
    crate::kv_groups::NEXT_KEY,
    crate::kv_store::KNOWS_PREFIX,
    crate::kv_store::PREFERRED_KEY,
    crate::kv_level::LEVEL_KEY,
    crate::kv_members::MEMBERS_KEY,
    crate::registry::SERVER_PREFIX,
];

/// What a user names, as it is in the map.
pub trait ToMap {
    /// Adds the prefix to all keys.
    fn to_map(&mut self);

    /// Whether all keys are under the prefix.
    fn is_users(&self) -> bool;
}

/// Whether a request reads and changes only users' keys. Hosted functions see all keys.
pub fn is_users(body: &KvBody) -> bool {
    match body {
        KvBody::Command { command, .. } => command.is_users(),
        KvBody::Query(query) | KvBody::Read { query, .. } => query.is_users(),
    }
}

/// Whether a request asks which servers have members ([`MEMBERS_KEY`]), and nothing else: who may ask for users' keys may know
/// whom to ask.
pub fn asks_members(body: &KvBody) -> bool {
    let (KvBody::Query(query) | KvBody::Read { query, .. }) = body else { return false };
    matches!(query, KvQuery::Get { key } if key == MEMBERS_KEY)
}

/// Takes the prefix from a key that the map gave.
pub fn from_map(key: &mut Vec<u8>) {
    if key.starts_with(USER_PREFIX) {
        key.drain(..USER_PREFIX.len());
    }
}

/// Takes the prefix from what a read found.
pub fn found_from_map(found: &mut KvFound) {
    match found {
        KvFound::Pairs { pairs, .. } => pairs.iter_mut().for_each(|(key, _)| from_map(key)),
        KvFound::Keys { keys, .. } => keys.iter_mut().for_each(from_map),
        KvFound::Count { next, .. } => next.iter_mut().for_each(from_map),
        KvFound::Changes { changes, .. } => changes.iter_mut().for_each(|(key, _)| from_map(key)),
        KvFound::Value(_)
        | KvFound::Exists(_)
        | KvFound::Values(_)
        | KvFound::Function(_)
        | KvFound::Missed => {}
    }
}

/// Takes the prefix from the key that an error names.
pub fn error_from_map(error: &mut KvError) {
    if let KvError::Assert { key, .. } | KvError::Step { key, .. } = error {
        from_map(key);
    }
}

impl ToMap for Vec<u8> {
    fn to_map(&mut self) {
        self.splice(..0, USER_PREFIX.iter().copied());
    }

    fn is_users(&self) -> bool {
        self.starts_with(USER_PREFIX)
    }
}

impl ToMap for KvRange {
    fn to_map(&mut self) {
        match &mut self.first {
            Bound::Included(key) | Bound::Excluded(key) => key.to_map(),
            first @ Bound::Unbounded => *first = Bound::Included(USER_PREFIX.to_vec()),
        }
        match &mut self.last {
            Bound::Included(key) | Bound::Excluded(key) => key.to_map(),
            last @ Bound::Unbounded => *last = end_of(USER_PREFIX),
        }
    }

    fn is_users(&self) -> bool {
        let begins = match &self.first {
            Bound::Included(key) | Bound::Excluded(key) => key.is_users(),
            Bound::Unbounded => false,
        };
        let ends = match &self.last {
            Bound::Included(key) | Bound::Excluded(key) => key.is_users() || self.last == end_of(USER_PREFIX),
            Bound::Unbounded => false,
        };
        begins && ends
    }
}

impl ToMap for KvStep {
    fn to_map(&mut self) {
        match self {
            KvStep::Assert { key, .. }
            | KvStep::AssertExists { key }
            | KvStep::Set { key, .. }
            | KvStep::Delete { key }
            | KvStep::TestAndSet { key, .. }
            | KvStep::Replace { key, .. }
            | KvStep::DeletePrefix { prefix: key, .. } => key.to_map(),
            KvStep::AssertRange { range, expected } => {
                range.to_map();
                match expected {
                    KvExpected::Keys(keys) => keys.iter_mut().for_each(ToMap::to_map),
                    KvExpected::Pairs(pairs) => pairs.iter_mut().for_each(|(key, _)| key.to_map()),
                }
            }
            KvStep::Function { .. } | KvStep::Nested { .. } => {}
        }
    }

    fn is_users(&self) -> bool {
        match self {
            KvStep::Assert { key, .. }
            | KvStep::AssertExists { key }
            | KvStep::Set { key, .. }
            | KvStep::Delete { key }
            | KvStep::TestAndSet { key, .. }
            | KvStep::Replace { key, .. }
            | KvStep::DeletePrefix { prefix: key, .. } => key.is_users(),
            KvStep::AssertRange { range, .. } => range.is_users(),
            KvStep::Function { .. } => false,
            KvStep::Nested { .. } => true,
        }
    }
}

impl ToMap for KvCommand {
    fn to_map(&mut self) {
        if let KvCommand::Sequence(steps) | KvCommand::Steps(steps) = self {
            steps.iter_mut().for_each(ToMap::to_map);
        }
    }

    fn is_users(&self) -> bool {
        match self {
            KvCommand::Sequence(steps) | KvCommand::Steps(steps) => steps.iter().all(ToMap::is_users),
            KvCommand::Function { .. } => false,
        }
    }
}

impl ToMap for KvQuery {
    fn to_map(&mut self) {
        match self {
            KvQuery::Get { key } | KvQuery::Exists { key } | KvQuery::Watch { prefix: key, .. } => {
                key.to_map()
            }
            KvQuery::MultiGet { keys } => keys.iter_mut().for_each(ToMap::to_map),
            KvQuery::Range { prefix, from, .. } => {
                prefix.to_map();
                from.to_map();
            }
            KvQuery::Page { range, .. } | KvQuery::Count { range } => range.to_map(),
            KvQuery::Function { .. } => {}
        }
    }

    fn is_users(&self) -> bool {
        match self {
            KvQuery::Get { key } | KvQuery::Exists { key } | KvQuery::Watch { prefix: key, .. } => {
                key.is_users()
            }
            KvQuery::MultiGet { keys } => keys.iter().all(ToMap::is_users),
            KvQuery::Range { prefix, .. } => prefix.is_users(),
            KvQuery::Page { range, .. } | KvQuery::Count { range } => range.is_users(),
            KvQuery::Function { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::message::kv::Consistency;
    use crate::{kv_store, registry, samples};

    /// What anybody asks, without functions, stays among users' keys once the prefix is added; and nothing does before.
    #[test]
    fn whatever_a_user_asks_stays_among_users_keys() {
        let mut asked = 0;
        for message in samples::messages() {
            let Message::Kv(mut request) = message else { continue };
            let has_function = alloc::format!("{request:?}").contains("function");
            let is_empty = matches!(&request.body, KvBody::Command { command: KvCommand::Sequence(steps), .. } if steps.is_empty());
            assert!(!is_users(&request.body) || is_empty, "{request:?}");
            match &mut request.body {
                KvBody::Command { command, .. } => command.to_map(),
                KvBody::Query(query) | KvBody::Read { query, .. } => query.to_map(),
            }
            assert_eq!(is_users(&request.body), !has_function, "{request:?}");
            asked += usize::from(!has_function && !is_empty);
        }
        assert!(asked > 8);
    }

    /// A question for that one key, and no other that reaches it.
    #[test]
    fn who_has_members_is_asked_by_its_key_alone() {
        let (key, prefix) = (MEMBERS_KEY.to_vec(), b"kv/".to_vec());
        let get = KvQuery::Get { key: key.clone() };
        let read = |query| KvBody::Read { consistency: Consistency::Stale, query };
        assert!(asks_members(&KvBody::Query(get.clone())) && asks_members(&read(get)));
        for query in [
            KvQuery::Get { key: [MEMBERS_KEY, b"/"].concat() },
            KvQuery::Get { key: prefix.clone() },
            KvQuery::Get { key: crate::kv_level::LEVEL_KEY.to_vec() },
            KvQuery::Exists { key: key.clone() },
            KvQuery::MultiGet { keys: alloc::vec![key.clone()] },
            KvQuery::Watch { prefix: key.clone(), after: 0 },
            KvQuery::Range { prefix: key.clone(), from: key.clone(), limit: 1 },
            KvQuery::Count { range: KvRange::prefix(MEMBERS_KEY) },
            KvQuery::Page { range: KvRange::prefix(&key), is_reverse: false, keys_only: false, limit: 1 },
        ] {
            assert!(!asks_members(&KvBody::Query(query.clone())), "{query:?}");
            assert!(!asks_members(&read(query)));
        }
        let asked = samples::messages().into_iter().filter_map(|message| match message {
            Message::Kv(request) => Some(request.body),
            _ => None,
        });
        assert!(asked.filter(asks_members).count() == 0);
        let command = KvCommand::Sequence(alloc::vec![KvStep::Assert { key, value: None }]);
        let body = KvBody::Command { session: 1, sequence: 1, answered_below: 1, command };
        assert!(!asks_members(&body) && !is_users(&body));
    }

    #[test]
    fn a_range_is_all_users_keys_and_none_of_others() {
        let mut all = KvRange::ALL;
        all.to_map();
        assert_eq!(all, KvRange::prefix(USER_PREFIX));
        for record in
            [registry::CLUSTER_KEY, registry::NAME_PREFIX, registry::VDISK_PREFIX, kv_store::KNOWS_PREFIX]
        {
            let record = record.to_vec();
            assert!(!record.is_users());
            assert!(!(all.reaches(&record) && record.as_slice() >= USER_PREFIX));
        }
        let beyond = KvRange { last: Bound::Included(b"u0".to_vec()), ..all.clone() };
        assert!(all.is_users() && !beyond.is_users(), "the end is not a user's key");
        let before = KvRange { first: Bound::Excluded(b"u".to_vec()), ..all };
        assert!(!before.is_users());
    }

    #[test]
    fn what_the_map_gives_loses_the_prefix() {
        let mut key = b"u/u/x".to_vec();
        from_map(&mut key);
        assert_eq!(key, b"u/x");
        let mut found = KvFound::Changes { through: 1, changes: alloc::vec![(b"u/a".to_vec(), None)] };
        found_from_map(&mut found);
        assert_eq!(found, KvFound::Changes { through: 1, changes: alloc::vec![(b"a".to_vec(), None)] });
        let mut error = KvError::Assert { step: 0, key: b"u/".to_vec() };
        error_from_map(&mut error);
        assert_eq!(error, KvError::Assert { step: 0, key: Vec::new() });
    }
}
