//! Those who have not said who they are: they must not hold up, stall or fill a process.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use formats::hello::{Hello, Refusal, Versions};
use glossary::{ClusterIdentity, ServerId};
use links::Bounds;

use crate::bed::Bed;
use crate::client::{Client, client_hello, rest_of};

fn refusal(bed: &Bed, hello: &Hello) -> Option<Refusal> {
    let mut stream = UnixStream::connect(bed.socket()).unwrap();
    stream.write_all(&hello.encode()).unwrap();
    let answer = rest_of(&mut stream);
    Hello::decode(&answer).unwrap().and_then(|(hello, length)| {
        assert_eq!(length, answer.len(), "nothing follows a refusal");
        hello.refusal
    })
}

#[test]
fn who_does_not_belong_here_is_told_why() {
    let bed = Bed::new(Bounds::default());
    let other = Hello { cluster: Some(ClusterIdentity([8; 16])), ..client_hello() };
    assert_eq!(refusal(&bed, &other), Some(Refusal::Cluster));
    let newer = Hello { versions: Versions { oldest: 7, newest: 9 }, ..client_hello() };
    assert_eq!(refusal(&bed, &newer), Some(Refusal::Version));
    let mut server = UnixStream::connect(bed.socket()).unwrap();
    server.write_all(&Hello { server: Some(ServerId(2)), ..client_hello() }.encode()).unwrap();
    assert_eq!(rest_of(&mut server), b"", "nobody is a server without its certificate");
    let mut foreign = UnixStream::connect(bed.socket()).unwrap();
    foreign.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(rest_of(&mut foreign), b"");
    assert!(Client::connect(&bed).ask(1, "x").ends_with(" x"));
}

#[test]
fn strangers_keep_nobody_out() {
    let bed = Bed::new(Bounds { strangers_max: 4, connections_max: 6, ..Bounds::default() });
    let mut strangers: Vec<UnixStream> =
        (0..40).map(|_| UnixStream::connect(bed.socket()).unwrap()).collect();
    for stranger in &mut strangers {
        // Some were closed by now: the oldest go first.
        let _ = stranger.write_all(&client_hello().encode()[..20]);
    }
    let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(&bed)).collect();
    assert!(clients.iter_mut().all(|client| client.ask(1, "x").ends_with(" x")));
    assert_eq!(rest_of(&mut strangers[0]), b"");
    let mut stream = UnixStream::connect(bed.socket()).unwrap();
    let (full, _) = Hello::decode(&rest_of(&mut stream)).unwrap().unwrap();
    assert_eq!(full.refusal, Some(Refusal::Full), "no client makes room for another");
    clients.pop();
    drop(stream);
    loop {
        let mut stream = UnixStream::connect(bed.socket()).unwrap();
        let mut answer = [0; 44];
        let said = stream.write_all(&client_hello().encode()).and_then(|()| stream.read_exact(&mut answer));
        if said.is_ok() && Hello::decode(&answer).unwrap().unwrap().0.refusal.is_none() {
            break;
        }
    }
}

#[test]
fn who_never_says_hello_is_dropped_and_so_is_who_never_ends_a_long_request() {
    let bounds = Bounds { hello_max: Duration::ZERO, stall_max: Duration::ZERO, ..Bounds::default() };
    let bed = Bed::new(bounds);
    let mut silent = UnixStream::connect(bed.socket()).unwrap();
    assert_eq!(rest_of(&mut silent), b"");
    let mut client = Client::connect(&bed);
    client.stream.write_all(&crate::client::bytes_of(&crate::client::set(1, 1_000_000))[..5000]).unwrap();
    assert_eq!(rest_of(&mut client.stream), b"");
}

#[test]
fn much_that_is_no_hello_is_not_kept() {
    let bed = Bed::new(Bounds::default());
    let mut stranger = UnixStream::connect(bed.socket()).unwrap();
    let endless = [b"OVSHELLO".to_vec(), vec![0xff; 1 << 20]].concat();
    // The process closes long before it took all of it.
    assert!(stranger.write_all(&endless).is_err());
    assert!(Client::connect(&bed).ask(1, "x").ends_with(" x"));
}
