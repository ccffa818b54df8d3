//! What becomes of servers and their disks.

use super::Members;
use crate::support::disk::{Disk, rot_table};
use formats::Event;
use kv::Kv;
use step::FileName;

impl Members {
    /// Takes a server's disk away. It comes back as another member, or as the one it was, which is forbidden.
    pub(crate) fn wipe(&mut self, index: usize, is_told: bool) {
        self.crash(index);
        self.servers[index].disk = Disk::default();
        self.disks_lost[index] += u32::from(is_told);
        self.start(index);
    }

    /// Nothing more can be written to a server's disk.
    pub(crate) fn fill(&mut self, index: usize) {
        let disk = &mut self.servers[index].disk;
        disk.room = Some(disk.used());
    }

    /// There is room on all disks again.
    pub(crate) fn make_room(&mut self) {
        self.servers.iter_mut().for_each(|server| server.disk.room = None);
    }

    /// A server's table rots while it is down: so many pairs, or nothing can be read of it any more.
    pub(crate) fn rot_table(&mut self, index: usize, pairs: Option<usize>) {
        self.crash(index);
        let (disk, chance) = (&mut self.servers[index].disk, &mut self.chance);
        let table = FileName::new(format_args!("table"));
        match pairs {
            Some(pairs) => {
                let table = disk.tables.get_mut(&table).expect("there is a table");
                (0..pairs).for_each(|_| rot_table(table, chance));
            }
            None => drop(disk.damaged.insert(table)),
        }
        self.start(index);
    }

    /// A server dies, and starts again.
    pub(crate) fn restart(&mut self, index: usize) {
        self.crash(index);
        self.start(index);
    }

    /// A server starts again, and finds so little room that it takes only commands that remove.
    pub(crate) fn narrow(&mut self, index: usize) {
        self.crash(index);
        let disk = &mut self.servers[index].disk;
        disk.room = Some(disk.used() + 100_000);
        self.start(index);
    }

    /// Cuts these off from the others.
    pub(crate) fn cut_off(&mut self, servers: &[usize]) {
        self.cut = servers.iter().copied().collect();
    }

    /// A server's process ends, and half the time its power goes.
    pub(super) fn crash(&mut self, index: usize) {
        let power = self.chance.one_in(2);
        self.crash_with(index, power);
    }

    /// The room loses power.
    pub(super) fn black_out(&mut self) {
        (0..self.servers.len()).for_each(|index| self.crash_with(index, true));
    }

    fn crash_with(&mut self, index: usize, power: bool) {
        self.crashes += 1;
        let server = &mut self.servers[index];
        server.kv = None;
        server.timers.clear();
        for (_, what) in std::mem::take(&mut server.operations) {
            server.disk.interrupt(what, &mut self.chance);
        }
        if power {
            server.disk.cut_power(&mut self.chance);
        }
    }

    pub(super) fn start(&mut self, index: usize) {
        let config = self.config(index);
        let server = &mut self.servers[index];
        server.kv = Some(Kv::new(config));
        server.lives += 1;
        let mut seed = [index as u8 + 1; 32];
        seed[0] = server.lives;
        self.step(index, Event::Start { seed }).expect("a start halts nothing");
    }
}
