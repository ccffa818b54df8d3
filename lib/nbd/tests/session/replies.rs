//! Replies, against the decoder of the client; and what the encoder makes of odd extents.

use bytes::{Bytes, BytesMut};
use nbd::{
    Allocation, BLOCK_STATUS_DESCRIPTORS_MAX, Cookie, Errno, Extent, Last, READ_HEADER_BYTES_MAX, Replies,
};

use crate::client::{Client, Reply, decode_reply};
use crate::driver::{Driver, SMALL};
use crate::transcript::bytes;

const COOKIE: Cookie = Cookie(0x0102_0304_0506_0708);

fn replies(structured: bool) -> Replies {
    let mut driver = Driver::new(SMALL);
    let client = if structured { Client::attached("disk") } else { Client::modern().option(1, b"disk") };
    driver.receive(&client.sends);
    driver.session.replies()
}

fn encode(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::from(&b"before"[..]);
    encode(&mut out);
    assert_eq!(out[..6], *b"before", "what was there stays");
    out.freeze().split_off(6)
}

#[test]
fn every_errno_has_its_number() {
    let table = [
        (Errno::NotPermitted, 1),
        (Errno::InputOutput, 5),
        (Errno::NoMemory, 12),
        (Errno::Invalid, 22),
        (Errno::NoSpace, 28),
        (Errno::Overflow, 75),
        (Errno::NotSupported, 95),
        (Errno::Shutdown, 108),
    ];
    for (errno, number) in table {
        for structured in [false, true] {
            let reply = encode(|out| replies(structured).error(out, COOKIE, errno, "why"));
            assert_eq!(decode_reply(reply, structured, COOKIE.0, None), Reply::Failed(number));
        }
    }
}

//= NBD#structured-reply-types
//# message length MUST NOT exceed the 4096 bytes string length limit
#[test]
fn long_messages_are_cut_between_characters() {
    let message = format!("a{}", "\u{e9}".repeat(4096));
    let reply = encode(|out| replies(true).error(out, COOKIE, Errno::InputOutput, &message));
    assert_eq!(reply.len(), 20 + 6 + 4095);
    assert_eq!(decode_reply(reply, true, COOKIE.0, None), Reply::Failed(5));
}

#[test]
fn a_read_in_parts() {
    let reply = encode(|out| {
        let replies = replies(true);
        replies.data_chunk(out, COOKIE, 4, 2, Last::No);
        out.extend_from_slice(b"ef");
        replies.hole_chunk(out, COOKIE, 0, 4, Last::Yes);
    });
    assert_eq!(
        reply,
        bytes(
            "668e33ef 0000 0001 0102030405060708 0000000a 0000000000000004 'ef'
             668e33ef 0001 0002 0102030405060708 0000000c 0000000000000000 00000004"
                .replace('\n', " ")
                .as_str()
        )
    );
    assert_eq!(decode_reply(reply, true, COOKIE.0, Some((0, 6))), Reply::Data(b"\0\0\0\0ef".to_vec()));
}

#[test]
fn a_read_that_fails_on_the_way() {
    let reply = encode(|out| {
        let replies = replies(true);
        replies.data_chunk(out, COOKIE, 0, 2, Last::No);
        out.extend_from_slice(b"ab");
        replies.error_at(out, COOKIE, Errno::InputOutput, 2, "lost");
    });
    assert_eq!(
        reply.slice(30..),
        bytes("668e33ef 0001 8002 0102030405060708 00000012 00000005 0004 'lost' 0000000000000002")
    );
    assert_eq!(decode_reply(reply, true, COOKIE.0, Some((0, 6))), Reply::Failed(5));
}

#[test]
fn headers_of_reads_have_their_size() {
    let whole = encode(|out| replies(true).read(out, COOKIE, 0, 1));
    let hole = encode(|out| replies(true).hole_chunk(out, COOKIE, 0, 1, Last::Yes));
    let simple = encode(|out| replies(false).read(out, COOKIE, 0, 1));
    assert_eq!((whole.len(), hole.len(), simple.len()), (28, READ_HEADER_BYTES_MAX, 16));
}

