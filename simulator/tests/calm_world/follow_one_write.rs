//! Prints docs/follow-one-write.txt: what one write goes through, hop by hop. `UPDATE=1` writes it anew.

mod places;

use std::fmt::Write;
use std::path::Path;

use crate::world::{Arrival, GUEST, Hop, World};
use bytes::Bytes;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest};
use formats::message::guest::{GuestAnswer, GuestBody, GuestRequest};
use formats::work::Work;
use formats::{Event, Message, Payload};
use glossary::{ByteCount, CLUSTER_BYTES, NodeId, VdiskId};
use simulator::Random;
use simulator::cluster::{Cluster, Layout, NodeSpec, Part};
use simulator::disk::Folder;
use simulator::roles_cluster::RolesFactory;
use simulator::runs::Factory;
use step::DiskOperation;

const DOCUMENT: &str = "../docs/follow-one-write.txt";

/// A seed whose cluster has one Edge and eight ASDs with policy 4,2,6,1.
const SEED: u64 = 3;

const INTRODUCTION: &str = "\
One write of 4 KiB to a vDisk that was written before, with nothing else going on; then a flush, then
`ovs vdisk sync`. A line for each hop: who gets what, what it means, and the code that takes it on. Hops that
several ASDs take at once share a line. An NBD client's request becomes the guest's in shell/gateway.

This file is written by a test: UPDATE=1 cargo test -p simulator --test calm_world
";

#[test]
fn the_document_is_what_happens() {
    let (mut world, layout) = a_cluster();
    let vdisk = a_used_vdisk(&mut world, &layout);
    let mut text = INTRODUCTION.to_owned();
    let (answer, hops) = guest(&mut world, &layout, write_of(vdisk, 2));
    assert_eq!(answer, GuestAnswer::Done);
    tell(&mut text, &layout, "write", &hops);
    let (answer, hops) = guest(&mut world, &layout, GuestBody::Flush { vdisk });
    assert_eq!(answer, GuestAnswer::Done);
    tell(&mut text, &layout, "flush", &hops);
    let name = layout.guests[0].vdisk.clone();
    let (answer, hops) = operator(&mut world, &layout, AdminBody::SyncVdisk { name });
    assert_eq!(answer, AdminAnswer::Done);
    tell(&mut text, &layout, "sync", &hops);
    compare(&text);
}

#[test]
fn every_place_is_there() {
    for (file, function) in places::all() {
        let path = Path::new("..").join(file);
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {function}")), "{file} has no function {function}");
    }
}

/// A cluster of the simulator, whose nodes have started.
fn a_cluster() -> (World, Layout) {
    let cluster = RolesFactory { bug: None, members: Some(1), groups: Some(0) }.make(SEED);
    let layout = cluster.layout().clone();
    let nodes: Vec<NodeId> = (0..layout.nodes.len() as u32).map(NodeId).collect();
    let disk = |spec: &NodeSpec| Folder::new(&spec.files, spec.capacity, Random::stream(SEED, "disk"));
    let folders = layout.nodes.iter().map(disk).collect();
    let mut world = World::new(nodes.iter().map(|&node| cluster.build(node)).collect(), folders);
    for (kv, message) in &layout.prologue {
        world.start(*kv, 1);
        world.command(*kv, message);
    }
    let others = nodes.into_iter().filter(|node| layout.prologue.iter().all(|(kv, _)| kv != node));
    others.for_each(|node| world.start(node, 1));
    (world, layout)
}

/// A vDisk with a write to it, and roles that have nothing left to do after their start.
fn a_used_vdisk(world: &mut World, layout: &Layout) -> VdiskId {
    let spec = layout.guests[0].clone();
    world.rest();
    let body = AdminBody::CreateVdisk { name: spec.vdisk.clone(), size: ByteCount(spec.size_bytes) };
    assert_eq!(operator(world, layout, body).0, AdminAnswer::Done);
    let (answer, _) = guest(world, layout, GuestBody::Attach { name: spec.vdisk.clone() });
    let GuestAnswer::Attached { vdisk, .. } = answer else { panic!("not attached: {answer:?}") };
    // What is pushed first makes the objects client know the namespace.
    assert_eq!(guest(world, layout, write_of(vdisk, 0)).0, GuestAnswer::Done);
    assert_eq!(operator(world, layout, AdminBody::SyncVdisk { name: spec.vdisk }).0, AdminAnswer::Done);
    assert_eq!(guest(world, layout, write_of(vdisk, 1)).0, GuestAnswer::Done);
    world.rest();
    vdisk
}

fn write_of(vdisk: VdiskId, cluster: u64) -> GuestBody {
    let payload = Payload::entering(Bytes::from(vec![7; CLUSTER_BYTES as usize]));
    GuestBody::Write { vdisk, offset: cluster * CLUSTER_BYTES, fua: false, payload }
}

fn guest(world: &mut World, layout: &Layout, body: GuestBody) -> (GuestAnswer, Vec<Hop>) {
    let (edge, request) = (layout.guests[0].edge, world.next_request());
    let (message, hops) = world.ask(edge, Message::Guest(GuestRequest { request, body }));
    let Message::GuestReply(reply) = message else { panic!("no answer: {message:?}") };
    (reply.body, hops)
}

