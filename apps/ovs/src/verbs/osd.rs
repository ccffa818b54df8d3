//! Verbs on disks.

use std::path::Path;

use api::model::Osd;
use serde_json::json;

use super::ask::{QUICK, ask, done, pretty};
use super::table::table;
use crate::cli::{Asking, OneOsd};
use crate::failure::Failure;

pub(crate) fn list(asking: &Asking, directory: &Path) -> Result<String, Failure> {
    let osds = ask(asking, directory, QUICK, api::Client::osds)?;
    Ok(if asking.json { pretty(&osds) } else { render(&osds) })
}

fn render(osds: &[Osd]) -> String {
    let rows: Vec<Vec<String>> = osds.iter().map(row).collect();
    table(&["NAME", "STATE", "USED", "CAPACITY", "DEAD", "KEYS", "TROUBLE"], &rows)
}

fn row(osd: &Osd) -> Vec<String> {
    let known = |value: String| if osd.state.serves() { value } else { "-".to_owned() };
    vec![
        osd.name.clone(),
        osd.state.word().to_owned(),
        known(osd.used.to_string()),
        osd.capacity.to_string(),
        known(osd.dead.to_string()),
        known(osd.keys.to_string()),
        osd.trouble.clone().unwrap_or_default(),
    ]
}

pub(crate) fn stop(arguments: &OneOsd, directory: &Path) -> Result<String, Failure> {
    let OneOsd { osd, asking } = arguments;
    ask(asking, directory, QUICK, |client| client.stop_osd(*osd))?;
    let sentence = format!("stopped asd-{osd}; `ovs osd start asd-{osd}` takes it back");
    Ok(done(asking, sentence, &json!({ "done": "stop", "osd": osd })))
}

pub(crate) fn start(arguments: &OneOsd, directory: &Path) -> Result<String, Failure> {
    let OneOsd { osd, asking } = arguments;
    ask(asking, directory, QUICK, |client| client.start_osd(*osd))?;
    Ok(done(asking, format!("started asd-{osd}"), &json!({ "done": "start", "osd": osd })))
}

#[cfg(test)]
mod tests {
    use api::model::OsdState;
    use glossary::{ByteCount, OsdId};

    use super::*;

    #[test]
    fn what_a_disk_does_not_say_is_not_made_up() {
        let up = Osd {
            osd: OsdId(0),
            name: "asd-0".into(),
            state: OsdState::Up,
            used: ByteCount(1 << 30),
            capacity: ByteCount(10 << 30),
            dead: ByteCount(1 << 20),
            keys: 12,
            trouble: None,
        };
        let missing = Osd {
            osd: OsdId(1),
            name: "asd-1".into(),
            state: OsdState::Missing,
            trouble: Some("its folder is not there".into()),
            ..up.clone()
        };
        let expected = "\
NAME   STATE    USED   CAPACITY  DEAD   KEYS  TROUBLE
asd-0  up       1 GiB  10 GiB    1 MiB  12
asd-1  missing  -      10 GiB    -      -     its folder is not there
";
        assert_eq!(render(&[up, missing]), expected);
    }
}
