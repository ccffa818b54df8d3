//! What each command does, and what the Edge is asked for it.

use crate::bed::{Bed, GATEWAY, PATIENCE};
use crate::client::{
    DISCONNECT, FAST, FLUSH, FUA, NO_HOLE, ONE, READ, Reply, STATUS, TRIM, WRITE, ZEROES, request,
};
use crate::volumes::SIZE;

const NO_SPACE: u32 = 28;
const INPUT_OUTPUT: u32 = 5;
const NOT_SUPPORTED: u32 = 95;
const INVALID: u32 = 22;

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|index| ((index * 7 + seed) >> 2) as u8).collect()
}

#[test]
fn exports_are_the_vdisks() {
    let bed = Bed::new();
    let mut client = bed.connect();
    client.negotiate(true);
    assert_eq!(client.list(), ["disk", "full", "broken", "slow"]);
    for unknown in ["nothing", "no/name", "", &"a".repeat(65)] {
        assert_eq!(client.go(unknown), None, "{unknown:?}");
    }
    assert_eq!(client.go("disk"), Some(SIZE));
    assert_eq!(client.ask(READ, 0, SIZE, 1), Reply::Error(INVALID));
    assert_eq!(client.ask(READ, 0, SIZE - 3, 3), Reply::Data(vec![0; 3]));
    client.send(DISCONNECT, 0, 0, 0, 0, &[]);
    assert!(client.is_closed());
}

#[test]
fn what_was_written_is_read_on_every_way() {
    for (shards, frames) in [(1, false), (2, false), (1, true)] {
        let settings = io::Settings { shards, frames, ..io::Settings::default() };
        let bed = Bed::on(settings, |settings| settings);
        for structured in [true, false] {
            let (mut one, mut other) = (bed.connect(), bed.connect());
            for client in [&mut one, &mut other] {
                client.negotiate(structured);
                assert_eq!(client.go("disk"), Some(SIZE));
            }
            for (offset, length) in [(0, 4096), (5000, 3), (4095, 2), (1 << 20, 1_000_003), (SIZE - 1, 1)] {
                let data = pattern(length, offset as usize);
                assert_eq!(one.write(0, offset, &data), Reply::Done);
                assert_eq!(other.ask(FLUSH, 0, 0, 0), Reply::Done);
                assert_eq!(other.ask(READ, 0, offset, length as u32), Reply::Data(data));
            }
        }
    }
}

#[test]
fn the_longest_write_goes_through() {
    let bed = Bed::new();
    let mut client = bed.attached("disk");
    let data = pattern(32 << 20, 3);
    assert_eq!(client.write(0, 4096, &data), Reply::Done);
    assert!(client.ask(READ, 0, 4096, 32 << 20) == Reply::Data(data));
    assert_eq!(client.ask(READ, 0, 0, (32 << 20) + 1), Reply::Error(INVALID));
}

#[test]
fn many_requests_in_one_breath_are_all_answered() {
    let bed = Bed::new();
    let mut client = bed.attached("disk");
    let mut breath = Vec::new();
    for number in 0..1000_u64 {
        let data = pattern(600, number as usize);
        breath.extend(request(WRITE, 0, 2 * number, number * 600, 600));
        breath.extend(&data);
        breath.extend(request(READ, 0, 2 * number + 1, number * 600, 600));
    }
    let mut sender = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &breath));
    let mut seen = vec![false; 2000];
    for _ in 0..2000 {
        let (cookie, reply) = client.reply(0);
        assert!(!std::mem::replace(&mut seen[cookie as usize], true));
        if cookie % 2 == 0 {
            assert_eq!(reply, Reply::Done);
        } else {
            // The memory Edge does one thing after the other.
            assert_eq!(reply, Reply::Data(pattern(600, cookie as usize / 2)));
        }
    }
    sending.join().unwrap().unwrap();
}

