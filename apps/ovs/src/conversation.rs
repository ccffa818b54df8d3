//! One question to the KV of a server, over any stream.

use std::io::{Read, Write};

use formats::Message;
use formats::frame::{self, Decoder};
use formats::hello::{Hello, MAX_BYTES, Offers};
use glossary::{ClusterIdentity, NodeId, ServerId};

pub(crate) type Error = Box<dyn std::error::Error>;

/// Says hello, asks, and waits for the answer to that.
pub(crate) fn converse<S: Read + Write + ?Sized>(
    stream: &mut S,
    cluster: ClusterIdentity,
    server: ServerId,
    question: &Message,
) -> Result<Message, Error> {
    let ours = Hello::new(Some(cluster), None, Offers::default());
    stream.write_all(&ours.encode())?;
    let rest = hello(stream, &ours)?;
    let kv = NodeId::kv_of(server);
    stream.write_all(&frame::encode(question, NodeId::at(server, 0), kv).concat())?;
    answer(stream, rest, question.request())
}

/// Reads the server's hello; gives what came behind it.
fn hello(stream: &mut (impl Read + ?Sized), ours: &Hello) -> Result<Vec<u8>, Error> {
    let (mut bytes, mut part) = (Vec::new(), [0; MAX_BYTES]);
    loop {
        if let Some((theirs, length)) = Hello::decode(&bytes)? {
            ours.agree(&theirs)?;
            return Ok(bytes.split_off(length));
        }
        bytes.extend_from_slice(received(stream, &mut part)?);
    }
}

fn answer(stream: &mut (impl Read + ?Sized), rest: Vec<u8>, request: u64) -> Result<Message, Error> {
    let mut decoder = Decoder::new();
    decoder.feed(rest.into());
    let mut part = vec![0; 64 * 1024];
    loop {
        while let Some((_, _, message)) = decoder.next()? {
            if message.request() == request {
                return Ok(message);
            }
        }
        let bytes = received(stream, &mut part)?.to_vec();
        decoder.feed(bytes.into());
    }
}

fn received<'a>(stream: &mut (impl Read + ?Sized), part: &'a mut [u8]) -> Result<&'a [u8], Error> {
    match stream.read(part)? {
        0 => Err("the server closed the connection: its log says why".into()),
        count => Ok(&part[..count]),
    }
}
