//! Servers and clients that talk through TLS.

use std::io::Write;

use certificates::Role;
use formats::Message;
use formats::frame;
use formats::hello::{Hello, Offers, Refusal};
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest};
use formats::message::kv::{
    Consistency, FunctionId, KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvReply, KvRequest, KvStep,
};
use formats::message::kv_range::KvRange;
use glossary::{NodeId, ServerId, VdiskName};
use links::{Bounds, Settings};

use crate::bed::trail_of;
use crate::client::{Client, client_hello, get, rest_of};
use crate::servers::{Server, World};

/// Asks until there is an answer: messages may be lost while links are made.
fn ask_until_answered(server: &Server, words: &str) -> String {
    for request in 1.. {
        let mut client = Client::connect(&server.bed);
        client.send(&get(request, words));
        client.stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        let mut answer = [0; 512];
        if let Ok(count) = std::io::Read::read(&mut client.stream, &mut answer) {
            let mut decoder = frame::Decoder::new();
            decoder.feed(answer[..count].to_vec().into());
            let (_, _, message) = decoder.next().unwrap().unwrap();
            let Message::KvReply(reply) = message else { panic!("{message:?}") };
            return format!("{:?}", reply.body);
        }
    }
    unreachable!("numbers don't end")
}

#[test]
fn nodes_of_servers_ask_each_other_and_nothing_is_lost_while_links_are_made() {
    let mut world = World::new();
    let (first, second) = (world.start(1, Bounds::default()), world.start(2, Bounds::default()));
    let expected = format!("{} hello", NodeId::kv_of(ServerId(1)));
    assert_eq!(Client::connect(&first.bed).ask(1, "via 2 hello"), expected);
    let expected = format!("{} back", NodeId::kv_of(ServerId(2)));
    assert_eq!(Client::connect(&second.bed).ask(1, "via 1 back"), expected);
    let mut client = Client::connect(&first.bed);
    let many = (1..=300).map(|request| get(request, &format!("via 2 {request}")));
    many.for_each(|question| client.send(&question));
    for request in 1..=300 {
        let answer = String::from_utf8(client.value(request)).unwrap();
        assert_eq!(answer, format!("{} {request}", NodeId::kv_of(ServerId(1))), "in order");
    }
    let long = "x".repeat(3_000_000);
    assert!(client.ask(301, &format!("via 2 {long}")).ends_with(&long));
}

/// Clients and nodes of other servers alike: they ask another at once. What would be its KV is not asked.
#[test]
fn a_server_without_a_kv_says_so() {
    let mut world = World::new();
    let first = world.start(1, Bounds::default());
    let settings = Settings { runs_kv: false, ..Settings::new(world.authority.cluster(), ServerId(2)) };
    let second = world.start_with(settings, &[Role::Asd]);
    let says_so = |request| {
        let body = KvAnswer::Failed(KvError::NotLeader { leader: None });
        Message::KvReply(KvReply { request, body })
    };
    world.issue_client("ann", &[Role::Admin]);
    let mut client = world.client(&second, "ann");
    client.send(&get(1, "x"));
    assert_eq!(client.receive().1, says_so(1));
    client.send(&Message::Admin(AdminRequest { request: 2, body: AdminBody::Status }));
    let (_, answer) = client.receive();
    let Message::AdminReply(AdminReply { request: 2, body: AdminAnswer::Failed(why) }) = answer else {
        panic!("{answer:?}")
    };
    assert!(why.contains("server 2 runs no KV"), "{why}");
    let mut client = Client::connect(&first.bed);
    client.send(&get(3, "via 2 x"));
    assert_eq!(client.receive().1, says_so(3));
    assert_eq!(second.bed.asked(), 0);
}

#[test]
fn a_server_that_comes_back_elsewhere_is_found_by_its_new_address() {
    let mut world = World::new();
    let (first, second) = (world.start(1, Bounds::default()), world.start(2, Bounds::default()));
    assert!(Client::connect(&first.bed).ask(1, "via 2 hello").ends_with("hello"));
    let before = second.address;
    drop(second);
    let second = world.start(2, Bounds::default());
    assert_ne!(second.address, before);
    ask_until_answered(&first, "via 2 again");
    assert!(second.bed.asked() > 0);
}

#[test]
fn a_server_at_the_wrong_address_hears_nothing_that_is_for_another() {
    let mut world = World::new();
    let (first, third) = (world.start(1, Bounds::default()), world.start(3, Bounds::default()));
    let addresses = [(1, first.address), (2, third.address), (3, third.address)];
    world.addresses.replace(addresses.map(|(server, address)| (ServerId(server), address)).into());
    let mut client = Client::connect(&first.bed);
    client.send(&get(1, "via 2 secret"));
    assert!(client.ask(2, "via 3 open").ends_with(" open"));
    // What a server had to say it has said when it is gone.
    drop(first);
    assert!(Client::connect(&third.bed).ask(1, "x").ends_with(" x"));
    assert_eq!(third.bed.asked(), 2);
}

