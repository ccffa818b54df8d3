//! Which group of the KV hosts the namespaces: one of their own, which the KV makes as the cluster counts on it; in a cluster
//! that was made before there was that, the root group.

use std::time::Duration;

use formats::kv_groups::{self, WANTED, group_key, wanted_key};
use formats::message::kv::{KvAnswer, KvQuery};
use formats::registry::NAMESPACES_GROUP;
use glossary::GroupId;

use super::asker::Asker;
use super::registry::Replaced;
use crate::failure::Failure;

/// How often it is looked whether the group is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often at most.
const LOOKS: u32 = 500;

/// The key that says it.
pub(crate) fn key() -> Vec<u8> {
    wanted_key(NAMESPACES_GROUP)
}

/// What a new cluster's record says beside itself.
pub(crate) fn of_new_cluster(key: &[u8]) -> Replaced<'_> {
    Replaced { key, known: None, new: WANTED.to_vec() }
}

/// The group, once it is there.
///
/// # Errors
/// [`Failure::not_yet`] where the KV makes none, or doesn't answer.
pub(crate) fn group(asker: &mut Asker) -> Result<GroupId, Failure> {
    if value(asker, key())?.is_none() {
        return Ok(GroupId::ROOT);
    }
    for _ in 0..LOOKS {
        if let Some(record) = value(asker, group_key(NAMESPACES_GROUP))? {
            return kv_groups::decode_group(&record).map(|record| record.group).ok_or_else(unreadable);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let why = format!(
        "the KV has not made its group '{NAMESPACES_GROUP}' yet: its leader does, once a majority of its members runs"
    );
    Err(Failure::not_yet(why))
}

fn value(asker: &mut Asker, key: Vec<u8>) -> Result<Option<Vec<u8>>, Failure> {
    match asker.query(KvQuery::Get { key })? {
        KvAnswer::Value(value) => Ok(value),
        _ => Err(unreadable()),
    }
}

fn unreadable() -> Failure {
    Failure::refused("the KV says of its groups what this ovs can't read")
}
