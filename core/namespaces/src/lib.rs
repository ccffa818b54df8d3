//! The namespace manager: which manifest stands under which name, fenced by generations (PROTOCOLS F5, L6, O3).
//!
//! What holds at every moment:
//! 1. A namespace's generation never goes down, and nothing of a lower one changes what it reads as.
//! 2. A manifest is replaced only by one that names what it replaces (F5); its revision goes up.
//! 3. The head of the chain is an object that was there when it became the head, and whoever changed it knew
//!    the one before (L6).
//! 4. An epoch that has ended never comes back, and nothing that is tagged with it is published (F6).
//! 5. A command is refused before it changes anything.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod keys;
mod sequence;

use alloc::vec::Vec;
use core::ops::Bound;
use formats::manifest::Manifest;
use formats::namespace::{
    NamespaceAnswer, NamespaceCommand, NamespaceDone, NamespaceError, NamespaceQuery, NamespaceRecord,
    ObjectName,
};
use formats::registry::{decode, encode};
use glossary::{Generation, NamespaceId, ObjectId, Policy};
use step::{Function, OrderedMap};

use keys::{manifest_key, manifest_prefix, name_of, record_key};

/// The most objects in one page of a listing.
pub const MAX_LIST: usize = 1000;

/// The most policies of a namespace.
pub const MAX_POLICIES: usize = 32;

/// The function. All its state is in the map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces;

impl Function for Namespaces {
    fn apply(&self, map: &mut dyn OrderedMap, command: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let command = decode(command).ok_or(NamespaceError::Malformed);
        match command.and_then(|command| run(map, command)) {
            Ok(deleted) => Ok(encode(&NamespaceDone::Done { deleted })),
            Err(error) => Err(encode(&error)),
        }
    }

    fn query(&self, map: &dyn OrderedMap, query: &[u8]) -> Vec<u8> {
        encode(&match decode(query) {
            None => NamespaceAnswer::Malformed,
            Some(NamespaceQuery::Record { namespace }) => NamespaceAnswer::Record(record(map, namespace)),
            Some(NamespaceQuery::Manifest { namespace, name }) => {
                NamespaceAnswer::Manifest(manifest(map, namespace, name))
            }
            Some(NamespaceQuery::List { namespace, after, limit }) => list(map, namespace, after, limit),
        })
    }
}

fn run(map: &mut dyn OrderedMap, command: NamespaceCommand) -> Result<Vec<Manifest>, NamespaceError> {
    match command {
        NamespaceCommand::Create { namespace, policies } => create(map, namespace, policies)?,
        NamespaceCommand::Raise { namespace, generation } => raise(map, namespace, generation)?,
        NamespaceCommand::Sequence { namespace, generation, asserts, updates } => {
            return sequence::run(map, namespace, generation, &asserts, updates);
        }
        NamespaceCommand::Drop { namespace, generation } => drop_all(map, namespace, generation)?,
        NamespaceCommand::Forget { namespace } => forget(map, namespace)?,
        NamespaceCommand::EndEpoch { namespace, epoch } => end_epoch(map, namespace, epoch)?,
    }
    Ok(Vec::new())
}

fn create(
    map: &mut dyn OrderedMap,
    namespace: NamespaceId,
    policies: Vec<Policy>,
) -> Result<(), NamespaceError> {
    let possible = |policy: &Policy| Policy::new(policy.k, policy.m, policy.c, policy.x).is_ok();
    if policies.is_empty() || policies.len() > MAX_POLICIES || !policies.iter().all(possible) {
        return Err(NamespaceError::Malformed);
    }
    match record(map, namespace) {
        Some(found) if found.dropped => Err(NamespaceError::NoNamespace),
        Some(found) if found.policies == policies => Ok(()),
        Some(_) => Err(NamespaceError::Exists),
        None => {
            let generation = Generation(0);
            let record = NamespaceRecord { generation, policies, head: None, gc_epoch: 1, dropped: false };
            map.set(&record_key(namespace), encode(&record));
            Ok(())
        }
    }
}

