//! Every checker sees what it is for, and nothing where all is well.

use bytes::Bytes;
use formats::message::guest::GuestError;

use super::*;
use crate::Moment;
use crate::disk::Crash;
use crate::workload::{Outcome, Request, pattern};

const SIZE: u64 = 4096;
const STAMP: u32 = 7;

/// A history that is told by hand. Every operation takes 5: it is sent at `at` and ends at `at + 5`.
struct Told(History);

impl Told {
    fn new() -> Self {
        let mut told = Told(History::new(SIZE, STAMP));
        told.add(0, Request::Attach, Outcome::Done);
        told
    }

    fn add(&mut self, at: u64, request: Request, outcome: Outcome) -> u64 {
        let number = self.0.sent(Moment(at), request);
        self.0.ended(Moment(at + 5), number, outcome);
        number
    }

    fn write(&mut self, at: u64, sector: u64) -> u64 {
        self.add(at, write(sector, 1), Outcome::Done)
    }

    fn discard(&mut self, at: u64, sector: u64) -> u64 {
        let request = Request::Discard { offset: sector * 512, length: 512, fua: false };
        self.add(at, request, Outcome::Done)
    }

    fn flush(&mut self, at: u64) {
        self.add(at, Request::Flush, Outcome::Done);
    }

    /// A read of a sector that sees what a write left, or zeros for 0.
    fn read(&mut self, at: u64, sector: u64, writer: u64) {
        let data = match writer {
            0 => Bytes::from_static(&[0; 512]),
            _ => pattern::bytes(self.0.signature(writer), sector * 512, 512),
        };
        self.add(at, read(sector), Outcome::Data(data));
    }

    /// Everything dies at once, the owner by a power cut, and comes back.
    fn lose_everything(&mut self, at: u64) {
        self.0.crashed(Moment(at), true, Crash::Power);
        self.0.edge_died(Moment(at));
        self.add(at + 1, Request::Attach, Outcome::Done);
    }

    fn broken(&self) -> Vec<Promise> {
        let mut promises: Vec<_> = check(&self.0).into_iter().map(|violation| violation.promise).collect();
        promises.dedup();
        promises
    }
}

fn write(sector: u64, sectors: u64) -> Request {
    Request::Write { offset: sector * 512, length: sectors * 512, fua: false }
}

fn read(sector: u64) -> Request {
    Request::Read { offset: sector * 512, length: 512 }
}

#[test]
fn p1_an_acknowledged_write_survives_a_crash_of_the_process() {
    let mut told = Told::new();
    let (first, second) = (told.write(10, 0), told.write(20, 0));
    told.0.crashed(Moment(30), true, Crash::Process);
    told.0.edge_died(Moment(30));
    told.add(40, Request::Attach, Outcome::Done);
    let mut stale = Told(told.0.clone());
    told.read(50, 0, second);
    assert_eq!(told.broken(), []);
    stale.read(50, 0, first);
    assert_eq!(stale.broken(), [Promise::P1]);
}

#[test]
fn p1_and_the_power_loss_of_the_owner_alone() {
    let mut told = Told::new();
    let (first, second) = (told.write(10, 0), told.write(20, 0));
    // The Edge lives and sends it again.
    told.0.crashed(Moment(30), true, Crash::Power);
    let mut stale = Told(told.0.clone());
    told.read(50, 0, second);
    assert_eq!(told.broken(), []);
    stale.read(50, 0, first);
    assert_eq!(stale.broken(), [Promise::P1]);
}

#[test]
fn p2_a_flushed_write_survives_everything() {
    for is_flushed in [false, true] {
        let mut told = Told::new();
        let (_, second) = (told.write(10, 0), told.write(20, 0));
        if is_flushed {
            told.flush(30);
        }
        told.write(40, 1);
        told.lose_everything(50);
        let mut lost = Told(told.0.clone());
        told.read(60, 0, second);
        assert_eq!(told.broken(), []);
        lost.read(60, 0, 0);
        assert_eq!(lost.broken(), if is_flushed { vec![Promise::P2] } else { vec![] });
    }
}

