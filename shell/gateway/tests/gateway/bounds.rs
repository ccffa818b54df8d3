//! What guests can cost, however many they are and whatever they do (P9).

use std::io::Write;
use std::time::Duration;

use gateway::Settings;

use crate::bed::Bed;
use crate::client::{FLUSH, READ, Reply, STATUS, WRITE, request};

const MEMORY: u64 = 96 << 20;

fn tight(settings: Settings) -> Settings {
    Settings { memory_bytes_max: MEMORY, ..settings }
}

#[test]
fn a_stalled_backend_fills_no_more_than_the_permitted_memory() {
    let bed = Bed::with(tight);
    let mut clients: Vec<_> = (0..24).map(|_| bed.attached("slow")).collect();
    // 24 x 12 MiB; what has no permit stays with the kernel and the clients.
    let senders: Vec<_> = clients
        .iter()
        .map(|client| {
            let mut stream = client.stream.try_clone().unwrap();
            std::thread::spawn(move || {
                for cookie in 0..6 {
                    stream.write_all(&request(WRITE, 0, cookie, cookie << 21, 2 << 20)).unwrap();
                    stream.write_all(&vec![cookie as u8; 2 << 20]).unwrap();
                }
            })
        })
        .collect();
    // As much as fits is taken in, though nothing is answered; and the next one would not fit.
    bed.until(|bed| bed.monitor.memory() > MEMORY - (4 << 20));
    let mut newcomer = bed.attached("disk");
    assert_eq!(newcomer.ask(FLUSH, 0, 0, 0), Reply::Done, "what takes no memory goes on");
    let mut left = 24 * 6;
    while left > 0 {
        left -= bed.release();
    }
    for client in &mut clients {
        for _ in 0..6 {
            assert_eq!(client.reply(0).1, Reply::Done);
        }
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert!(bed.monitor.memory_highest() <= MEMORY);
    bed.until(|bed| bed.monitor.memory() == 0);
}

#[test]
fn answers_count_until_they_are_sent() {
    let bed = Bed::with(tight);
    let mut deaf = bed.attached("disk");
    for cookie in 0..6 {
        deaf.send(READ, 0, cookie, 0, 32 << 20, &[]);
    }
    bed.until(|bed| bed.monitor.memory() > 16 << 20);
    // Others get what is left, and their turn.
    let mut other = bed.attached("disk");
    for _ in 0..50 {
        assert_eq!(other.ask(READ, 0, 0, 1 << 20), Reply::Data(vec![0; 1 << 20]));
    }
    assert!(bed.monitor.memory() > 16 << 20, "and the deaf one's answers still wait");
    for _ in 0..6 {
        assert_eq!(deaf.reply(0).1, Reply::Data(vec![0; 32 << 20]));
    }
    assert!(bed.monitor.memory_highest() <= MEMORY);
    bed.until(|bed| bed.monitor.memory() == 0);
}

#[test]
fn who_holds_memory_and_does_nothing_is_disconnected_when_others_need_it() {
    let bed = Bed::with(|settings| Settings { stall_max: Duration::from_millis(50), ..tight(settings) });
    let mut hoarders: Vec<_> = (0..2).map(|_| bed.attached("disk")).collect();
    for hoarder in &mut hoarders {
        hoarder.stream.write_all(&request(WRITE, 0, 1, 0, 32 << 20)).unwrap();
    }
    bed.until(|bed| bed.monitor.memory() > 80 << 20);
    let mut other = bed.attached("disk");
    assert_eq!(other.write(0, 0, &vec![5; 16 << 20]), Reply::Done);
    assert!(hoarders.iter_mut().any(|hoarder| hoarder.is_closed()));
    assert!(bed.monitor.refused() >= 1);
}

#[test]
fn who_leaves_in_the_middle_leaves_nothing_behind() {
    let bed = Bed::with(tight);
    for _ in 0..10 {
        let mut waiting = bed.attached("slow");
        for cookie in 0..4 {
            waiting.send(READ, 0, cookie, 0, 8 << 20, &[]);
        }
        let mut sending = bed.attached("slow");
        sending.stream.write_all(&request(WRITE, 0, 1, 0, 32 << 20)).unwrap();
        sending.stream.write_all(&[1; 100_000]).unwrap();
    }
    bed.until(|bed| {
        bed.release();
        bed.monitor.memory() == 0 && bed.monitor.connections() == 0
    });
    assert_eq!(bed.attached("disk").write(0, 0, &vec![5; 32 << 20]), Reply::Done);
}

#[test]
fn a_client_has_so_many_requests_under_way_and_no_more() {
    let bed = Bed::with(|settings| Settings { in_flight_max: 3, ..settings });
    let mut client = bed.attached("slow");
    for cookie in 0..8 {
        client.send(STATUS, 0, cookie, 4096 * cookie, 4096, &[]);
    }
    let mut released = Vec::new();
    while released.iter().sum::<usize>() < 8 {
        released.push(bed.release());
    }
    assert!(released.iter().all(|count| *count <= 3));
    for cookie in 0..8 {
        assert_eq!(client.reply(0), (cookie, Reply::Status(vec![(4096, true)])));
    }
}

#[test]
fn who_does_not_attach_in_time_is_disconnected() {
    let bed = Bed::with(|settings| Settings { handshake_max: Duration::from_millis(50), ..settings });
    let mut silent = bed.connect();
    silent.negotiate(true);
    assert!(silent.is_closed());
    assert_eq!(bed.monitor.refused(), 1);
}

#[test]
fn one_client_too_many_is_disconnected() {
    let bed = Bed::with(|settings| Settings { connections_max: 2, ..settings });
    let mut first = bed.attached("disk");
    let second = bed.attached("disk");
    assert!(bed.connect().is_closed());
    assert_eq!(first.ask(FLUSH, 0, 0, 0), Reply::Done);
    drop(second);
    bed.until(|bed| bed.monitor.connections() == 1);
    bed.attached("disk");
}

#[test]
fn the_printed_bound_covers_the_worst() {
    let settings = Settings::new(crate::volumes::EDGE);
    assert!(settings.memory_bound().0 > settings.memory_bytes_max);
    assert!(settings.memory_bound().0 < 64 * 64 * (32 << 20));
}

#[test]
#[should_panic(expected = "the longest request must fit")]
fn a_gateway_with_too_little_memory_is_a_mistake() {
    let settings = Settings { memory_bytes_max: 64 << 20, ..Settings::new(crate::volumes::EDGE) };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    drop(gateway::Nbd::new(listener, settings));
}
