//! Lists certificates.

use std::time::{Duration, SystemTime};

use certificates::{Issued, IssuedBy};
use serde_json::{Value, json};

use super::folder::Folder;
use crate::failure::Failure;
use crate::verbs::table::table;

/// All certificates of a cluster.
pub(super) fn certificates(folder: &Folder, is_json: bool) -> Result<String, Failure> {
    let (issued, now) = (folder.issued()?, SystemTime::now());
    if is_json {
        let values: Vec<Value> = issued.iter().map(|issued| value(issued, now)).collect();
        return Ok(format!("{}\n", Value::from(values)));
    }
    let rows: Vec<Vec<String>> = issued.iter().map(|issued| row(issued, now)).collect();
    Ok(table(&["NAME", "ROLES", "DAYS LEFT", "STATE"], &rows))
}

fn row(issued: &Issued, now: SystemTime) -> Vec<String> {
    let days = days_left(issued, now).to_string();
    vec![issued.identity.name.clone(), issued.identity.roles.to_string(), days, state(issued, now).into()]
}

fn value(issued: &Issued, now: SystemTime) -> Value {
    let serial: String = issued.serial.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "name": issued.identity.name,
        "roles": issued.identity.roles.iter().map(certificates::Role::name).collect::<Vec<_>>(),
        "days_left": days_left(issued, now),
        "state": state(issued, now),
        "serial": serial,
    })
}

fn days_left(issued: &Issued, now: SystemTime) -> u64 {
    issued.until.duration_since(now).unwrap_or(Duration::ZERO).as_secs() / (24 * 3600)
}

fn state(issued: &Issued, now: SystemTime) -> &'static str {
    match issued.issuer {
        _ if issued.is_revoked => "revoked",
        _ if issued.until < now => "expired",
        IssuedBy::Retired => "retired",
        IssuedBy::Replaced => "to renew",
        IssuedBy::Newest => "good",
    }
}