#[test]
fn p2_a_flush_covers_what_was_answered_before_it_was_sent() {
    let mut told = Told::new();
    told.write(10, 0);
    told.add(12, Request::Flush, Outcome::Done);
    told.lose_everything(50);
    told.read(60, 0, 0);
    assert_eq!(told.broken(), []);
}

#[test]
fn p2_fua_is_a_flush_of_itself_and_by_p3_of_all_before() {
    let mut told = Told::new();
    let unflushed = told.write(10, 0);
    let fua = Request::Write { offset: 512, length: 512, fua: true };
    let stable = told.add(20, fua, Outcome::Done);
    told.lose_everything(50);
    let base = Told(told.0.clone());
    told.read(60, 0, unflushed);
    told.read(70, 1, stable);
    assert_eq!(told.broken(), []);
    let mut lost = Told(base.0.clone());
    lost.read(60, 1, 0);
    assert_eq!(lost.broken(), [Promise::P2]);
    let mut lost = base;
    lost.read(60, 0, 0);
    assert_eq!(lost.broken(), [Promise::P3]);
}

#[test]
fn p3_a_lost_write_takes_all_later_ones_with_it() {
    let mut told = Told::new();
    let (first, second) = (told.write(10, 0), told.write(20, 1));
    told.lose_everything(50);
    let base = told.0.clone();
    for (seen_first, seen_second, expected) in
        [(first, second, vec![]), (first, 0, vec![]), (0, 0, vec![]), (0, second, vec![Promise::P3])]
    {
        let mut told = Told(base.clone());
        told.read(60, 0, seen_first);
        told.read(70, 1, seen_second);
        assert_eq!(told.broken(), expected, "{seen_first} {seen_second}");
    }
}

#[test]
fn p3_a_write_in_doubt_that_is_there_counts_as_later_too() {
    let mut told = Told::new();
    told.write(10, 0);
    let in_doubt = told.0.sent(Moment(20), write(1, 1));
    told.lose_everything(50);
    told.read(60, 1, in_doubt);
    assert_eq!(told.broken(), []);
    told.read(70, 0, 0);
    assert_eq!(told.broken(), [Promise::P3]);
}

#[test]
fn p3_a_write_in_doubt_may_be_there_in_part() {
    let mut told = Told::new();
    told.write(10, 0);
    let in_doubt = told.0.sent(Moment(20), write(1, 2));
    told.lose_everything(50);
    told.read(60, 1, in_doubt);
    told.read(70, 2, 0);
    assert_eq!(told.broken(), []);
    told.read(80, 0, 0);
    assert_eq!(told.broken(), [Promise::P3]);
}

#[test]
fn p3_only_the_last_write_of_the_prefix_may_be_cut() {
    for cut_is_last in [false, true] {
        let mut told = Told::new();
        let cut = told.add(10, write(1, 2), Outcome::Done);
        let later = told.write(20, 0);
        told.lose_everything(50);
        told.read(60, 1, cut);
        told.read(70, 2, 0);
        told.read(80, 0, if cut_is_last { 0 } else { later });
        assert_eq!(told.broken(), if cut_is_last { vec![] } else { vec![Promise::P3] });
    }
}

#[test]
fn p3_what_was_lost_does_not_come_back() {
    let mut told = Told::new();
    let lost = told.write(10, 0);
    told.lose_everything(50);
    told.read(60, 0, 0);
    let base = told.0.clone();
    told.read(80, 0, lost);
    assert_eq!(told.broken(), [Promise::P1]);
    let mut again = Told(base);
    again.write(70, 1);
    again.lose_everything(80);
    again.read(90, 0, lost);
    assert_eq!(again.broken(), []); // not seen missing in the era between: nothing contradicts
}

