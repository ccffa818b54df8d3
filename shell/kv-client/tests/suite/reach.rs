//! What there is where no member can be reached, and how the time for an answer is spent on looking for one.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use glossary::ServerId;
use kv_client::{Client, Dial, Error, Stream};

use super::server::{Manner, Servers};

/// What came of it when a stream was to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It takes as long as it may, and then nobody is there.
    Nobody,
    /// It takes half as long as it may, and who is there says nothing.
    Mute,
    /// To a server.
    Open,
    /// To a server, and then to nobody any more.
    Once,
}

/// What a client wanted of its [`Dial`].
#[derive(Debug, Default)]
struct Seen {
    dialled: Vec<(ServerId, Duration)>,
    /// The longest time that each stream to nobody was to be waited for.
    waited: Vec<Duration>,
}

/// Ways to servers, of which it is known how long each was tried.
#[derive(Clone)]
struct Ways {
    servers: Servers,
    way: Arc<Mutex<Way>>,
    seen: Arc<Mutex<Seen>>,
}

impl Ways {
    fn to(manners: &[Manner], way: Way) -> Ways {
        Ways { servers: Servers::start(manners), way: Arc::new(Mutex::new(way)), seen: Arc::default() }
    }

    fn client(&self, patience: Duration) -> Client {
        let mut client = Client::connect(Box::new(self.clone())).expect("nobody is asked yet");
        client.wait_for(patience);
        client
    }

    fn seen(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().expect("nobody panics"))
    }
}

impl Dial for Ways {
    fn servers(&self) -> Vec<ServerId> {
        self.servers.servers()
    }

    fn dial(&mut self, server: ServerId, patience: Duration) -> io::Result<Box<dyn Stream>> {
        self.seen.lock().expect("nobody panics").dialled.push((server, patience));
        let mut way = self.way.lock().expect("nobody panics");
        match *way {
            Way::Nobody => {
                std::thread::sleep(patience);
                Err(io::ErrorKind::TimedOut.into())
            }
            Way::Mute => {
                std::thread::sleep(patience / 2);
                let place = {
                    let mut seen = self.seen.lock().expect("nobody panics");
                    seen.waited.push(Duration::ZERO);
                    seen.waited.len() - 1
                };
                Ok(Box::new(Mute { place, seen: self.seen.clone() }))
            }
            Way::Open => self.servers.dial(server, patience),
            Way::Once => {
                *way = Way::Nobody;
                self.servers.dial(server, patience)
            }
        }
    }
}

/// A stream on which nothing ever comes.
struct Mute {
    place: usize,
    seen: Arc<Mutex<Seen>>,
}

impl Read for Mute {
    fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Write for Mute {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Mute {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        let waited = &mut self.seen.lock().expect("nobody panics").waited[self.place];
        *waited = patience.max(*waited);
        Ok(())
    }
}

const THREE: [Manner; 3] = [Manner::Silent; 3];

/// Each server is dialled for a third of the time, so that all are: what was spent is no more than there was, and one part.
#[test]
fn whom_nobody_answers_hears_it_in_time_and_has_asked_all() {
    let (patience, part) = (Duration::from_millis(900), Duration::from_millis(300));
    let ways = Ways::to(&THREE, Way::Nobody);
    let mut client = ways.client(patience);
    for is_read in [false, true] {
        let asked = if is_read { client.get(b"k").map(drop) } else { client.set(b"k", b"v") };
        let error = asked.expect_err("nobody is there");
        assert!(matches!(error, Error::Unreachable(_)) && error.is_harmless(), "{error}");
        let dialled = ways.seen().dialled;
        assert!(dialled.iter().all(|(_, patience)| *patience == part), "{dialled:?}");
        assert!((1..=3).all(|server| dialled.iter().any(|(to, _)| *to == ServerId(server))), "{dialled:?}");
        assert!(part * dialled.len() as u32 <= patience + part, "{dialled:?}");
    }
}

/// What dialling took is gone for whoever is there and doesn't say who it is.
#[test]
fn who_says_nothing_is_waited_for_no_longer_than_who_is_not_there() {
    let ways = Ways::to(&THREE, Way::Mute);
    let error = ways.client(Duration::from_millis(900)).get(b"k").expect_err("nobody says anything");
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    let seen = ways.seen();
    assert!(seen.waited.len() >= 3, "{seen:?}");
    let half = Duration::from_millis(150);
    assert!(seen.waited.iter().all(|waited| *waited > Duration::ZERO && *waited <= half), "{seen:?}");
}

/// Where there is hardly any time a stream can still be opened; where there is much, another server's turn comes soon.
#[test]
fn a_stream_is_opened_for_neither_too_short_nor_too_long() {
    for (patience, part) in [(30, 100), (900, 300), (8_700, 2_900), (60_000, 3_000)] {
        let ways = Ways::to(&[Manner::Kv, Manner::Silent, Manner::Silent], Way::Open);
        let mut client = ways.client(Duration::from_millis(patience));
        // Who has so little time may have too little for the answer.
        let _ = client.set(b"k", b"v");
        let first = ways.seen().dialled[0];
        assert_eq!(first, (ServerId(1), Duration::from_millis(part)), "of {patience} ms");
    }
}

/// Nothing has happened only where nothing has left: a command on a stream that broke since may have.
#[test]
fn what_was_sent_is_not_said_to_be_unreachable() {
    let ways = Ways::to(&THREE, Way::Once);
    // Longer than an answer is waited for before another server is asked.
    let mut client = ways.client(Duration::from_millis(1_200));
    let error = client.set(b"k", b"v").expect_err("nothing is answered");
    assert!(matches!(error, Error::TimedOut(Some(_))) && !error.is_harmless(), "{error}");
    let error = client.set(b"k", b"v").expect_err("nobody is there any more");
    assert!(matches!(error, Error::Unreachable(_)) && error.is_harmless(), "{error}");
}