#[test]
fn clients_may_what_their_certificates_say() {
    let mut world = World::new();
    let server = world.start(1, Bounds::default());
    world.issue_client("reader", &[Role::Client]);
    world.issue_client("root", &[Role::Admin]);
    world.issue_client("nobody", &[]);
    let verb = AdminBody::SyncVdisk { name: VdiskName::new("disk1").unwrap() };
    let verb = Message::Admin(AdminRequest { request: 2, body: verb });
    let mut reader = world.client(&server, "reader");
    assert!(reader.ask(1, "u/x").ends_with(" u/x"));
    reader.send(&verb);
    let refused = AdminAnswer::NotAllowed(
        "the certificate of reader does not allow this: use an administrator's".into(),
    );
    assert_eq!(reader.receive().1, Message::AdminReply(AdminReply { request: 2, body: refused }));
    reader.send(&Message::AdminReply(AdminReply { request: 3, body: AdminAnswer::Done }));
    assert_eq!(rest_of(&mut reader.stream), b"", "clients answer nothing");
    let mut root = world.client(&server, "root");
    assert!(root.ask(1, "x").ends_with(" x"));
    root.send(&verb);
    assert!(matches!(root.receive().1, Message::AdminReply(AdminReply { request: 2, .. })));
    let (_, refused) = world.greet(&server, "nobody", &client_hello()).unwrap();
    assert_eq!(refused.refusal, Some(Refusal::NotAllowed));
    let trail = trail_of(&server.bed, 3);
    let (refused, done): (Vec<&str>, Vec<&str>) = trail.lines().partition(|line| line.contains("NotAllowed"));
    assert!(refused.len() == 1 && refused[0].contains("\"who\":\"reader\""), "{trail}");
    assert!(
        done.iter().all(|line| line.contains("\"who\":\"root\"") && line.contains("127.0.0.1:")),
        "{trail}"
    );
}

#[test]
fn a_client_reaches_keys_of_users_and_nothing_else() {
    let mut world = World::new();
    let server = world.start(1, Bounds::default());
    world.issue_client("user", &[Role::Client]);
    world.issue_client("root", &[Role::Client, Role::Admin]);
    world.issue_server(2, &[Role::Asd]);
    let record = b"vdisk/1".to_vec();
    let set = KvStep::Set { key: record.clone(), value: b"mine".to_vec() };
    let own = KvStep::Set { key: b"u/vdisk/1".to_vec(), value: b"mine".to_vec() };
    let command = |command| KvBody::Command { session: 1, sequence: 1, answered_below: 1, command };
    let query = KvQuery::Page { range: KvRange::ALL, is_reverse: false, keys_only: true, limit: 10 };
    let function = KvCommand::Function { function: FunctionId::NAMESPACES, command: Vec::new() };
    let beyond = [
        command(KvCommand::Sequence(vec![set.clone()])),
        command(KvCommand::Steps(vec![own.clone(), KvStep::Nested { steps: 1 }, set.clone()])),
        command(KvCommand::Steps(vec![KvStep::DeletePrefix { prefix: b"u".to_vec(), keys_max: 1 }])),
        command(function),
        KvBody::Query(KvQuery::Get { key: record }),
        KvBody::Read { consistency: Consistency::Stale, query },
    ];
    let mut user = world.client(&server, "user");
    for (body, request) in beyond.into_iter().zip(1..) {
        user.send(&Message::Kv(KvRequest { request, body }));
        let refused = KvReply { request, body: KvAnswer::Failed(KvError::NotAllowed) };
        assert_eq!(user.receive().1, Message::KvReply(refused));
    }
    assert_eq!(server.bed.asked(), 0, "the KV has seen none of them");
    for (name, step) in [("user", own), ("root", set.clone()), ("server-2", set)] {
        let mut client = world.client(&server, name);
        let body = command(KvCommand::Sequence(vec![step]));
        client.send(&Message::Kv(KvRequest { request: 1, body }));
        let done = KvReply { request: 1, body: KvAnswer::Done(Vec::new()) };
        assert_eq!(client.receive().1, Message::KvReply(done), "{name}");
    }
    assert_eq!(server.bed.asked(), 3);
    // The first refusal of a connection, and what root and a server changed, asked and answered.
    let trail = trail_of(&server.bed, 5);
    let of = |who: &str| trail.lines().filter(|line| line.contains(&format!("\"who\":\"{who}\""))).count();
    assert_eq!((of("user"), of("root"), of("server-2")), (1, 2, 2), "{trail}");
    assert!(trail.lines().all(|line| line.contains("Set(vdisk/1)") && !line.contains("mine")), "{trail}");
}

