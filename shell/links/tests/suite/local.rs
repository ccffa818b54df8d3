//! Clients on the same machine.

use std::os::unix::fs::PermissionsExt;

use formats::Message;
use formats::frame;
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest};
use formats::message::kv::{KvAnswer, KvError, KvReply};
use glossary::NodeId;
use links::Bounds;

use crate::bed::{Bed, KV, MUCH, trail_of};
use crate::client::{Client, bytes_of, get, rest_of, set};
use std::io::Write;

#[test]
fn clients_ask_and_are_told_apart_whoever_they_say_they_are() {
    let bed = Bed::new(Bounds::default());
    let mode = std::fs::metadata(bed.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (mut first, mut second) = (Client::connect(&bed), Client::connect(&bed));
    first.send(&get(1, "a"));
    second.send(&get(1, "b"));
    let (first, second) = (first.value(1), second.value(1));
    let node = |answer: &[u8]| {
        let text = String::from_utf8(answer.to_vec()).unwrap();
        text.split_once(' ').unwrap().0.parse::<u32>().unwrap()
    };
    assert!(first.ends_with(b" a") && second.ends_with(b" b"));
    assert!(node(&first) >= 0x8000_0000 && node(&second) >= 0x8000_0000);
    assert_ne!(node(&first), node(&second));
}

#[test]
fn what_comes_byte_by_byte_and_all_at_once_is_the_same() {
    let bed = Bed::new(Bounds::default());
    let mut client = Client::connect(&bed);
    for byte in bytes_of(&get(1, "slow")) {
        client.stream.write_all(&[byte]).unwrap();
    }
    assert!(client.value(1).ends_with(b" slow"));
    let many: Vec<u8> = (2..500).flat_map(|request| bytes_of(&get(request, "fast"))).collect();
    client.stream.write_all(&many).unwrap();
    (2..500).for_each(|request| assert!(client.value(request).ends_with(b" fast")));
}

#[test]
fn a_client_that_does_not_take_its_answers_is_not_read_from() {
    let bounds = Bounds { in_flight_max: 4, unsent_max: 2 * MUCH, ..Bounds::default() };
    let bed = Bed::new(bounds);
    let (mut idle, mut other) = (Client::connect(&bed), Client::connect(&bed));
    let many: Vec<u8> = (1..=200).flat_map(|request| bytes_of(&get(request, ""))).collect();
    idle.stream.write_all(&many).unwrap();
    for request in 1..=20 {
        assert!(other.ask(request, "x").ends_with(" x"), "others are served");
        // What the socket holds, what waits to be sent, and what is in flight: no more than that is asked.
        assert!(bed.asked() <= 20 + 4 + 2 + 1 + 4, "{}", bed.asked());
    }
    for request in 1..=200 {
        assert_eq!(idle.value(request).len(), MUCH);
    }
    assert_eq!(bed.asked(), 220);
}

#[test]
fn long_requests_wait_for_room_before_they_are_received() {
    let bed = Bed::new(Bounds { requests_bytes_max: 300_000, ..Bounds::default() });
    let (mut first, mut second) = (Client::connect(&bed), Client::connect(&bed));
    let long = bytes_of(&set(1, 250_000));
    first.stream.write_all(&long[..1000]).unwrap();
    assert!(
        Client::connect(&bed).ask(1, "x").ends_with(" x"),
        "the first's header was read by now, or will be"
    );
    let writer = {
        let (mut stream, long) = (second.stream.try_clone().unwrap(), bytes_of(&set(2, 2_000_000)));
        std::thread::spawn(move || stream.write_all(&long))
    };
    first.stream.write_all(&long[1000..]).unwrap();
    let done = |message| matches!(message, (_, Message::KvReply(KvReply { body: KvAnswer::Done(_), .. })));
    assert!(done(first.receive()));
    assert!(done(second.receive()), "what is longer than all room gets it alone");
    writer.join().unwrap().unwrap();
    let (mut third, mut fourth) = (Client::connect(&bed), Client::connect(&bed));
    for _ in 0..20 {
        third.send(&set(3, 200_000));
        fourth.send(&set(4, 200_000));
        assert!(done(third.receive()) && done(fourth.receive()));
    }
}

#[test]
fn what_a_local_client_may_not_say_ends_its_connection() {
    let bed = Bed::new(Bounds::default());
    let elsewhere = formats::frame::encode(&get(1, "x"), glossary::NodeId(3), glossary::NodeId(2)).concat();
    let reply = Message::KvReply(KvReply { request: 1, body: KvAnswer::Done(Vec::new()) });
    let mut damaged = bytes_of(&get(1, "x"));
    *damaged.last_mut().unwrap() ^= 1;
    for bad in [elsewhere, bytes_of(&reply), damaged, vec![0; 100]] {
        let mut client = Client::connect(&bed);
        client.stream.write_all(&bad).unwrap();
        assert_eq!(rest_of(&mut client.stream), b"");
    }
    assert_eq!(bed.asked(), 0);
    let long = Bed::new(Bounds { frame_bytes_max: 10_000, ..Bounds::default() });
    let mut client = Client::connect(&long);
    client.stream.write_all(&bytes_of(&set(1, 20_000))[..44]).unwrap();
    assert_eq!(rest_of(&mut client.stream), b"", "a length is judged before what it announces comes");
}

#[test]
fn a_newer_client_is_told_that_its_question_is_not_known_here() {
    let bed = Bed::new(Bounds::default());
    let mut client = Client::connect(&bed);
    for (request, body) in [(7, &[8, 7, 99][..]), (8, &[13, 1, 8, 99]), (9, &[10, 9, 99])] {
        client.stream.write_all(&frame::of_newer(NodeId(3), KV, request, body)).unwrap();
        let (from, answer) = client.receive();
        assert_eq!((from, answer.request()), (KV, request));
        match answer {
            Message::KvReply(reply) => assert_eq!(reply.body, KvAnswer::Failed(KvError::Unknown)),
            Message::AdminReply(AdminReply { body: AdminAnswer::Failed(why), .. }) => {
                assert!(why.contains("older than the one that asks"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    // What can't be answered is dropped.
    client.stream.write_all(&frame::of_newer(NodeId(3), KV, 0, &[99])).unwrap();
    assert!(client.ask(10, "hello").ends_with(" hello"));
}

#[test]
fn verbs_leave_a_trail_and_questions_do_not() {
    let bed = Bed::new(Bounds::default());
    let mut client = Client::connect(&bed);
    let name = glossary::VdiskName::new("disk1").unwrap();
    for (request, body) in [(1, AdminBody::Status), (2, AdminBody::SyncVdisk { name })] {
        client.send(&Message::Admin(AdminRequest { request, body }));
        let (_, answer) = client.receive();
        assert!(matches!(answer, Message::AdminReply(reply) if matches!(reply.body, AdminAnswer::Failed(_))));
    }
    let text = trail_of(&bed, 2);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().all(|line| line.contains("disk1") && line.contains("\"who\":\"user ")), "{text}");
    assert!(lines[0].contains("\"outcome\":null") && lines[1].contains("an echo has no vDisks"), "{text}");
}

#[test]
fn links_that_stop_answer_what_they_took() {
    let bed = Bed::new(Bounds::default());
    let mut client = Client::connect(&bed);
    assert!(client.ask(1, "x").ends_with(" x"));
    assert!(bed.stop_links());
    assert_eq!(rest_of(&mut client.stream), b"");
    assert!(!bed.socket().exists());
}
