//! Random changes, flushes and reads with crashes at any point, against an array (P2, P3, P6).

use std::collections::BTreeMap;

use crate::world::{CLUSTER, SIZE, World};
use bytes::Bytes;
use formats::Payload;
use formats::message::admin::AdminBody;
use formats::message::edge::{EdgeAnswer, EdgeBody};
use glossary::ByteCount;
use step::Bug;

const BYTES: usize = (SIZE * CLUSTER) as usize;

/// What the client did, and what it must find again.
#[derive(Default)]
struct Client {
    changes: BTreeMap<u64, (u64, Option<Bytes>, u64)>,
    next: u64,
    /// Every change up to this one was answered.
    answered: u64,
    /// Every change up to this one was answered before a flush that returned was sent.
    flushed: u64,
    /// The volume after the changes up to `base`.
    image: Vec<u8>,
    base: u64,
}

impl Client {
    fn new() -> Self {
        Client { next: 1, image: vec![0; BYTES], ..Client::default() }
    }

    fn make_change(&mut self, world: &mut World) -> (u64, EdgeBody) {
        let change = self.next;
        self.next += 1;
        let random = &mut world.random;
        let aligned = random.below(3) > 0;
        let unit = if aligned { CLUSTER } else { 512 };
        let offset = random.below(SIZE * CLUSTER / unit) * unit;
        let length = ((1 + random.below(if aligned { 12 } else { 40 })) * unit).min(SIZE * CLUSTER - offset);
        if random.below(5) == 0 {
            self.changes.insert(change, (offset, None, length));
            (change, EdgeBody::Discard { change, offset, length, fua: false })
        } else {
            let fill = random.next_u64() as u8 | 1;
            let data: Bytes =
                (0..length).map(|i| fill ^ (i / 512) as u8 ^ change as u8).collect::<Vec<u8>>().into();
            self.changes.insert(change, (offset, Some(data.clone()), length));
            (change, EdgeBody::Write { change, offset, fua: false, payload: Payload::entering(data) })
        }
    }

    fn apply(image: &mut [u8], (offset, data, length): &(u64, Option<Bytes>, u64)) {
        let range = *offset as usize..(offset + length) as usize;
        match data {
            Some(data) => image[range].copy_from_slice(data),
            None => image[range].fill(0),
        }
    }

    /// Finds the prefix of changes that the volume equals, and goes on from there.
    fn check(&mut self, found: &[u8], required: u64, what: &str) {
        let mut image = self.image.clone();
        let mut cut = self.base;
        loop {
            if image == found && cut >= required
                || cut + 1 > required && self.is_torn_next(&image, found, cut)
            {
                break;
            }
            cut += 1;
            let Some(change) = self.changes.get(&cut).filter(|_| cut < self.next) else {
                panic!("{what}: the volume equals no prefix that holds change {required}");
            };
            Self::apply(&mut image, change);
        }
        self.image = found.to_vec();
        self.base = self.next - 1;
        (self.answered, self.flushed) = (self.base, self.base);
        self.changes.clear();
    }

    /// Of the last change that is there, when nothing promises it, whole clusters may be missing (L2).
    fn is_torn_next(&self, image: &[u8], found: &[u8], cut: u64) -> bool {
        let Some(next) = self.changes.get(&(cut + 1)) else {
            return false;
        };
        let mut after = image.to_vec();
        Self::apply(&mut after, next);
        let size = CLUSTER as usize;
        (0..SIZE as usize).all(|cluster| {
            let range = cluster * size..(cluster + 1) * size;
            found[range.clone()] == image[range.clone()] || found[range.clone()] == after[range]
        })
    }
}

fn run(seed: u64, bug: Option<Bug>) {
    let mut world = World::new(seed, bug);
    let mut client = Client::new();
    for round in 0..6 {
        let opened = world.open(client.next);
        assert!(matches!(opened, EdgeAnswer::Opened { .. }), "seed {seed}: {opened:?}");
        let all = world.read(0, SIZE).unwrap_or_else(|| panic!("seed {seed}: reads"));
        if round > 0 {
            let required = if client.base == u64::MAX { 0 } else { client.flushed };
            client.check(&all.contiguous(), required, &format!("seed {seed} round {round}"));
        }
        work(&mut world, &mut client);
        crash(&mut world, &mut client);
        world.restart();
    }
}

/// Some changes and flushes, several in flight.
fn work(world: &mut World, client: &mut Client) {
    let mut flush: Option<(u64, u64)> = None;
    let mut open: BTreeMap<u64, u64> = BTreeMap::new();
    let operations = 5 + world.random.below(60);
    for _ in 0..operations {
        if world.random.below(8) == 0 && flush.is_none() {
            flush = Some((world.ask(EdgeBody::Flush), client.answered));
        } else if open.len() < 6 {
            let (change, body) = client.make_change(world);
            let twice = (world.random.below(10) == 0).then(|| body.clone());
            let request = world.ask(body);
            if let Some(body) = twice {
                world.ask_again(request, body);
            }
            open.insert(request, change);
        }
        for _ in 0..world.random.below(30) {
            world.go();
        }
        for (request, answer) in world.answers.split_off(0) {
            if open.remove(&request).is_some() {
                assert_eq!(answer, EdgeAnswer::Done);
                // The client's next change is sent after this answer.
                client.answered = open.values().min().map_or(client.next - 1, |oldest| oldest - 1);
            } else if let Some((asked, covers)) = flush
                && asked == request
            {
                assert_eq!(answer, EdgeAnswer::Done);
                client.flushed = client.flushed.max(covers);
                flush = None;
            }
        }
    }
}

