extern crate std;

use super::*;
use crate::{Payload, samples};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use proptest::prelude::*;

const FROM: NodeId = NodeId(3);
const TO: NodeId = NodeId(0x0102_0304);

/// One line each: the message as text, and the frame in hexadecimal. Frames of version 1 never change.
const GOLDEN: &str = include_str!("../../tests/golden/frame-v1.txt");

fn frame(message: &Message) -> Vec<u8> {
    encode(message, FROM, TO).concat()
}

fn decode(bytes: &[u8]) -> Result<Option<(NodeId, NodeId, Message)>, FrameError> {
    let mut decoder = Decoder::new();
    decoder.feed(Bytes::copy_from_slice(bytes));
    decoder.next()
}

/// The message with its payload in one piece: how a payload is cut says nothing.
fn joined(mut message: Message) -> Message {
    if let Some(payload) = message.payload_mut()
        && !payload.is_empty()
    {
        *payload = Payload::with_crcs(vec![payload.contiguous()], payload.crcs().to_vec()).expect("fits");
    }
    message
}

/// Every frame as two lines: what it is, and its bytes. `UPDATE=1` adds new ones; those that are there never change.
#[test]
fn golden_bytes_of_version_1() {
    let mut said = String::new();
    for message in samples::messages() {
        said += &format!("{message:?}\n");
        frame(&message).iter().for_each(|byte| said += &format!("{byte:02x}"));
        said.push('\n');
    }
    let frames: Vec<&str> = said.lines().collect();
    let mut new = frames.chunks(2);
    for golden in GOLDEN.lines().collect::<Vec<_>>().chunks(2) {
        assert!(new.any(|frame| frame == golden), "changed: {}", golden[0]);
    }
    if std::env::var_os("UPDATE").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/frame-v1.txt");
        std::fs::write(file, &said).expect("written");
    } else {
        assert_eq!(said, GOLDEN, "UPDATE=1 adds new frames");
    }
}

#[test]
fn the_checksums_stand_between_body_and_payload() {
    let data = vec![7; 4097];
    let crcs = [crc32c(&data[..4096]).to_le_bytes(), crc32c(&[7]).to_le_bytes()].concat();
    let mut message = samples::messages().into_iter().find(|m| m.payload().is_some()).expect("a carrier");
    *message.payload_mut().expect("a carrier") = Payload::entering(data.clone().into());
    assert!(frame(&message).ends_with(&[crcs, data].concat()));
}

#[test]
fn every_sample_comes_back_from_any_stream() {
    let samples = samples::messages();
    let stream: Vec<u8> = samples.iter().flat_map(frame).collect();
    for step in [1, 7, 44, 1000, stream.len()] {
        let (mut decoder, mut came) = (Decoder::new(), Vec::new());
        for part in stream.chunks(step) {
            decoder.feed(Bytes::copy_from_slice(part));
            while let Some((from, to, message)) = decoder.next().expect("whole") {
                assert_eq!((from, to), (FROM, TO));
                came.push(joined(message));
            }
        }
        assert_eq!(decoder, Decoder::new());
        assert_eq!(came, samples, "in steps of {step}");
    }
}

#[test]
fn encoding_and_decoding_share_the_payload() {
    let payload = Payload::zeros(64);
    let message = samples::messages().into_iter().find_map(|mut message| {
        *message.payload_mut()? = payload.clone();
        Some(message)
    });
    let pieces = encode(&message.expect("one carries a payload"), FROM, TO);
    assert!(pieces[1..].iter().zip(payload.pieces()).all(|(a, b)| a.as_ptr() == b.as_ptr()));
    let stream = Bytes::from(pieces.concat());
    let mut decoder = Decoder::new();
    decoder.feed(stream.clone());
    let (_, _, message) = decoder.next().expect("whole").expect("there");
    let place = message.payload().expect("a payload").pieces()[0].as_ptr();
    assert!(stream.as_ptr_range().contains(&place));
}

#[test]
fn a_decoder_says_how_much_it_wants() {
    let message = samples::messages().swap_remove(0);
    let bytes = frame(&message);
    let mut decoder = Decoder::new();
    assert_eq!(decoder.wanted(), HEADER_BYTES);
    decoder.feed(Bytes::copy_from_slice(&bytes[..HEADER_BYTES]));
    assert_eq!(decoder.next(), Ok(None));
    assert_eq!(decoder.wanted(), bytes.len() - HEADER_BYTES);
}

/// A frame whose header was changed and proves itself again.
fn forged(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = frame(&samples::messages()[0]);
    change(&mut bytes[..CHECK_AT]);
    let check = crc32c(&bytes[..CHECK_AT]);
    bytes[CHECK_AT..HEADER_BYTES].copy_from_slice(&check.to_le_bytes());
    bytes
}

