//! Runs by seed: objects come, are read and go, while messages are lost and ASDs fail and come back.

use core::time::Duration;
use std::collections::BTreeMap;

use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use glossary::Generation;

use crate::world::{World, bytes_of, config, data, get, put, sco};

/// Operations of a run.
const OPERATIONS: u64 = 60;

struct Run {
    world: World,
    /// The objects that are there: clusters and salt.
    model: BTreeMap<u64, (usize, u64)>,
    next: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut config = config(8);
        config.settings.chunks_in_flight_max = 2;
        config.settings.manifests_cached_max = 3;
        config.settings.slack = Duration::from_millis(2);
        let mut world = World::with_config(config, &["4,3,6,1", "2,3,4,1"], seed);
        world.weather.lost = world.random.below(40);
        world.weather.doubled = world.random.below(100);
        world.weather.jitter = Duration::from_millis(world.random.below(10));
        Run { world, model: BTreeMap::new(), next: 1 }
    }

    fn operate(&mut self) {
        match self.world.random.below(10) {
            0..3 => self.put(),
            3..7 => self.get(),
            7 => self.delete(),
            8 => self.disturb(),
            _ => self.world.restart(),
        }
    }

    fn put(&mut self) {
        let clusters = 1 + self.world.random.below(60) as usize;
        let (number, salt) = (self.next, self.world.random.next_u64());
        self.next += 1;
        let answer = self.world.insist(put(sco(number), &data(clusters, salt)));
        assert!(matches!(answer, ObjectAnswer::Stored { .. }), "{answer:?}");
        self.model.insert(number, (clusters, salt));
    }

    fn get(&mut self) {
        let Some(number) = self.any() else { return };
        let (clusters, salt) = self.model[&number];
        let first = self.world.random.below(clusters as u64);
        let count = 1 + self.world.random.below(clusters as u64 - first);
        let answer = self.world.insist(get(sco(number), first, count));
        let range = first as usize * 4096..(first + count) as usize * 4096;
        assert_eq!(bytes_of(&answer), data(clusters, salt).slice(range), "object {number}");
    }

    fn delete(&mut self) {
        let Some(number) = self.any() else { return };
        let body = ObjectBody::Delete { generation: Generation(1), names: vec![sco(number)] };
        assert_eq!(self.world.insist(body), ObjectAnswer::Done);
        self.model.remove(&number);
        let answer = self.world.insist(get(sco(number), 0, 1));
        assert_eq!(answer, ObjectAnswer::Failed(ObjectError::NotFound));
    }

    /// At most one ASD is away and one careless with damage: as 2 more than k are always stored, that may not show.
    fn disturb(&mut self) {
        for asd in &mut self.world.asds {
            (asd.dead, asd.full) = (false, false);
        }
        let victim = self.world.random.below(8) as usize;
        self.world.asds[victim].dead = self.world.random.below(2) == 0;
        self.world.asds[victim].full = self.world.random.below(2) == 0;
        self.world.asds[0].careless = true;
        let keys: Vec<_> = self.world.asds[0].values.keys().cloned().collect();
        if !keys.is_empty() {
            let key = &keys[self.world.random.below(keys.len() as u64) as usize];
            let mut value = self.world.asds[0].values[key].to_vec();
            let at = self.world.random.below(value.len() as u64) as usize;
            value[at] ^= 1 << self.world.random.below(8);
            self.world.asds[0].values.insert(key.clone(), value.into());
        }
    }

    fn any(&mut self) -> Option<u64> {
        let count = self.model.len() as u64;
        let chosen = (count > 0).then(|| self.world.random.below(count))?;
        self.model.keys().nth(chosen as usize).copied()
    }
}