#[test]
fn a_server_speaks_for_its_own_nodes_alone_and_a_client_for_none() {
    let mut world = World::new();
    let server = world.start(1, Bounds::default());
    world.issue_server(2, &[Role::Kv]);
    world.issue_client("reader", &[Role::Client]);
    let as_server = |number| Hello::new(Some(world.authority.cluster()), Some(ServerId(number)), Offers::KV);
    assert!(world.greet(&server, "server-2", &as_server(3)).is_err(), "another server's number");
    assert!(world.greet(&server, "reader", &as_server(2)).is_err(), "a client is no server");
    let kv = NodeId::kv_of(ServerId(1));
    let own = frame::encode(&get(1, "x"), NodeId::at(ServerId(2), 9), kv).concat();
    let foreign = frame::encode(&get(1, "x"), NodeId::at(ServerId(3), 9), kv).concat();
    let elsewhere =
        frame::encode(&get(1, "x"), NodeId::at(ServerId(2), 9), NodeId::kv_of(ServerId(4))).concat();
    for (bytes, asked) in [(foreign, 0), (elsewhere, 0), ([own, vec![0; 44]].concat(), 1)] {
        let (mut link, _) = world.greet(&server, "server-2", &as_server(2)).unwrap();
        link.stream.write_all(&bytes).unwrap();
        assert_eq!(rest_of(&mut link.stream), b"");
        assert!(Client::connect(&server.bed).ask(1, "x").ends_with(" x"));
        assert_eq!(server.bed.asked.swap(0, std::sync::atomic::Ordering::SeqCst), asked + 1);
    }
}

/// Servers are upgraded one by one: what only newer ones know is dropped, and the link goes on with what both know.
#[test]
fn what_a_newer_server_says_is_dropped_and_its_link_goes_on() {
    let mut world = World::new();
    let server = world.start(1, Bounds::default());
    world.issue_server(2, &[Role::Kv]);
    let hello = Hello::new(Some(world.authority.cluster()), Some(ServerId(2)), Offers::KV);
    let (mut link, _) = world.greet(&server, "server-2", &hello).unwrap();
    let (from, kv) = (NodeId::at(ServerId(2), 9), NodeId::kv_of(ServerId(1)));
    // A member's message, a question of a node, and what has no name yet.
    let newer = [&[12, 1, 2][..], &[8, 5, 99], &[99]].map(|body| frame::of_newer(from, kv, 0, body));
    for request in 1..=3 {
        newer.iter().for_each(|bytes| link.stream.write_all(bytes).unwrap());
        link.stream.write_all(&frame::encode(&get(request, "x"), from, kv).concat()).unwrap();
    }
    link.stream.flush().unwrap();
    // What stands behind them on the stream is heard.
    let asked = || server.bed.asked.load(std::sync::atomic::Ordering::SeqCst);
    while asked() < 3 {
        std::thread::yield_now();
    }
}

#[test]
fn who_is_revoked_is_cut_off_and_stays_out() {
    let mut world = World::new();
    let (first, second) = (world.start(1, Bounds::default()), world.start(2, Bounds::default()));
    world.issue_client("leaver", &[Role::Client]);
    world.issue_client("stayer", &[Role::Admin]);
    let (mut leaver, mut stayer) = (world.client(&first, "leaver"), world.client(&first, "stayer"));
    assert!(leaver.ask(1, "u/x").ends_with(" u/x") && stayer.ask(1, "x").ends_with(" x"));
    assert!(stayer.ask(2, "via 2 x").ends_with(" x"));
    for name in ["leaver", "server-2"] {
        world.authority.revoke(name, false).unwrap();
    }
    world.authority.share(&world.path("server-1")).unwrap();
    assert!(first.trust.refresh().unwrap() && !first.trust.refresh().unwrap());
    assert_eq!(rest_of(&mut leaver.stream), b"");
    assert!(world.greet(&first, "leaver", &client_hello()).is_err());
    assert!(stayer.ask(3, "x").ends_with(" x"));
    let asked = second.bed.asked();
    let mut again = world.client(&first, "stayer");
    again.send(&get(1, "via 2 x"));
    assert!(stayer.ask(4, "x").ends_with(" x"));
    assert_eq!(second.bed.asked(), asked, "what is for a revoked server stays here");
}

#[test]
fn a_renewed_certificate_is_shown_to_who_connects_from_then_on() {
    let mut world = World::new();
    let server = world.start(1, Bounds::default());
    world.issue_client("reader", &[Role::Client]);
    let shown =
        |client: &Client<crate::servers::Secure>| client.stream.conn.peer_certificates().unwrap().to_vec();
    let mut before = world.client(&server, "reader");
    world.issue_server(1, &[Role::Kv]);
    assert!(server.trust.refresh().unwrap());
    let after = world.client(&server, "reader");
    assert_ne!(shown(&before), shown(&after));
    assert!(before.ask(1, "u/x").ends_with(" u/x"), "the old one is still good");
}