fn operator(world: &mut World, layout: &Layout, body: AdminBody) -> (AdminAnswer, Vec<Hop>) {
    let (driver, request) = (layout.guests[0].volume_driver, world.next_request());
    let (message, hops) = world.ask(driver, Message::Admin(AdminRequest { request, body }));
    let Message::AdminReply(reply) = message else { panic!("no answer: {message:?}") };
    (reply.body, hops)
}

/// A line of the document: how many nodes of a part, and what reaches each of them.
type Line = (Option<Part>, String, usize);

/// Writes a section: its hops, those that are alike in one line when only ASDs, who work side by side, are between.
fn tell(text: &mut String, layout: &Layout, section: &str, hops: &[Hop]) {
    writeln!(text, "\n{}\n", section.to_uppercase()).expect("strings take it");
    let mut lines: Vec<Line> = Vec::new();
    for (node, arrival) in hops {
        let Some(what) = what(arrival) else { continue };
        let part = (*node != GUEST).then(|| layout.node(*node).part);
        let is_asd = |line: &&mut Line| line.0 == Some(Part::Asd);
        let alike = match part {
            Some(Part::Asd) => lines.iter_mut().rev().take_while(is_asd).find(|line| line.1 == what),
            _ => lines.last_mut().filter(|line| (line.0, &line.1) == (part, &what)),
        };
        match alike {
            Some(line) => line.2 += 1,
            None => lines.push((part, what, 1)),
        }
    }
    lines.iter().for_each(|line| writeln!(text, "{}", told(section, line)).expect("strings take it"));
}

fn told(section: &str, (part, what, count): &Line) -> String {
    let Some(part) = *part else { return format!("{:<15} {what}", "guest") };
    let (means, places) =
        places::find(section, part, what).unwrap_or_else(|| panic!("the table has no `{what}` of {part:?}"));
    let who = match part {
        Part::Edge => "Edge".to_owned(),
        Part::VolumeDriver => "volume driver".to_owned(),
        Part::Objects => "objects client".to_owned(),
        Part::Asd => format!("{count} ASDs"),
        Part::Kv => "KV".to_owned(),
    };
    let times = if *count > 1 && part != Part::Asd { format!(" x {count}") } else { String::new() };
    let mut handled = String::new();
    for (index, (file, function)) in places.iter().enumerate() {
        match index.checked_sub(1).map(|before| places[before].0 == *file) {
            Some(true) => write!(handled, ", {function}").expect("strings take it"),
            Some(false) => write!(handled, "; {file} {function}").expect("strings take it"),
            None => write!(handled, "{file} {function}").expect("strings take it"),
        }
    }
    format!("{who:<15} {what}{times}: {means} ({handled})")
}

/// What arrives, in few words; none for what is only told of here when it ends, and for timers.
fn what(arrival: &Arrival) -> Option<String> {
    match arrival {
        Arrival::Event(Event::Message { message, .. }) => Some(name_of(message)),
        Arrival::Event(_) => None,
        Arrival::Work(_, Work::Check(_)) => Some("work check".into()),
        Arrival::Work(..) => Some("work encode".into()),
        Arrival::Disk(_, what) => Some(disk(what)),
    }
}

/// The names of a message and of its body: `Edge Write`.
fn name_of(message: &Message) -> String {
    let text = format!("{message:?}");
    let word = |text: &str| text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let body = text.split("body: ").nth(1).unwrap_or_default();
    format!("{} {}", word(&text), word(body))
}

fn disk(what: &DiskOperation) -> String {
    match what {
        DiskOperation::Write { file, pieces, .. } => {
            format!("write {} of {}", part_of(pieces), kind(file.as_str()))
        }
        DiskOperation::WriteThrough { file, pieces, .. } => {
            format!("write {} of {} through", part_of(pieces), kind(file.as_str()))
        }
        DiskOperation::Create { file } => format!("create {}", kind(file.as_str())),
        DiskOperation::Read { file, .. } => format!("read {}", kind(file.as_str())),
        DiskOperation::Sync { file } => format!("sync {}", kind(file.as_str())),
        DiskOperation::Delete { file } => format!("delete {}", kind(file.as_str())),
        DiskOperation::List => "list".into(),
        DiskOperation::Space => "space".into(),
        DiskOperation::Commit { table, .. } => format!("commit {table}"),
        DiskOperation::ReadOn { table, .. } => format!("read on {table}"),
    }
}

/// What kind of file has this name.
fn kind(name: &str) -> &str {
    let name = name.split('.').next_back().unwrap_or(name);
    match name.split('-').next().unwrap_or(name) {
        "sco" => "SCO",
        "tlog" => "TLog",
        other => other,
    }
}

/// What part of its file is written.
fn part_of(pieces: &[Bytes]) -> &'static str {
    let start = pieces.first().map(|piece| &piece[..piece.len().min(8)]).unwrap_or_default();
    match start {
        b"OVSSCOTR" => "trailer",
        [b'B', b'T', b'C', b'H', 0, 0, 0, 0] => "mark",
        [b'B', b'T', b'C', b'H', ..] => "batch",
        [b'O', b'V', b'S', ..] => "header",
        _ => "data",
    }
}

fn compare(text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(DOCUMENT, text).expect("the document can be written");
    }
    let found = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    let differs = found.lines().zip(text.lines()).find(|(found, wanted)| found != wanted);
    assert!(
        found == text,
        "{DOCUMENT} is out of date, first at {differs:?}; UPDATE=1 cargo test -p simulator --test calm_world"
    );
}
