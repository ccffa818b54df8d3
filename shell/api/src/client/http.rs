//! As much of HTTP/1.1 (RFC 9112) as asking one question takes: one connection, one request, and a response
//! whose body has a length. A library would bring a runtime along.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::ClientError;
use crate::wait;

/// Bytes that a response may have: a status of thousands of vDisks fits.
const RESPONSE_MAX_BYTES: usize = 64 << 20;

/// How much longer than the server one waits for its answer.
const SLACK: Duration = Duration::from_secs(2);

/// A request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
}

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Asks once.
pub(crate) fn exchange(
    socket: &Path,
    request: &Request<'_>,
    patience: Duration,
) -> Result<Response, ClientError> {
    let deadline = Instant::now() + patience + SLACK;
    let mut stream = UnixStream::connect(socket).map_err(on_connect)?;
    stream.set_write_timeout(Some(patience + SLACK)).map_err(ClientError::Broken)?;
    // Its answer may be there although it did not read all.
    let written = stream.write_all(&head_and_body(request, patience));
    let bytes = receive(&mut stream, deadline)?;
    if bytes.is_empty() {
        let why = written.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
        return Err(ClientError::Broken(why));
    }
    parse(&bytes)
}

fn on_connect(error: io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ClientError::Denied(error),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut,
        // No directory, no socket, nobody behind it, or a path that no socket can have.
        _ => ClientError::NotRunning,
    }
}

fn head_and_body(request: &Request<'_>, patience: Duration) -> Vec<u8> {
    let Request { method, path, body } = request;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: ovs\r\nConnection: close\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nPrefer: {}\r\n\r\n",
        body.len(),
        wait::render(patience)
    );
    [head.as_bytes(), body].concat()
}

/// Everything until the server closes.
fn receive(stream: &mut UnixStream, deadline: Instant) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::TimedOut);
        }
        stream.set_read_timeout(Some(left)).map_err(ClientError::Broken)?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) if bytes.len() + count > RESPONSE_MAX_BYTES => {
                return Err(ClientError::Nonsense("the answer does not end".into()));
            }
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(ClientError::TimedOut);
            }
            // A server that answered before it read all closes so; whether the answer is whole, its length says.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !bytes.is_empty() => {
                return Ok(bytes);
            }
            Err(error) => return Err(ClientError::Broken(error)),
        }
    }
}

/// Reads a response. A body that is shorter than its length was cut off.
fn parse(bytes: &[u8]) -> Result<Response, ClientError> {
    let nonsense = |why: &str| ClientError::Nonsense(why.to_owned());
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| nonsense("no headers"))?;
    let head = str::from_utf8(&bytes[..end]).map_err(|_| nonsense("its headers are no text"))?;
    let body = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let status = status.ok_or_else(|| nonsense("no HTTP"))?;
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<usize>().ok();
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(nonsense("a transfer encoding that was not asked for"));
        }
    }
    if length.is_some_and(|length| body.len() < length) {
        return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Response { status, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read() {
        let text = b"HTTP/1.1 404 Not Found\r\ncontent-type: x\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(text).unwrap(), Response { status: 404, body: b"{}".to_vec() });
        let text = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(parse(text).unwrap(), Response { status: 204, body: Vec::new() });
    }

    #[test]
    fn every_cut_is_seen() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        for length in 0..text.len() {
            assert!(parse(&text[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn other_protocols_are_refused() {
        for text in [
            "NBDMAGIC\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 \u{e9}\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            assert!(matches!(parse(text.as_bytes()), Err(ClientError::Nonsense(_))), "{text}");
        }
        assert!(matches!(parse(b"\xff\xfe\r\n\r\n"), Err(ClientError::Nonsense(_))));
    }
}
