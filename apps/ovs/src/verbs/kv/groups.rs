//! Groups of keys: `ovs kv group`.

use std::path::Path;

use formats::message::member::server_of;
use kv_client::KvGroupStatus;
use serde_json::{Value, json};

use super::print::{is_json, said};
use super::{client, failure};
use crate::cli::kv::GroupVerb;
use crate::failure::Failure;

pub(super) fn run(verb: &GroupVerb, directory: &Path) -> Result<String, Failure> {
    let place = match verb {
        GroupVerb::Create(one) | GroupVerb::Drop(one) => one.at.place(),
        GroupVerb::List(all) => all.place(),
    };
    let mut client = client(&place, directory)?;
    match verb {
        GroupVerb::Create(one) => {
            client.make_group(&one.name).map_err(failure)?;
            Ok(said(&place, &format!("group {} is there", one.name), &json!({ "group": one.name })))
        }
        GroupVerb::Drop(one) => {
            // What isn't there is as good as dropped, but whoever mistypes a name is to know.
            client.use_group(&one.name).map_err(failure)?;
            client.drop_group(&one.name).map_err(failure)?;
            Ok(said(&place, &format!("group {} is gone", one.name), &json!({ "group": one.name })))
        }
        GroupVerb::List(_) => {
            let groups = client.groups().map_err(failure)?;
            match is_json(&place) {
                true => Ok(format!("{}\n", Value::from(groups.iter().map(as_json).collect::<Vec<_>>()))),
                false => Ok(groups.iter().map(as_line).collect()),
            }
        }
    }
}

fn as_json(group: &KvGroupStatus) -> Value {
    json!({
        "group": group.name,
        "number": group.group.0,
        "keys": group.keys,
        "index": group.index,
        "leader": group.leader.map(|member| member.0),
        "voters": group.members.voters.iter().map(|member| member.0).collect::<Vec<_>>(),
        "learners": group.members.learners.iter().map(|member| member.0).collect::<Vec<_>>(),
        "asleep": group.is_asleep,
    })
}

fn as_line(group: &KvGroupStatus) -> String {
    let leader = group
        .leader
        .map_or_else(|| "nobody leads".to_owned(), |leader| format!("server {} leads", server_of(leader)));
    let asleep = if group.is_asleep { ", asleep" } else { "" };
    format!("{}: number {}, {} keys, {leader}{asleep}\n", group.name, group.group, group.keys)
}
