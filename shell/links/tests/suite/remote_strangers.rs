//! Those who have no certificate: they must not crash, stall or fill a server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use certificates::Role;
use links::Bounds;

use crate::client::{client_hello, rest_of};
use crate::servers::World;

/// The start of a handshake, as a client of the right cluster makes it.
fn client_hello_of_tls(world: &World) -> Vec<u8> {
    let credentials = certificates::Credentials::load(&world.path("reader")).unwrap();
    let name = certificates::server_name(world.authority.cluster()).try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(credentials.client(), name).unwrap();
    let mut bytes = Vec::new();
    tls.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn bytes_of_anybody_end_in_a_closed_connection() {
    let mut world = World::new();
    let server = world.start(1, Bounds::default());
    world.issue_client("reader", &[Role::Client]);
    let hello = client_hello_of_tls(&world);
    let mut flipped = hello.clone();
    flipped[50] ^= 0xff;
    let huge_record = [&[22, 3, 1, 0xff, 0xff][..], &[1; 70_000]].concat();
    let endless_handshake: Vec<u8> =
        [&[22, 3, 1, 0x40, 0][..], &[1, 0xff, 0xff, 0xff], &[0; 16380]].concat().repeat(10);
    let plain = client_hello().encode();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), plain, vec![0; 1000], huge_record, endless_handshake] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        // It may be closed before all of it is written.
        let _ = stream.write_all(&bytes);
        let answer = rest_of(&mut stream);
        assert!(answer.len() < 100, "an alert at most");
    }
    for cut in [1, 5, 6, 100, hello.len() - 1] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(&hello[..cut]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        rest_of(&mut stream);
    }
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(&flipped).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    rest_of(&mut stream);
    assert!(world.client(&server, "reader").ask(1, "u/x").ends_with(" u/x"));
    assert_eq!(server.bed.asked(), 1);
}

#[test]
fn handshakes_that_never_end_keep_nobody_out() {
    let mut world = World::new();
    let server = world.start(1, Bounds { strangers_max: 8, connections_max: 10, ..Bounds::default() });
    world.issue_client("reader", &[Role::Client]);
    let hello = client_hello_of_tls(&world);
    let mut strangers: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    for (stranger, at) in strangers.iter_mut().zip(0..) {
        // Nothing, a part, all of their first words; some are closed by now.
        let _ = stranger.write_all(&hello[..hello.len() * (at % 3) / 2]);
    }
    let mut clients: Vec<_> = (0..5).map(|_| world.client(&server, "reader")).collect();
    assert!(clients.iter_mut().all(|client| client.ask(1, "u/x").ends_with(" u/x")));
}

#[test]
fn who_takes_too_long_is_dropped() {
    let mut world = World::new();
    let server = world.start(1, Bounds { hello_max: Duration::from_millis(100), ..Bounds::default() });
    world.issue_client("reader", &[Role::Client]);
    let hello = client_hello_of_tls(&world);
    let mut silent = TcpStream::connect(server.address).unwrap();
    let mut halfway = TcpStream::connect(server.address).unwrap();
    halfway.write_all(&hello).unwrap();
    assert_eq!(rest_of(&mut silent), b"");
    let mut first = [0];
    halfway.read_exact(&mut first).unwrap();
    rest_of(&mut halfway);
}

#[test]
fn a_certificate_of_another_cluster_opens_nothing() {
    let (mut world, other) = (World::new(), World::new());
    let server = world.start(1, Bounds::default());
    other.issue_client("reader", &[Role::Admin]);
    assert!(other.greet(&server, "reader", &client_hello()).is_err());
    assert_eq!(server.bed.asked(), 0);
}
