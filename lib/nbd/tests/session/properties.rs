//! Properties: how the input is cut makes no difference; what comes back is what was written; damage
//! never does more than end the session.

use bytes::Bytes;
use proptest::prelude::*;

use crate::client::{self, Client, Reply, decode_reply};
use crate::driver::{DISK_BYTES, Driver, Event, SMALL};

/// One message of a client that means well.
#[derive(Debug, Clone)]
enum Message {
    Option(u32, Vec<u8>),
    Export(u32, &'static str, Vec<u16>),
    Contexts(u32, &'static str, Vec<&'static str>),
    Request(u16, u16, u64, u32),
    Write(u16, u64, Vec<u8>),
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "disk", "readonly", "blocks", "plain", "secret", "none"])
}

fn message_of_handshake() -> impl Strategy<Value = Message> {
    let options = vec![client::OPT_STRUCTURED_REPLY, client::OPT_LIST, client::OPT_STARTTLS, 99];
    let queries = vec!["base:", "base:allocation", "base:x", "x-y:z", ""];
    let contexts = vec![client::OPT_LIST_META_CONTEXT, client::OPT_SET_META_CONTEXT];
    prop_oneof![
        3 => Just(Message::Option(client::OPT_STRUCTURED_REPLY, Vec::new())),
        2 => (prop::sample::select(options), prop::collection::vec(any::<u8>(), 0..3))
            .prop_map(|(option, data)| Message::Option(option, data)),
        2 => (name(), prop::collection::vec(0..5u16, 0..4))
            .prop_map(|(name, requests)| Message::Export(client::OPT_INFO, name, requests)),
        3 => (prop::sample::select(contexts), name(), prop::collection::vec(prop::sample::select(queries), 0..3))
            .prop_map(|(option, name, queries)| Message::Contexts(option, name, queries)),
    ]
}

fn message_of_transmission() -> impl Strategy<Value = Message> {
    let place = prop_oneof![0..DISK_BYTES, (0..64u64).prop_map(|block| block * 4096)];
    let length = prop_oneof![0..6000u32, (0..5u32).prop_map(|blocks| blocks * 4096), Just(70_000)];
    let flags = prop_oneof![4 => Just(0u16), 2 => Just(1), 2 => 0..32u16];
    prop_oneof![
        3 => (flags.clone(), 0..8u16, place.clone(), length)
            .prop_map(|(flags, kind, offset, length)| match kind {
                client::CMD_WRITE | client::CMD_DISC => Message::Request(flags, client::CMD_READ, offset, length),
                _ => Message::Request(flags, kind, offset, length),
            }),
        2 => (flags, place, prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(flags, offset, data)| Message::Write(flags, offset, data)),
    ]
}

fn add(client: Client, message: &Message, cookie: u64) -> Client {
    match message {
        Message::Option(option, data) => client.option(*option, data),
        Message::Export(option, name, requests) => client.export(*option, name, requests),
        Message::Contexts(option, name, queries) => client.contexts(*option, name, queries),
        Message::Request(flags, kind, offset, length) => {
            client.request(*flags, *kind, cookie, *offset, *length)
        }
        Message::Write(flags, offset, data) => client.write(*flags, cookie, *offset, data),
    }
}

/// A whole session from the first byte to the last.
fn session() -> impl Strategy<Value = Vec<u8>> {
    let haggling = prop::collection::vec(message_of_handshake(), 0..6);
    let transmission = prop::collection::vec(message_of_transmission(), 0..12);
    (haggling, name(), any::<bool>(), transmission).prop_map(|(haggling, name, old, transmission)| {
        let client = haggling.iter().fold(Client::modern(), |client, message| add(client, message, 0));
        let client = if old {
            client.option(client::OPT_EXPORT_NAME, name.as_bytes())
        } else {
            client.export(client::OPT_GO, name, &[3])
        };
        let client =
            (1..).zip(&transmission).fold(client, |client, (cookie, message)| add(client, message, cookie));
        client.request(0, client::CMD_DISC, 0, 0, 0).sends
    })
}

/// `stream`, cut behind each of `cuts`.
fn pieces<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_make_no_difference(
        stream in session(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let whole = Driver::run(SMALL, [&stream[..]]);
        prop_assert_eq!(&Driver::run(SMALL, pieces(&stream, &cuts)), &whole);
        prop_assert_eq!(&Driver::run(SMALL, stream.chunks(1)), &whole);
    }

    /// The driver checks its promises and the form of all that is sent, whatever is left of the session.
    #[test]
    fn damage_is_survived(
        stream in session(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        lost in any::<prop::sample::Index>(),
    ) {
        let mut stream = stream;
        for (place, value) in damage {
            let place = place.index(stream.len());
            stream[place] = value;
        }
        let whole = Driver::run(SMALL, [&stream[..]]);
        prop_assert_eq!(&Driver::run(SMALL, pieces(&stream, &cuts)), &whole);
        stream.remove(lost.index(stream.len()));
        Driver::run(SMALL, [&stream[..]]);
    }

    #[test]
    fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..600), attached in any::<bool>()) {
        let start = if attached { Client::attached("disk") } else { Client::modern() };
        Driver::run(SMALL, [&start.raw(&noise).sends[..]]);
    }

    /// What a client reads is what a plain array holds after the same writes.
    #[test]
    fn reads_return_what_was_written(
        structured in any::<bool>(),
        messages in prop::collection::vec(message_of_transmission(), 1..30),
    ) {
        let mut model = vec![0u8; usize::try_from(DISK_BYTES).expect("small")];
        let mut driver = Driver::new(SMALL);
        let start = if structured { Client::attached("disk") } else { Client::modern().option(1, b"disk") };
        driver.receive(&start.sends);
        for (cookie, message) in (1..).zip(&messages) {
            driver.receive(&add(Client::default(), message, cookie).sends);
            let Some(Event::Sent(reply)) = driver.events.last() else { panic!("{message:?} has no reply") };
            check_against(&mut model, message, reply.clone(), structured, cookie);
        }
    }
}

fn check_against(model: &mut [u8], message: &Message, reply: Bytes, structured: bool, cookie: u64) {
    let cell = |offset: u64| usize::try_from(offset).expect("small");
    match message {
        Message::Request(_, client::CMD_READ, offset, length) => {
            match decode_reply(reply, structured, cookie, Some((*offset, *length))) {
                Reply::Data(data) => assert_eq!(data, model[cell(*offset)..][..data.len()]),
                other => assert!(matches!(other, Reply::Failed(_)), "{other:?}"),
            }
        }
        _ => match (message, decode_reply(reply, structured, cookie, None)) {
            (Message::Write(_, offset, data), Reply::Done) => {
                model[cell(*offset)..][..data.len()].copy_from_slice(data);
            }
            (
                Message::Request(_, client::CMD_TRIM | client::CMD_WRITE_ZEROES, offset, length),
                Reply::Done,
            ) => {
                model[cell(*offset)..][..*length as usize].fill(0);
            }
            (Message::Request(_, client::CMD_BLOCK_STATUS, offset, _), Reply::Extents(extents)) => {
                let mut at = cell(*offset);
                for (length, flags) in extents {
                    let end = at + length as usize;
                    assert!(flags == 0 || model[at..end].iter().all(|byte| *byte == 0), "a hole has content");
                    at = end;
                }
            }
            (_, Reply::Data(_)) => panic!("only reads return data"),
            _ => {}
        },
    }
}