#[test]
fn objects_survive_what_may_happen() {
    let mut totals = BTreeMap::<&str, u64>::new();
    for seed in 0..60 {
        let mut run = Run::new(seed);
        for _ in 0..OPERATIONS {
            run.operate();
            for (name, value) in run.world.status().1 {
                let total = totals.entry(name).or_default();
                *total = (*total).max(value);
            }
        }
        run.world.check_manifests();
        run.world.asds.iter_mut().for_each(|asd| (asd.dead, asd.full) = (false, false));
        for (number, (clusters, salt)) in run.model.clone() {
            let answer = run.world.insist(get(sco(number), 0, clusters as u64));
            assert_eq!(bytes_of(&answer), data(clusters, salt), "seed {seed}, object {number}");
        }
    }
    // A run in which nothing goes wrong proves nothing.
    for name in [
        "reconstructs",
        "hedges",
        "replacements",
        "late_joins",
        "damaged_blocks",
        "resends",
        "osds_lost",
        "garbage_deleted",
        "deletes",
    ] {
        assert!(totals[name] > 0, "it never came to {name}");
    }
}

#[test]
fn without_loss_and_restarts_nothing_is_left_behind() {
    for seed in 100..120 {
        let mut run = Run::new(seed);
        (run.world.weather.lost, run.world.weather.doubled) = (0, 0);
        for _ in 0..OPERATIONS {
            match run.world.random.below(4) {
                0..2 => run.put(),
                2 => run.get(),
                _ => run.delete(),
            }
        }
        run.world.run_for(Duration::from_secs(30));
        assert_eq!(run.world.stored(), run.world.named().len(), "seed {seed}");
    }
}

/// Crashes leave fragments behind, of uploads and of deletions: collection finds them, and takes nothing else.
#[test]
fn collection_finds_what_crashes_leave_behind() {
    let (mut orphans, mut epochs) = (0, 0);
    for seed in 200..240 {
        let mut run = Run::new(seed);
        // So soon that sequences of an earlier life are still on their way.
        run.world.weather.jitter = Duration::from_millis(run.world.random.below(60));
        run.world.config.settings.collect_first = Duration::from_millis(1 + run.world.random.below(40));
        run.world.config.settings.collect_every = Duration::from_millis(1 + run.world.random.below(200));
        run.world.config.settings.collect_objects_max = 1 + run.world.random.below(9) as usize;
        run.world.restart();
        for _ in 0..OPERATIONS {
            run.operate();
            if run.world.random.below(4) == 0 {
                // Half way through an upload of which nobody will ever ask again.
                let (number, clusters) = (run.next, 1 + run.world.random.below(60) as usize);
                run.next += 1;
                run.world.send(crate::world::NAMESPACE, put(sco(number), &data(clusters, seed)));
                let longest = 6 * (1 + run.world.weather.jitter.as_nanos() as u64);
                let time = run.world.random.below(longest.max(6_000_000));
                run.world.run_for(Duration::from_nanos(time));
                run.world.restart();
            }
            run.world.check_manifests();
        }
        run.world.asds.iter_mut().for_each(|asd| (asd.dead, asd.full, asd.busy) = (false, false, 0));
        (run.world.weather.lost, run.world.weather.doubled) = (0, 0);
        run.put();
        run.world.run_for(Duration::from_secs(120));
        run.world.check_manifests();
        for (number, (clusters, salt)) in run.model.clone() {
            let answer = run.world.insist(get(sco(number), 0, clusters as u64));
            assert_eq!(bytes_of(&answer), data(clusters, salt), "seed {seed}, object {number}");
        }
        (orphans, epochs) =
            (orphans + run.world.counter("orphans_found"), epochs + run.world.counter("epochs_ended"));
        let names: Vec<_> = run.world.kv.manifests.keys().map(|(_, name)| *name).collect();
        let delete = ObjectBody::Delete { generation: Generation(1), names };
        assert_eq!(run.world.insist(delete), ObjectAnswer::Done);
        run.world.run_for(Duration::from_secs(120));
        assert_eq!(run.world.stored(), 0, "seed {seed}");
    }
    assert!(orphans > 20 && epochs > 20, "{orphans} orphans, {epochs} epochs");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut run = Run::new(seed);
        (0..20).for_each(|_| run.operate());
        (run.world.now, run.world.status().1, run.world.named())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
