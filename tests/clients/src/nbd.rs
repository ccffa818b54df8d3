//! A small NBD client: one connection, requests in flight, simple replies. Enough to be cut in the middle.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Silence after which a server is taken for hung.
const SILENCE: Duration = Duration::from_secs(30);

const NBD_MAGIC: u64 = 0x4e42_444d_4147_4943;
const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// NBD_CMD_READ
    Read = 0,
    /// NBD_CMD_WRITE
    Write = 1,
    /// NBD_CMD_FLUSH
    Flush = 3,
    /// NBD_CMD_TRIM
    Trim = 4,
    /// NBD_CMD_WRITE_ZEROES
    WriteZeroes = 6,
}

/// A connection in transmission phase.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Size of the export in bytes.
    pub(crate) size: u64,
}

impl Connection {
    /// Connects and opens an export.
    pub(crate) fn open(port: u16, export: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        ensure!(
            read_u64(&mut stream)? == NBD_MAGIC && read_u64(&mut stream)? == OPTION_MAGIC,
            "this is no NBD server"
        );
        let flags: [u8; 2] = read(&mut stream)?;
        ensure!(flags[1] & 3 == 3, "the server knows no fixed newstyle without zeroes");
        stream.write_all(&3_u32.to_be_bytes())?;
        let mut option = Vec::new();
        option.extend(OPTION_MAGIC.to_be_bytes());
        option.extend(OPTION_GO.to_be_bytes());
        option.extend(u32::try_from(export.len() + 6)?.to_be_bytes());
        option.extend(u32::try_from(export.len())?.to_be_bytes());
        option.extend(export.as_bytes());
        option.extend([0, 0]);
        stream.write_all(&option)?;
        let size = Self::await_go(&mut stream)?;
        Ok(Connection { stream, size })
    }

    /// Reads the replies to GO up to the acknowledgement; returns the size.
    fn await_go(stream: &mut TcpStream) -> Result<u64> {
        let mut size = None;
        loop {
            ensure!(read_u64(stream)? == OPTION_REPLY_MAGIC, "a reply to an option has another magic number");
            let _option = read_u32(stream)?;
            let kind = read_u32(stream)?;
            let mut body = vec![0; usize::try_from(read_u32(stream)?)?];
            stream.read_exact(&mut body)?;
            match kind {
                REPLY_ACK => return size.context("the server told no size"),
                // The information is of type 0 (export): size and flags follow.
                REPLY_INFO if body.len() == 12 && body[..2] == [0, 0] => {
                    size = Some(u64::from_be_bytes(*body[2..].first_chunk().context("8 bytes of 12")?));
                }
                REPLY_INFO => {}
                other => {
                    bail!("the server refuses the export: {other:#x} {}", String::from_utf8_lossy(&body))
                }
            }
        }
    }

    /// Sends a request; `payload` is that of a write.
    pub(crate) fn send(
        &mut self,
        verb: Verb,
        cookie: u64,
        offset: u64,
        length: u32,
        payload: &[u8],
    ) -> Result<()> {
        let mut request = Vec::with_capacity(28 + payload.len());
        request.extend(REQUEST_MAGIC.to_be_bytes());
        request.extend(0_u16.to_be_bytes());
        request.extend((verb as u16).to_be_bytes());
        request.extend(cookie.to_be_bytes());
        request.extend(offset.to_be_bytes());
        request.extend(length.to_be_bytes());
        request.extend(payload);
        self.stream.write_all(&request)?;
        Ok(())
    }

    /// Sends a write whose payload is too long to be copied first.
    pub(crate) fn send_large(&mut self, cookie: u64, offset: u64, payload: &[u8]) -> Result<()> {
        self.send(Verb::Write, cookie, offset, u32::try_from(payload.len())?, &[])?;
        self.stream.write_all(payload)?;
        Ok(())
    }

    /// The stream, for one who hangs up while another thread sends.
    pub(crate) fn stream(&self) -> Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }

    /// Waits for the next reply and returns its cookie. An error in it is an error here.
    pub(crate) fn receive(&mut self) -> Result<u64> {
        ensure!(read_u32(&mut self.stream)? == REPLY_MAGIC, "a reply has another magic number");
        let error = read_u32(&mut self.stream)?;
        let cookie = read_u64(&mut self.stream)?;
        ensure!(error == 0, Refused { cookie, error });
        Ok(cookie)
    }

    /// Reads a range, with nothing else in flight.
    pub(crate) fn read(&mut self, offset: u64, length: u32) -> Result<Vec<u8>> {
        self.send(Verb::Read, 1, offset, length, &[])?;
        self.receive()?;
        let mut data = vec![0; usize::try_from(length)?];
        self.stream.read_exact(&mut data)?;
        Ok(data)
    }
}

/// The server answered a request with an error.
#[derive(Debug)]
pub(crate) struct Refused {
    cookie: u64,
    error: u32,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "request {} was answered with error {}", self.cookie, self.error)
    }
}

impl std::error::Error for Refused {}

fn read<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).context("the server hung up or fell silent")?;
    Ok(bytes)
}

fn read_u32(stream: &mut TcpStream) -> Result<u32> {
    Ok(u32::from_be_bytes(read(stream)?))
}

fn read_u64(stream: &mut TcpStream) -> Result<u64> {
    Ok(u64::from_be_bytes(read(stream)?))
}
