//! What a status reads like.

use api::model::{Facts, Kv, LostRange, Osd, OsdState, Vdisk, WriteBuffer};
use glossary::{OsdId, Policy, VdiskName};

use super::*;

fn osd(number: u32) -> Osd {
    Osd {
        osd: OsdId(number),
        name: format!("asd-{number}"),
        state: OsdState::Up,
        used: ByteCount(u64::from(number + 1) << 30),
        capacity: ByteCount(10 << 30),
        dead: ByteCount(128 << 20),
        keys: 100,
        trouble: None,
    }
}

fn vdisk(name: &str) -> Vdisk {
    Vdisk {
        name: VdiskName::new(name).unwrap(),
        id: 1,
        uri: format!("nbd://127.0.0.1:10809/{name}"),
        size: ByteCount(10 << 30),
        generation: 1,
        stored: ByteCount(3 << 30),
        unsafe_bytes: ByteCount(0),
        halted: None,
        lost: Vec::new(),
    }
}

fn facts() -> Facts {
    Facts {
        cluster: "ab".repeat(16),
        policies: vec![Policy { k: 4, m: 2, c: 6, x: 1 }],
        osds: (0..8).map(osd).collect(),
        vdisks: vec![vdisk("disk1"), vdisk("disk2")],
        write_buffer: WriteBuffer { used: ByteCount(512 << 20), limit: ByteCount(2 << 30) },
        kv: Kv { copies: 1, keys: 10, index: 20, trouble: None },
        memory_limit: ByteCount(1 << 30),
        troubles: Vec::new(),
    }
}

fn rendered(facts: Facts) -> String {
    render(&ClusterStatus::of(facts))
}

#[test]
fn healthy() {
    let expected = "\
healthy
  disks         8 of 8 serve, 2 more may fail
  room          36 GiB of 80 GiB used, 1 GiB of it dead; fullest asd-7 with 80%
  vDisks        2 with 6 GiB stored, of 20 GiB
  not safe yet  0 B; write buffer 512 MiB of 2 GiB (25%), cache included
  KV            a single copy: without its folder the cluster is lost
  policy        4,2,6,1; each disk counts as a storage node of its own
  memory        requests under way take at most 1 GiB
";
    assert_eq!(rendered(facts()), expected);
}

#[test]
fn degraded() {
    let mut facts = facts();
    for number in [2, 5] {
        facts.osds[number].state = OsdState::Missing;
        facts.osds[number].trouble = Some("its folder is not there".into());
    }
    facts.vdisks[0].unsafe_bytes = ByteCount(12 << 20);
    let expected = "\
degraded: asd-2, asd-5 missing (its folder is not there)
  also          automatic repair is not there yet
  disks         6 of 8 serve, 0 more may fail
  room          27 GiB of 60 GiB used, 768 MiB of it dead; fullest asd-7 with 80%
  vDisks        2 with 6 GiB stored, of 20 GiB
  not safe yet  12 MiB; write buffer 512 MiB of 2 GiB (25%), cache included
  KV            a single copy: without its folder the cluster is lost
  policy        4,2,6,1; each disk counts as a storage node of its own
  memory        requests under way take at most 1 GiB
";
    assert_eq!(rendered(facts), expected);
}

#[test]
fn lost() {
    let mut facts = facts();
    for number in 0..3 {
        facts.osds[number].state = OsdState::Missing;
    }
    facts.osds[3].state = OsdState::Stopped;
    let range = |offset| LostRange { offset: ByteCount(offset), length: ByteCount(16 << 20) };
    facts.vdisks[1].lost = vec![range(1 << 30), range(2 << 30), range(3 << 30)];
    facts.vdisks[1].halted = Some("a sync failed".into());
    let expected = "\
data lost: disk2 can't be read at 1 GiB for 16 MiB, and at 2 more places
  also          4 disks are away and 2 may be: what only they hold can't be read without them
  also          disk2 does not serve: a sync failed
  also          asd-0, asd-1, asd-2 missing
  also          asd-3 stopped
  also          automatic repair is not there yet
  disks         4 of 8 serve, 0 more may fail
";
    let text = rendered(facts);
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn many_reasons_are_cut() {
    let mut facts = facts();
    facts.troubles = (0..20).map(|number| format!("trouble {number}")).collect();
    let text = rendered(facts);
    assert!(text.starts_with("degraded: trouble 0\n"), "{text}");
    assert!(text.contains("also          trouble 10\n  also          9 more: see --json\n"), "{text}");
}

#[test]
fn nothing_at_all_is_no_reason_to_fail() {
    let mut facts = facts();
    (facts.osds, facts.vdisks, facts.policies) = (Vec::new(), Vec::new(), Vec::new());
    facts.write_buffer.limit = ByteCount(0);
    assert!(rendered(facts).starts_with("healthy\n  disks         0 of 0 serve, 0 more may fail\n"));
}