fn raise(
    map: &mut dyn OrderedMap,
    namespace: NamespaceId,
    generation: Generation,
) -> Result<(), NamespaceError> {
    let mut record = live(map, namespace)?;
    if generation < record.generation {
        return Err(NamespaceError::Fenced { generation: record.generation });
    }
    record.generation = generation;
    map.set(&record_key(namespace), encode(&record));
    Ok(())
}

/// Drops a namespace, by its owner or a later one. Dropped again, it stays dropped.
fn drop_all(
    map: &mut dyn OrderedMap,
    namespace: NamespaceId,
    generation: Generation,
) -> Result<(), NamespaceError> {
    let mut record = record(map, namespace).ok_or(NamespaceError::NoNamespace)?;
    if generation < record.generation {
        return Err(NamespaceError::Fenced { generation: record.generation });
    }
    let prefix = manifest_prefix(namespace);
    let mut next = first_key(map, Bound::Included(&prefix), &prefix);
    while let Some(key) = next {
        map.delete(&key);
        next = first_key(map, Bound::Excluded(&key), &prefix);
    }
    (record.generation, record.head, record.dropped) = (generation, None, true);
    map.set(&record_key(namespace), encode(&record));
    Ok(())
}

fn forget(map: &mut dyn OrderedMap, namespace: NamespaceId) -> Result<(), NamespaceError> {
    match record(map, namespace) {
        None => Err(NamespaceError::NoNamespace),
        Some(record) if !record.dropped => Err(NamespaceError::Exists),
        Some(_) => {
            map.delete(&record_key(namespace));
            Ok(())
        }
    }
}

fn end_epoch(map: &mut dyn OrderedMap, namespace: NamespaceId, epoch: u64) -> Result<(), NamespaceError> {
    let mut record = live(map, namespace)?;
    let next = epoch.checked_add(1).ok_or(NamespaceError::Malformed)?;
    match record.gc_epoch.cmp(&epoch) {
        // A tag of the future can't be ended: whoever names one errs.
        core::cmp::Ordering::Less => Err(NamespaceError::Malformed),
        core::cmp::Ordering::Equal => {
            record.gc_epoch = next;
            map.set(&record_key(namespace), encode(&record));
            Ok(())
        }
        core::cmp::Ordering::Greater => Ok(()),
    }
}

fn list(
    map: &dyn OrderedMap,
    namespace: NamespaceId,
    after: Option<ObjectName>,
    limit: u32,
) -> NamespaceAnswer {
    let prefix = manifest_prefix(namespace);
    let after = after.map(|name| manifest_key(namespace, name));
    let mut next = map.first(after.as_ref().map_or(Bound::Included(&prefix), |key| Bound::Excluded(key)));
    let mut objects: Vec<(ObjectName, ObjectId, u64)> = Vec::new();
    while let Some((key, value)) = next {
        let Some(rest) = key.strip_prefix(prefix.as_slice()) else { break };
        if objects.len() == MAX_LIST.min(limit as usize) {
            return NamespaceAnswer::List { objects, more: true };
        }
        if let (Some(name), Some(Manifest { object, size, .. })) = (name_of(rest), decode(value)) {
            objects.push((name, object, size));
        }
        next = map.first(Bound::Excluded(key));
    }
    NamespaceAnswer::List { objects, more: false }
}

fn first_key(map: &dyn OrderedMap, from: Bound<&[u8]>, prefix: &[u8]) -> Option<Vec<u8>> {
    map.first(from).map(|(key, _)| key.to_vec()).filter(|key| key.starts_with(prefix))
}

/// The record of a namespace, one that was dropped included.
fn record(map: &dyn OrderedMap, namespace: NamespaceId) -> Option<NamespaceRecord> {
    map.get(&record_key(namespace)).and_then(decode)
}

/// The record of a namespace that was not dropped.
fn live(map: &dyn OrderedMap, namespace: NamespaceId) -> Result<NamespaceRecord, NamespaceError> {
    record(map, namespace).filter(|record| !record.dropped).ok_or(NamespaceError::NoNamespace)
}

fn manifest(map: &dyn OrderedMap, namespace: NamespaceId, name: ObjectName) -> Option<Manifest> {
    map.get(&manifest_key(namespace, name)).and_then(decode)
}