#[test]
fn p3_discards_are_changes_too() {
    let mut told = Told::new();
    let first = told.write(10, 0);
    told.flush(20);
    told.discard(30, 0);
    let later = told.write(40, 1);
    told.lose_everything(50);
    told.read(60, 1, later);
    let base = told.0.clone();
    told.read(70, 0, 0);
    assert_eq!(told.broken(), []);
    let mut undone = Told(base);
    undone.read(70, 0, first);
    assert_eq!(undone.broken(), [Promise::P3]);
}

#[test]
fn p3_overlapping_writes_take_effect_in_one_order() {
    for crossed in [false, true] {
        let mut told = Told::new();
        let first = told.add(10, write(0, 2), Outcome::Done);
        let second = told.add(11, write(0, 2), Outcome::Done);
        told.read(30, 0, first);
        told.read(40, 1, if crossed { second } else { first });
        assert_eq!(told.broken(), if crossed { vec![Promise::P3] } else { vec![] });
    }
}

#[test]
fn p5_no_value_from_the_past() {
    let mut told = Told::new();
    let first = told.write(10, 0);
    let second = told.write(20, 0);
    told.read(22, 0, first);
    told.read(23, 0, second);
    told.read(30, 0, second);
    assert_eq!(told.broken(), []);
    told.read(40, 0, first);
    assert!(told.broken().contains(&Promise::P5));
}

#[test]
fn p5_no_two_reads_in_opposite_orders() {
    let mut told = Told::new();
    let first = told.add(10, write(0, 1), Outcome::Done);
    let second = told.0.sent(Moment(11), write(0, 1));
    told.0.ended(Moment(60), second, Outcome::Done);
    told.read(20, 0, second);
    told.read(30, 0, second);
    assert_eq!(told.broken(), []);
    told.read(40, 0, first);
    assert_eq!(told.broken(), [Promise::P5]);
}

#[test]
fn p5_zeros_come_from_a_discard_or_the_beginning() {
    let mut told = Told::new();
    told.read(5, 0, 0);
    let first = told.write(10, 0);
    let base = told.0.clone();
    told.discard(20, 0);
    told.read(30, 0, 0);
    assert_eq!(told.broken(), []);
    told.read(40, 0, first);
    assert!(told.broken().contains(&Promise::P5));
    let mut gone = Told(base);
    gone.read(30, 0, 0);
    assert!(gone.broken().contains(&Promise::P5));
}

#[test]
fn p5_zeros_may_come_from_a_discard_in_doubt() {
    let mut told = Told::new();
    told.write(10, 0);
    told.0.sent(Moment(20), Request::Discard { offset: 0, length: 512, fua: false });
    told.0.crashed(Moment(25), true, Crash::Process);
    told.0.edge_died(Moment(25));
    told.add(30, Request::Attach, Outcome::Done);
    told.read(40, 0, 0);
    assert_eq!(told.broken(), []);
}

#[test]
fn p5_holes_are_zeros() {
    let mut told = Told::new();
    told.write(10, 0);
    let extents = Request::Extents { offset: 0, length: 1024 };
    told.add(20, extents, Outcome::Extents(vec![(512, true), (512, false)]));
    assert_eq!(told.broken(), []);
    told.add(30, extents, Outcome::Extents(vec![(1024, false)]));
    assert!(told.broken().contains(&Promise::P5));
}

#[test]
fn p5_a_write_in_doubt_happens_before_the_next_attachment_or_never() {
    let mut told = Told::new();
    let in_doubt = told.0.sent(Moment(10), write(0, 1));
    told.0.crashed(Moment(15), false, Crash::Process);
    told.0.edge_died(Moment(15));
    told.add(20, Request::Attach, Outcome::Done);
    let base = told.0.clone();
    told.read(30, 0, in_doubt);
    assert_eq!(told.broken(), []);
    let mut late = Told(base);
    late.read(30, 0, 0);
    assert_eq!(late.broken(), []);
    late.read(40, 0, in_doubt);
    assert_eq!(late.broken(), [Promise::P5]);
}

