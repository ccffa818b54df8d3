//! What a server's KV has counted.

use serde_json::{Map, Value, json};

use super::place::Place;
use super::status;
use crate::cli::{MemberStats, OfGroup};
use crate::failure::Failure;
use crate::verbs::table::table;

/// A line for each counter, by the name that it has among the metrics.
pub(super) fn run(asking: &MemberStats) -> Result<String, Failure> {
    let place = Place::of(&asking.configured, asking.at.server)?;
    let (_, status) = status::ask(&place, &OfGroup::ROOT)?;
    let (_, described, values) = roles::counters_of(&status);
    let counted: Vec<_> = described.iter().zip(values).collect();
    if asking.json {
        let fields: Map<String, Value> =
            counted.iter().map(|((name, _), value)| ((*name).to_owned(), json!(value))).collect();
        return Ok(format!("{}\n", Value::Object(fields)));
    }
    let rows: Vec<_> = counted
        .iter()
        .map(|((name, what), value)| vec![(*name).to_owned(), value.to_string(), (*what).to_owned()])
        .collect();
    Ok(table(&["COUNTER", "VALUE", "WHAT"], &rows))
}
