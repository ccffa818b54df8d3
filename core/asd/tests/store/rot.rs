//! Bits that rot between two lives.

use formats::Event;
use step::{Bug, TimerId};

use crate::lives::{Plan, Run, Totals};
use crate::replay::{lost, puts};

impl Run {
    /// Waits until nothing is in flight and the last sync has its mark, and perhaps until all is tidy too.
    fn wind_down(&mut self) {
        if self.chance(2) {
            self.world.rest();
        }
        self.world.event(Event::TurnEnd);
        self.world.settle();
        if self.world.timers.contains_key(&TimerId(1)) {
            self.world.fire(TimerId(1));
            self.world.settle();
        }
    }

    /// A bit flips: anywhere, or in a record that some key needs.
    fn rot(&mut self) {
        let needed = puts(&self.world.disk);
        let (name, start, length) = if self.chance(2) || needed.is_empty() {
            let names = self.world.disk.names();
            let name = names[self.entropy.below(names.len() as u64) as usize];
            (name, 0, self.world.disk.bytes(name).len())
        } else {
            let (name, start, length) = needed[self.entropy.below(needed.len() as u64) as usize];
            // Its head, which says what there was, or anything of it.
            if self.chance(2) { (name, start, 16) } else { (name, start, length) }
        };
        let bit = start * 8 + self.entropy.below(length as u64 * 8) as usize;
        self.world.disk.rot(name, bit);
    }
}

/// A life, a bit that rots while nothing runs, and another life: it says so or doesn't serve.
pub(crate) fn rot_once(seed: u64, bug: Option<Bug>) -> Result<Totals, String> {
    let mut run = Run::new(seed, Plan { bug, rot: true, ..Plan::default() });
    if !run.begin()? {
        return Err("a healthy disk doesn't serve".into());
    }
    for _ in 0..100 + run.entropy.below(500) {
        run.act()?;
        run.look()?;
    }
    run.wind_down();
    run.look()?;
    run.rot();
    run.world.reborn();
    for _ in 0..2 {
        if !run.begin()? {
            run.totals.not_serving += 1;
            return Ok(run.totals);
        }
        run.audit()?;
        for _ in 0..300 {
            run.act()?;
            run.look()?;
        }
        run.world.rest();
        run.look()?;
        run.audit()?;
        run.totals.lost += lost(&run.world.disk);
        run.world.reborn();
    }
    Ok(run.totals)
}

#[test]
fn what_rots_is_told_and_never_forgotten() {
    let mut totals = Totals::default();
    for seed in 0..80 {
        match rot_once(seed, None) {
            Ok(found) => {
                totals.not_serving += found.not_serving;
                totals.damaged += found.damaged;
                totals.lost += found.lost;
            }
            Err(why) => panic!("seed {seed}: {why}"),
        }
    }
    assert!(totals.not_serving > 2 && totals.damaged > 10 && totals.lost > 10, "{totals:?}");
}