fn crash(world: &mut World, client: &mut Client) {
    let mut random = world.random.clone();
    if random.below(2) == 0 {
        world.disk.process_crash(&mut random);
        // Everything acknowledged survives the death of the process.
        client.flushed = client.answered;
    } else {
        world.disk.power_cut(&mut random);
    }
    world.random = random;
}

#[test]
fn the_volume_is_always_a_prefix_that_holds_what_was_promised() {
    for seed in 0..250 {
        run(seed, None);
    }
}

/// Planted bugs that a crash of the volume driver alone shows.
const BUGS: [Bug; 7] = [
    Bug::AckBeforeSync,
    Bug::TlogBeforeSco,
    Bug::TornTailAccepted,
    Bug::DiscardNotLogged,
    Bug::OverlapInTwoOrders,
    Bug::ChangeAppliedTwice,
    Bug::LiveScoDeleted,
];

#[test]
fn planted_bugs_are_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let found = |bug| (0..200).any(|seed| std::panic::catch_unwind(|| run(seed, Some(bug))).is_err());
    let missed: Vec<Bug> = BUGS.into_iter().filter(|bug| !found(*bug)).collect();
    let _ = std::panic::take_hook();
    assert_eq!(missed, [], "not found within 200 seeds");
}

#[test]
fn after_a_push_the_backend_alone_is_enough() {
    for seed in 0..40 {
        let mut world = World::new(seed, None);
        let mut client = Client::new();
        assert!(matches!(world.open(1), EdgeAnswer::Opened { .. }));
        work(&mut world, &mut client);
        while world.go() {}
        world.push();
        client.flushed = client.next - 1;
        world.disk.remove_all(|name| name.starts_with("d1."));
        world.restart();
        assert!(matches!(world.open(client.next), EdgeAnswer::Opened { .. }));
        let found = world.read(0, SIZE).expect("everything is on the backend");
        let required = client.flushed;
        client.check(&found.contiguous(), required, &format!("seed {seed}"));
    }
}

/// The vDisk's first change claims the write buffer in the record that management changes at the same time: each in its
/// turn, and no session ends of it. Also where management asks as the driver hears that the claim was taken.
#[test]
fn management_and_the_vdisk_change_its_record_in_turn() {
    for seed in 0..600 {
        let mut world = World::new(seed, None);
        let mut client = Client::new();
        assert!(matches!(world.open(1), EdgeAnswer::Opened { .. }));
        let (_, body) = client.make_change(&mut world);
        let request = world.ask(body);
        for _ in 0..seed % 60 {
            world.go();
        }
        let size = ByteCount((SIZE + 1) * CLUSTER);
        world.manage((0..3).map(|_| AdminBody::ResizeVdisk { name: crate::world::name(), size }).collect());
        assert_eq!(world.answer_to(request), Some(EdgeAnswer::Done), "seed {seed}: in the same session");
    }
}

/// A local file is damaged between two lives. Without the operator's word the vDisk halts, a read fails, or everything
/// promised is there; with it, the vDisk serves a prefix of its changes, and keeps what is promised from then on.
#[test]
fn damage_is_never_silent_and_a_word_goes_past_it() {
    let mut halts = 0;
    for seed in 0..250 {
        let mut world = World::new(seed, None);
        let mut client = Client::new();
        assert!(matches!(world.open(1), EdgeAnswer::Opened { .. }));
        work(&mut world, &mut client);
        // What is flushed and rests a while has a mark behind it, which tells damage from a tail (L3); a power cut may
        // take the mark.
        let promised = if seed % 2 == 0 {
            while world.go() {}
            world.ask(EdgeBody::Flush);
            while world.go() {}
            client.next - 1
        } else {
            crash(&mut world, &mut client);
            0
        };
        let mut random = world.random.clone();
        let Some(what) = world.disk.damage(&mut random, |name| name.starts_with("d1.")) else { continue };
        // A log that lost its end with the marks in it can't be told from one whose end was never written.
        let cut_log = what.contains("tlog") && !what.starts_with("flips");
        let promised = if cut_log { 0 } else { promised };
        let what = format!("seed {seed} {what}");
        world.restart();
        match world.open(client.next) {
            EdgeAnswer::Opened { .. } => match world.read(0, SIZE) {
                Some(found) => client.check(&found.contiguous(), promised, &what),
                None => continue,
            },
            _ => {
                halts += 1;
                world.accept_loss = true;
                world.restart();
                assert!(
                    matches!(world.open(client.next), EdgeAnswer::Opened { .. }),
                    "{what}: {:?}",
                    world.halted
                );
                let found = world.read(0, SIZE).unwrap_or_else(|| panic!("{what}: reads"));
                client.check(&found.contiguous(), 0, &what);
            }
        }
        work(&mut world, &mut client);
        crash(&mut world, &mut client);
        world.accept_loss = false;
        world.restart();
        assert!(matches!(world.open(client.next), EdgeAnswer::Opened { .. }), "{what}: {:?}", world.halted);
        let found = world.read(0, SIZE).unwrap_or_else(|| panic!("{what}: reads later"));
        let promised = client.flushed;
        client.check(&found.contiguous(), promised, &format!("{what}, later"));
    }
    assert!(halts > 5, "damage was seen {halts} times");
}
