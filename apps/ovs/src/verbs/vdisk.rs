//! Verbs on vDisks.

use std::fmt::Write;
use std::path::Path;

use api::model::Vdisk;
use serde_json::json;

use super::ask::{QUICK, SLOW, ask, done, pretty};
use super::confirm::confirm;
use super::progress::with_progress;
use super::table::table;
use crate::cli::{Asking, Delete, Named, Sized, Sync, VdiskVerb};
use crate::failure::Failure;

pub(crate) fn run(verb: &VdiskVerb, directory: &Path) -> Result<String, Failure> {
    match verb {
        VdiskVerb::Create(sized) => create(sized, directory),
        VdiskVerb::List(asking) => list(asking, directory),
        VdiskVerb::Info(named) => info(named, directory),
        VdiskVerb::Delete(which) => delete(which, directory),
        VdiskVerb::Resize(sized) => resize(sized, directory),
        VdiskVerb::Sync(which) => sync(which, directory),
    }
}

fn create(arguments: &Sized, directory: &Path) -> Result<String, Failure> {
    let Sized { name, size, asking } = arguments;
    ask(asking, directory, QUICK, |client| client.create_vdisk(name, *size))?;
    let value = json!({ "done": "create", "vdisk": name, "size_bytes": size });
    Ok(done(asking, format!("created {name} with {size}"), &value))
}

fn list(asking: &Asking, directory: &Path) -> Result<String, Failure> {
    let vdisks = ask(asking, directory, QUICK, api::Client::vdisks)?;
    if asking.json {
        return Ok(pretty(&vdisks));
    }
    if vdisks.is_empty() {
        return Ok("no vDisk yet: make one with `ovs vdisk create disk1 --size 10GiB`\n".into());
    }
    let rows: Vec<Vec<String>> = vdisks.iter().map(row).collect();
    Ok(table(&["NAME", "SIZE", "STORED", "NOT SAFE YET", "STATE", "ADDRESS"], &rows))
}

fn row(vdisk: &Vdisk) -> Vec<String> {
    let Vdisk { name, size, stored, unsafe_bytes, uri, .. } = vdisk;
    vec![
        name.to_string(),
        size.to_string(),
        stored.to_string(),
        unsafe_bytes.to_string(),
        state(vdisk).to_owned(),
        uri.clone(),
    ]
}

fn state(vdisk: &Vdisk) -> &'static str {
    match (&vdisk.halted, vdisk.lost.is_empty()) {
        (Some(_), _) => "halted",
        (None, false) => "data lost",
        (None, true) => "serving",
    }
}

fn info(arguments: &Named, directory: &Path) -> Result<String, Failure> {
    let Named { name, asking } = arguments;
    let vdisk = ask(asking, directory, QUICK, |client| client.vdisk(name))?;
    Ok(if asking.json { pretty(&vdisk) } else { render(&vdisk) })
}

fn render(vdisk: &Vdisk) -> String {
    let mut text = format!("{}: {}\n", vdisk.name, state(vdisk));
    let mut line = |label: &str, value: String| {
        writeln!(text, "  {label:<13} {value}").expect("strings take what is written");
    };
    vdisk.halted.iter().for_each(|why| line("because", why.clone()));
    line("address", vdisk.uri.clone());
    line("size", format!("{} ({} bytes)", vdisk.size, vdisk.size.0));
    line("stored", vdisk.stored.to_string());
    line("not safe yet", vdisk.unsafe_bytes.to_string());
    line("number", format!("{}, generation {}", vdisk.id, vdisk.generation));
    for range in &vdisk.lost {
        line("can't be read", format!("{} at {} (byte {})", range.length, range.offset, range.offset.0));
    }
    text
}

fn delete(arguments: &Delete, directory: &Path) -> Result<String, Failure> {
    let Delete { name, yes, asking } = arguments;
    // What isn't there, and who isn't, is said before anything is asked.
    ask(asking, directory, QUICK, |client| client.vdisk(name))?;
    confirm(name.as_str(), &format!("deleting {name} loses everything on it"), *yes)?;
    ask(asking, directory, QUICK, |client| client.delete_vdisk(name))?;
    Ok(done(asking, format!("deleted {name}"), &json!({ "done": "delete", "vdisk": name })))
}

fn resize(arguments: &Sized, directory: &Path) -> Result<String, Failure> {
    let Sized { name, size, asking } = arguments;
    ask(asking, directory, QUICK, |client| client.resize_vdisk(name, *size))?;
    let sentence = format!("{name} has {size}; guests see it when they connect again");
    Ok(done(asking, sentence, &json!({ "done": "resize", "vdisk": name, "size_bytes": size })))
}

pub(crate) fn sync(arguments: &Sync, directory: &Path) -> Result<String, Failure> {
    let Sync { name, asking } = arguments;
    let name = name.as_ref();
    let synced = || ask(asking, directory, SLOW, |client| client.sync_vdisk(name));
    with_progress(directory, name, synced)?;
    let what = name.map_or("every vDisk".to_owned(), ToString::to_string);
    let sentence = format!("everything of {what} is on the disks");
    Ok(done(asking, sentence, &json!({ "done": "sync", "vdisk": name })))
}

#[cfg(test)]
mod tests {
    use api::model::LostRange;
    use glossary::{ByteCount, VdiskName};

    use super::*;

    fn sample() -> Vdisk {
        Vdisk {
            name: VdiskName::new("disk1").unwrap(),
            id: 1,
            uri: "nbd://127.0.0.1:10809/disk1".into(),
            size: ByteCount(10 << 30),
            generation: 3,
            stored: ByteCount(3 << 29),
            unsafe_bytes: ByteCount(12 << 20),
            halted: None,
            lost: Vec::new(),
        }
    }

    #[test]
    fn one_vdisk() {
        let expected = "\
disk1: serving
  address       nbd://127.0.0.1:10809/disk1
  size          10 GiB (10737418240 bytes)
  stored        1.5 GiB
  not safe yet  12 MiB
  number        1, generation 3
";
        assert_eq!(render(&sample()), expected);
    }

    #[test]
    fn trouble_is_told() {
        let halted = Vdisk { halted: Some("a sync failed".into()), ..sample() };
        assert!(render(&halted).starts_with("disk1: halted\n  because       a sync failed\n"));
        let range = LostRange { offset: ByteCount(1 << 20), length: ByteCount(4096) };
        let text = render(&Vdisk { lost: vec![range], ..sample() });
        assert!(text.starts_with("disk1: data lost\n"), "{text}");
        assert!(text.ends_with("  can't be read 4 KiB at 1 MiB (byte 1048576)\n"), "{text}");
    }
}
