//! A client that waits for what it asks.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use formats::Message;
use formats::frame::{self, Decoder};
use formats::hello::{Hello, Offers};
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvQuery, KvReply, KvRequest, KvStep};
use glossary::NodeId;

use crate::bed::{Bed, KV};

/// Who the client says that it is: somebody else, which must not be believed.
const LIAR: NodeId = NodeId(3);

pub(crate) struct Client<S = UnixStream> {
    pub(crate) stream: S,
    decoder: Decoder,
    pub(crate) kv: NodeId,
}

pub(crate) fn client_hello() -> Hello {
    Hello::new(None, None, Offers::default())
}

pub(crate) fn get(request: u64, key: &str) -> Message {
    let body = KvBody::Query(KvQuery::Get { key: key.as_bytes().to_vec() });
    Message::Kv(KvRequest { request, body })
}

pub(crate) fn set(request: u64, value: usize) -> Message {
    let command = KvCommand::Sequence(vec![KvStep::Set { key: vec![1], value: vec![2; value] }]);
    Message::Kv(KvRequest {
        request,
        body: KvBody::Command { session: 1, sequence: 1, answered_below: 1, command },
    })
}

pub(crate) fn bytes_of(message: &Message) -> Vec<u8> {
    frame::encode(message, LIAR, KV).concat()
}

/// Everything that comes until the stream ends, however it does.
pub(crate) fn rest_of(stream: &mut impl Read) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&part[..count]),
            Err(error) => {
                let ends = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof, ErrorKind::InvalidData];
                assert!(ends.contains(&error.kind()), "{error}");
                return all;
            }
        }
    }
}

impl Client {
    pub(crate) fn connect(bed: &Bed) -> Self {
        let stream = UnixStream::connect(bed.socket()).unwrap();
        let (client, hello) = Client::greet(stream, &client_hello()).unwrap();
        assert_eq!((hello.cluster, hello.refusal), (Some(bed.cluster), None));
        assert!(hello.offers.has(Offers::KV));
        client
    }
}

impl<S: Read + Write> Client<S> {
    /// Says hello; gives what is said back.
    pub(crate) fn greet(stream: S, hello: &Hello) -> std::io::Result<(Self, Hello)> {
        let mut client = Client { stream, decoder: Decoder::new(), kv: KV };
        client.stream.write_all(&hello.encode())?;
        let mut answer = [0; 44];
        client.stream.read_exact(&mut answer)?;
        let (hello, _) = Hello::decode(&answer).unwrap().unwrap();
        client.kv = NodeId::kv_of(hello.server.unwrap());
        Ok((client, hello))
    }

    pub(crate) fn send(&mut self, message: &Message) {
        self.stream.write_all(&frame::encode(message, LIAR, self.kv).concat()).unwrap();
    }

    pub(crate) fn receive(&mut self) -> (NodeId, Message) {
        let mut part = vec![0; 1 << 16];
        loop {
            if let Some((from, _, message)) = self.decoder.next().unwrap() {
                return (from, message);
            }
            let count = self.stream.read(&mut part).unwrap();
            assert!(count > 0, "the process closed the connection");
            self.decoder.feed(part[..count].to_vec().into());
        }
    }

    /// The value that the answer to a request has.
    pub(crate) fn value(&mut self, request: u64) -> Vec<u8> {
        let (from, message) = self.receive();
        assert_eq!(from, self.kv);
        match message {
            Message::KvReply(KvReply { request: number, body: KvAnswer::Value(Some(value)) }) => {
                assert_eq!(number, request);
                value
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn ask(&mut self, request: u64, key: &str) -> String {
        self.send(&get(request, key));
        String::from_utf8(self.value(request)).unwrap()
    }
}