#[test]
fn p5_what_was_in_doubt_may_have_been_seen_and_vanish_but_not_come_back() {
    let mut told = Told::new();
    let first = told.write(10, 0);
    let in_doubt = told.0.sent(Moment(20), write(0, 1));
    told.read(25, 0, in_doubt);
    told.0.crashed(Moment(35), true, Crash::Process);
    told.0.edge_died(Moment(35));
    told.add(40, Request::Attach, Outcome::Done);
    told.read(50, 0, first);
    assert_eq!(told.broken(), []);
    told.read(60, 0, in_doubt);
    assert_eq!(told.broken(), [Promise::P1]);
}

#[test]
fn p5_so_may_a_discard() {
    let mut told = Told::new();
    let first = told.write(10, 0);
    told.0.sent(Moment(20), Request::Discard { offset: 0, length: 512, fua: false });
    told.read(25, 0, 0);
    told.0.crashed(Moment(35), true, Crash::Process);
    told.0.edge_died(Moment(35));
    told.add(40, Request::Attach, Outcome::Done);
    told.read(50, 0, first);
    assert_eq!(told.broken(), []);
    told.read(60, 0, 0);
    assert_ne!(told.broken(), []);
}

#[test]
fn p5_parts_of_sectors_are_told_apart() {
    let mut told = Told::new();
    let whole = told.write(10, 0);
    let part = Request::Write { offset: 100, length: 50, fua: false };
    let inner = told.add(20, part, Outcome::Done);
    let mix = |told: &Told, inner: u64, with: u64| {
        let mut data = pattern::bytes(told.0.signature(with), 0, 512).to_vec();
        if inner > 0 {
            data[100..150].copy_from_slice(&pattern::bytes(told.0.signature(inner), 100, 50));
        }
        Outcome::Data(data.into())
    };
    let good = mix(&told, inner, whole);
    told.add(30, read(0), good);
    assert_eq!(told.broken(), []);
    let stale = mix(&told, 0, whole);
    told.add(40, read(0), stale);
    assert!(told.broken().contains(&Promise::P5));
}

#[test]
fn p6_bytes_that_nobody_wrote() {
    let mut told = Told::new();
    let writer = told.write(10, 0);
    let good = pattern::bytes(told.0.signature(writer), 0, 512);
    let mut flipped = good.to_vec();
    flipped[300] ^= 4;
    let foreign = pattern::bytes(u64::from(STAMP + 1) << 32 | writer, 0, 512);
    let misplaced = pattern::bytes(told.0.signature(writer), 512, 512);
    let future = pattern::bytes(told.0.signature(9), 0, 512);
    let base = told.0.clone();
    told.add(20, read(0), Outcome::Data(good));
    assert_eq!(told.broken(), []);
    for data in [flipped.into(), foreign, misplaced, future] {
        let mut told = Told(base.clone());
        told.add(20, read(0), Outcome::Data(data));
        assert_eq!(told.broken(), [Promise::P6]);
    }
    let mut told = Told(base);
    told.add(20, read(0), Outcome::Nonsense("something else"));
    assert_eq!(told.broken(), [Promise::P6]);
}

#[test]
fn failed_changes_may_have_happened_or_not() {
    let mut told = Told::new();
    let failed = told.add(10, write(0, 1), Outcome::Failed(GuestError::NoSpace));
    told.read(20, 0, 0);
    told.read(30, 0, failed);
    assert_eq!(told.broken(), []);
}

#[test]
fn p5_what_failed_may_have_been_seen_before_and_vanish_but_not_come_back() {
    let mut told = Told::new();
    let first = told.write(10, 0);
    let failed = told.0.sent(Moment(20), write(0, 1));
    told.read(25, 0, failed);
    told.0.ended(Moment(35), failed, Outcome::Failed(GuestError::NoSpace));
    told.read(50, 0, first);
    assert_eq!(told.broken(), []);
    told.read(60, 0, failed);
    assert_eq!(told.broken(), [Promise::P5]);
}
