//! One question to the KV of a server on this machine, through its socket.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use formats::Message;
use formats::frame::{self, Decoder};
use formats::hello::{Hello, MAX_BYTES, Offers};
use glossary::{ClusterIdentity, NodeId, ServerId};

use crate::failure::{ExitCode, Failure};

/// How long the server may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks, and waits for the answer to that.
pub(super) fn ask(
    data: &Path,
    cluster: ClusterIdentity,
    server: ServerId,
    question: &Message,
) -> Result<Message, Failure> {
    let path = data.join(links::LOCAL_SOCKET);
    let failed = |error: &std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::new(
            ExitCode::NotRunning,
            format!("no server runs on {}: start it by ovs serve", data.display()),
        ),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            Failure::new(ExitCode::TimedOut, format!("the server on {} doesn't answer", data.display()))
        }
        _ => Failure::system(&format!("talking through {}", path.display()), error),
    };
    let mut stream = UnixStream::connect(&path).map_err(|error| failed(&error))?;
    let bounded = stream.set_read_timeout(Some(PATIENCE)).and(stream.set_write_timeout(Some(PATIENCE)));
    bounded.map_err(|error| failed(&error))?;
    let ours = Hello::new(Some(cluster), None, Offers::default());
    stream.write_all(&ours.encode()).map_err(|error| failed(&error))?;
    let rest = hello(&mut stream, &ours).map_err(|error| refused(&error, &failed))?;
    let kv = NodeId::kv_of(server);
    let bytes = frame::encode(question, NodeId::at(server, 0), kv).concat();
    stream.write_all(&bytes).map_err(|error| failed(&error))?;
    answer(&mut stream, rest, question.request()).map_err(|error| refused(&error, &failed))
}

type Error = Box<dyn std::error::Error>;

/// An error of the operating system, or what the other end says wrong.
fn refused(error: &Error, failed: &dyn Fn(&std::io::Error) -> Failure) -> Failure {
    match error.downcast_ref() {
        Some(error) => failed(error),
        None => Failure::new(ExitCode::Failed, error.to_string()),
    }
}

/// Reads the server's hello; gives what came behind it.
fn hello(stream: &mut UnixStream, ours: &Hello) -> Result<Vec<u8>, Error> {
    let (mut bytes, mut part) = (Vec::new(), [0; MAX_BYTES]);
    loop {
        if let Some((theirs, length)) = Hello::decode(&bytes)? {
            ours.agree(&theirs)?;
            return Ok(bytes.split_off(length));
        }
        bytes.extend_from_slice(received(stream, &mut part)?);
    }
}

fn answer(stream: &mut UnixStream, rest: Vec<u8>, request: u64) -> Result<Message, Error> {
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

fn received<'a>(stream: &mut UnixStream, part: &'a mut [u8]) -> Result<&'a [u8], Error> {
    match stream.read(part)? {
        0 => Err("the server closed the connection: its log says why".into()),
        count => Ok(&part[..count]),
    }
}