/// Nothing is allocated for a reply while there is room.
#[test]
fn replies_fit_into_the_room_there_is() {
    let mut out = BytesMut::with_capacity(4 * READ_HEADER_BYTES_MAX);
    let place = out.as_ptr();
    for structured in [false, true] {
        out.clear();
        replies(structured).ok(&mut out, COOKIE);
        replies(structured).read(&mut out, COOKIE, 0, 512);
        replies(structured).error(&mut out, COOKIE, Errno::NoSpace, "");
    }
    assert_eq!((out.as_ptr(), out.capacity()), (place, 4 * READ_HEADER_BYTES_MAX));
}

#[test]
fn extents_are_made_to_fit() {
    use Allocation::{Data, Hole, Zeroes};
    let huge = u64::MAX;
    // What was asked (length, one), what the driver knows, what the client is told.
    type Case<'a> = (u32, bool, &'a [(u64, Allocation)], &'a [(u32, u32)]);
    let table: [Case<'_>; 10] = [
        (100, false, &[(100, Data)], &[(100, 0)]),
        (100, false, &[(60, Data), (40, Hole)], &[(60, 0), (40, 3)]),
        (100, false, &[(60, Zeroes), (huge, Hole)], &[(60, 2), (40, 3)]),
        (100, false, &[(30, Data), (30, Data), (20, Hole)], &[(60, 0), (20, 3)]),
        (100, false, &[(0, Data), (30, Hole), (0, Data), (30, Hole)], &[(60, 3)]),
        (100, false, &[], &[(100, 0)]),
        (100, false, &[(0, Hole)], &[(100, 0)]),
        (100, true, &[(60, Hole), (40, Data)], &[(60, 3)]),
        (100, true, &[(60, Hole), (huge, Hole)], &[(100, 3)]),
        (u32::MAX, false, &[(1, Data), (huge, Hole), (huge, Data)], &[(1, 0), (u32::MAX - 1, 3)]),
    ];
    for (length, one, known, told) in table {
        let extents = known.iter().map(|&(length, allocation)| Extent { length, allocation });
        let reply = encode(|out| replies(true).block_status(out, COOKIE, length, one, extents));
        assert_eq!(decode_reply(reply, true, COOKIE.0, None), Reply::Extents(told.to_vec()), "{known:?}");
    }
}

#[test]
fn block_status_has_a_bound() {
    let endless = (0..).map(|index: u64| Extent {
        length: 1,
        allocation: if index.is_multiple_of(2) { Allocation::Data } else { Allocation::Hole },
    });
    let reply = encode(|out| replies(true).block_status(out, COOKIE, u32::MAX, false, endless));
    let Reply::Extents(told) = decode_reply(reply, true, COOKIE.0, None) else { panic!("extents") };
    assert_eq!(told.len(), BLOCK_STATUS_DESCRIPTORS_MAX);
}

#[test]
#[should_panic(expected = "structured replies are not negotiated")]
fn chunks_need_to_be_negotiated() {
    encode(|out| replies(false).hole_chunk(out, COOKIE, 0, 1, Last::Yes));
}

/// The payload of a write is a slice of what came in.
#[test]
fn payloads_are_not_copied() {
    let sends = Client::modern().option(1, b"disk").write(0, 1, 0, b"payload").sends;
    let mut input = Bytes::from(sends);
    let end = input.as_ptr_range().end;
    let mut session = nbd::Session::new(SMALL);
    let data = loop {
        match session.next(&mut input).expect("a good client").expect("all is there") {
            nbd::Item::FindExport { name, .. } => {
                let export = nbd::Export {
                    name,
                    description: String::new(),
                    size: 1 << 20,
                    block_sizes: nbd::BlockSizes::DEFAULT,
                    features: nbd::Features::NONE,
                };
                session.provide_export(Ok(export)).expect("it exists");
            }
            nbd::Item::Request(nbd::Request { command: nbd::Command::Write { data, .. }, .. }) => break data,
            _ => {}
        }
    };
    assert_eq!((&data[..], data.as_ptr_range().end), (&b"payload"[..], end));
}