#[test]
fn what_is_no_frame_of_ours_is_told_apart() {
    assert_eq!(decode(&[b'G'; HEADER_BYTES]), Err(FrameError::Foreign));
    assert_eq!(decode(&forged(|header| header[4] = 2)), Err(FrameError::Newer(2)));
    assert_eq!(decode(&forged(|header| header[4] = 0)), Err(FrameError::Header));
    assert_eq!(decode(&forged(|header| header[7] = 1)), Err(FrameError::Flags(0x100)));
    let large = forged(|header| header[24..28].copy_from_slice(&(MAX_BODY + 1).to_le_bytes()));
    assert_eq!(decode(&large), Err(FrameError::TooLarge { body: MAX_BODY + 1, payload: 0 }));
    let large = forged(|header| header[32..36].copy_from_slice(&u32::MAX.to_le_bytes()));
    assert!(matches!(decode(&large), Err(FrameError::TooLarge { payload: u32::MAX, .. })));
    let crcs = forged(|header| header[28] = 1);
    assert_eq!(decode(&crcs), Err(FrameError::Malformed), "a CRC of no payload");
    assert_eq!(decode(&forged(|header| header[16] = 2)), Err(FrameError::Malformed), "another request");
}

#[test]
fn a_payload_for_a_message_without_one_makes_no_sense() {
    let payload = Payload::entering(Bytes::from_static(b"smuggled"));
    let crcs = payload.crcs()[0].to_le_bytes();
    let mut bytes = frame(&samples::messages()[0]);
    bytes.extend_from_slice(&crcs);
    let body_check = crc32c(&bytes[HEADER_BYTES..]);
    bytes.extend_from_slice(b"smuggled");
    bytes[28] = 1;
    bytes[32] = 8;
    bytes[BODY_CHECK_AT..CHECK_AT].copy_from_slice(&body_check.to_le_bytes());
    let check = crc32c(&bytes[..CHECK_AT]);
    bytes[CHECK_AT..HEADER_BYTES].copy_from_slice(&check.to_le_bytes());
    assert_eq!(decode(&bytes), Err(FrameError::Malformed));
}

/// What a newer program may send: a variant that this one doesn't know, outermost or within, and more than it reads.
#[test]
fn a_message_of_a_newer_program_is_passed_over_and_the_stream_goes_on() {
    let samples = samples::messages();
    let known = frame(&samples[0]);
    let mut longer = known[HEADER_BYTES..].to_vec();
    longer.push(0);
    let mut member = vec![12];
    member.extend_from_slice(&[0xef; 16]);
    member.push(120);
    for (body, is_asked) in [(vec![120], false), (member, false), (vec![8, 5, 120], true), (longer, false)] {
        let (mut decoder, unknown) = (Decoder::new(), of_newer(FROM, TO, 7, &body));
        for _ in 0..2 {
            decoder.feed([&unknown[..], &known].concat().into());
            let Err(FrameError::Unknown(found)) = decoder.next() else { panic!("{body:?} is unknown") };
            assert_eq!((found.from, found.to, found.request), (FROM, TO, 7));
            assert_eq!(found.answer().is_some(), is_asked, "{body:?}");
            assert_eq!(decoder.next(), Ok(Some((FROM, TO, samples[0].clone()))));
            assert_eq!(decoder.next(), Ok(None));
        }
    }
}

#[test]
fn after_an_error_nothing_is_believed() {
    let good = frame(&samples::messages()[0]);
    let mut decoder = Decoder::new();
    decoder.feed(Bytes::from_static(&[0; HEADER_BYTES]));
    assert_eq!(decoder.next(), Err(FrameError::Foreign));
    decoder.feed(good.into());
    assert_eq!(decoder.next(), Err(FrameError::Foreign));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_flipped_bit_never_gives_another_message(
        sample in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let samples = samples::messages();
        let message = &samples[sample.index(samples.len())];
        let mut bytes = frame(message);
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn payloads_of_any_length_in_any_pieces_come_back(
        length in 0_usize..30_000,
        fed in 1_usize..9_000,
        sample in any::<prop::sample::Index>(),
    ) {
        let carriers: Vec<_> = samples::messages().into_iter().filter(|m| m.payload().is_some()).collect();
        let mut message = carriers[sample.index(carriers.len())].clone();
        let bytes: Vec<u8> = (0..length).map(|i| ((i * 37) >> 4) as u8).collect();
        *message.payload_mut().expect("a carrier") =
            if length == 0 { Payload::default() } else { Payload::entering(bytes.into()) };
        let mut decoder = Decoder::new();
        frame(&message).chunks(fed).for_each(|part| decoder.feed(Bytes::copy_from_slice(part)));
        let (_, _, came) = decoder.next().expect("whole").expect("there");
        prop_assert_eq!(joined(came), message);
    }

    #[test]
    fn any_bytes_behind_a_proven_header_are_taken_without_panic(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        crcs in proptest::collection::vec(any::<u32>(), 0..2),
    ) {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend_from_slice(&body);
        crcs.iter().for_each(|crc| bytes.extend_from_slice(&crc.to_le_bytes()));
        let header = Header {
            from: FROM,
            to: TO,
            request: 0,
            body: body.len() as u32,
            crcs: crcs.len() as u32,
            payload: crcs.len() as u32,
            body_check: crc32c(&bytes[HEADER_BYTES..]),
        };
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        bytes.extend(crcs.iter().map(|_| 0));
        // Postcard may find a message in them; more than that can't be said.
        prop_assert!(!matches!(decode(&bytes), Ok(None) | Err(FrameError::Header | FrameError::Body)));
    }
}