#[test]
fn each_command_asks_the_edge_for_what_it_means() {
    let bed = Bed::new();
    let mut client = bed.attached("disk");
    assert_eq!(client.write(FUA, 512, &[1; 100]), Reply::Done);
    assert_eq!(client.ask(TRIM, 0, 0, u32::MAX), Reply::Done);
    assert_eq!(client.ask(TRIM, FUA, 0, 7), Reply::Done);
    assert_eq!(client.ask(ZEROES, 0, 0, u32::MAX), Reply::Done);
    assert_eq!(client.ask(ZEROES, FAST | FUA, 1, 2), Reply::Done);
    assert_eq!(client.ask(FLUSH, 0, 0, 0), Reply::Done);
    let asked = "write 512+100 fua, discard 0+4294967295, discard 0+7 fua, discard 0+4294967295, discard 1+2 fua, flush";
    assert_eq!(bed.asked(), asked);

    assert_eq!(client.ask(ZEROES, NO_HOLE | FAST, 0, 4096), Reply::Error(NOT_SUPPORTED));
    assert_eq!(client.ask(ZEROES, NO_HOLE | FUA, 4_194_304 - 5, 4_194_304 + 7), Reply::Done);
    assert_eq!(bed.asked(), "write 4194299+5 fua, write 4194304+4194304 fua, write 8388608+2 fua");
    assert_eq!(
        client.ask(STATUS, 0, 4_194_304 - 4096, 4_194_304 + 16384),
        Reply::Status(vec![(4_194_304 + 8192, false), (8192, true)])
    );
    assert_eq!(client.ask(STATUS, ONE, 0, 1 << 30), Reply::Status(vec![(4_194_304 - 4096, true)]));
    assert_eq!(client.ask(READ, 0, 4_194_304 - 5, 3), Reply::Data(vec![0; 3]));
}

#[test]
fn failures_are_told_for_what_they_are() {
    let bed = Bed::new();
    let mut full = bed.attached("full");
    assert_eq!(full.write(0, 0, &[1; 4096]), Reply::Error(NO_SPACE));
    assert_eq!(full.ask(ZEROES, NO_HOLE, 0, 1 << 30), Reply::Error(NO_SPACE));
    assert_eq!(full.ask(READ, 0, 0, 1), Reply::Data(vec![0]));
    let mut broken = bed.attached("broken");
    assert_eq!(broken.write(0, 0, &[1; 4096]), Reply::Error(INPUT_OUTPUT));
    for command in [READ, FLUSH, TRIM, ZEROES, STATUS] {
        let length = if command == FLUSH { 0 } else { 4096 };
        assert_eq!(broken.ask(command, 0, 0, length), Reply::Error(INPUT_OUTPUT));
    }
}

#[test]
fn a_client_that_says_goodbye_gets_the_answers_it_waits_for() {
    let bed = Bed::new();
    for says_so in [true, false] {
        let mut client = bed.attached("slow");
        client.send(READ, 0, 1, 0, 4096, &[]);
        client.send(FLUSH, 0, 2, 0, 0, &[]);
        if says_so {
            client.send(DISCONNECT, 0, 0, 0, 0, &[]);
        } else {
            client.hang_up();
        }
        let mut released = 0;
        while released < 2 {
            released += bed.release();
        }
        assert_eq!(client.reply(0), (1, Reply::Data(vec![0; 4096])));
        assert_eq!(client.reply(0), (2, Reply::Done));
        assert!(client.is_closed());
    }
}

#[test]
fn a_gateway_stops_when_it_has_answered() {
    let bed = Bed::new();
    let mut client = bed.attached("slow");
    let mut idle = bed.attached("disk");
    client.send(FLUSH, 0, 1, 0, 0, &[]);
    let stopping = std::thread::spawn({
        let handle = bed.runtime.handle();
        move || handle.stop_node(GATEWAY, PATIENCE)
    });
    assert!(idle.is_closed());
    while bed.release() == 0 {}
    assert_eq!(client.reply(0), (1, Reply::Done));
    assert!(client.is_closed());
    stopping.join().unwrap().unwrap();
}
