//! A plain NBD client that says what it is told and reads what comes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::bed::PATIENCE;

pub(crate) const READ: u16 = 0;
pub(crate) const WRITE: u16 = 1;
pub(crate) const DISCONNECT: u16 = 2;
pub(crate) const FLUSH: u16 = 3;
pub(crate) const TRIM: u16 = 4;
pub(crate) const ZEROES: u16 = 6;
pub(crate) const STATUS: u16 = 7;

pub(crate) const FUA: u16 = 1;
pub(crate) const NO_HOLE: u16 = 2;
pub(crate) const ONE: u16 = 8;
pub(crate) const FAST: u16 = 16;

const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const ERR_UNKNOWN: u32 = (1 << 31) + 6;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    structured: bool,
}

/// A reply to one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Done,
    Data(Vec<u8>),
    /// Runs, and whether they are holes.
    Status(Vec<(u32, bool)>),
    Error(u32),
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, structured: false }
    }

    /// Greeting and options, up to the choice of an export.
    pub(crate) fn negotiate(&mut self, structured: bool) {
        let greeting = self.bytes(18);
        assert_eq!(greeting[..8], *b"NBDMAGIC");
        self.stream.write_all(&3_u32.to_be_bytes()).unwrap();
        if structured {
            self.option(8, &[]);
            assert_eq!(self.option_reply(), (1, Vec::new()));
            self.structured = true;
        }
    }

    /// Names of all exports.
    pub(crate) fn list(&mut self) -> Vec<String> {
        self.option(3, &[]);
        let mut names = Vec::new();
        loop {
            match self.option_reply() {
                (2, data) => names.push(String::from_utf8(data[4..].to_vec()).unwrap()),
                (1, _) => return names,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Attaches; the size, or an error that says that there is no such export.
    pub(crate) fn go(&mut self, name: &str) -> Option<u64> {
        let named = [&(name.len() as u32).to_be_bytes()[..], name.as_bytes()].concat();
        if self.structured {
            let query = b"base:allocation";
            let queries = [&named, &1_u32.to_be_bytes()[..], &15_u32.to_be_bytes(), query].concat();
            self.option(10, &queries);
            while self.option_reply().0 == 4 {}
        }
        self.option(7, &[&named[..], &0_u16.to_be_bytes()].concat());
        let mut size = None;
        loop {
            match self.option_reply() {
                (3, data) if data[..2] == [0, 0] => {
                    assert_eq!(
                        data[10..12],
                        [0b1001, 0b0110_1101 | u8::from(self.structured) << 7],
                        "what it offers"
                    );
                    size = Some(u64::from_be_bytes(data[2..10].try_into().unwrap()));
                }
                (3, _) => {}
                (1, _) => return size,
                (ERR_UNKNOWN, _) => return None,
                other => panic!("{other:?}"),
            }
        }
    }

    fn option(&mut self, option: u32, data: &[u8]) {
        let head =
            [&OPTION_MAGIC.to_be_bytes()[..], &option.to_be_bytes(), &(data.len() as u32).to_be_bytes()];
        self.stream.write_all(&[&head.concat()[..], data].concat()).unwrap();
    }

    fn option_reply(&mut self) -> (u32, Vec<u8>) {
        let head = self.bytes(20);
        let length = u32::from_be_bytes(head[16..20].try_into().unwrap());
        (u32::from_be_bytes(head[12..16].try_into().unwrap()), self.bytes(length as usize))
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, kind: u16, flags: u16, cookie: u64, offset: u64, length: u32, data: &[u8]) {
        let request = request(kind, flags, cookie, offset, length);
        self.stream.write_all(&[&request[..], data].concat()).unwrap();
    }

    /// Sends a request and reads its reply.
    pub(crate) fn ask(&mut self, kind: u16, flags: u16, offset: u64, length: u32) -> Reply {
        self.send(kind, flags, 7, offset, length, &[]);
        self.reply(if kind == READ { length } else { 0 }).1
    }

    pub(crate) fn write(&mut self, flags: u16, offset: u64, data: &[u8]) -> Reply {
        self.send(WRITE, flags, 7, offset, data.len() as u32, data);
        self.reply(0).1
    }

    /// A reply with its cookie. A simple one doesn't say how long its data is.
    pub(crate) fn reply(&mut self, length: u32) -> (u64, Reply) {
        let head = self.bytes(16);
        let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
        if word(0) == 0x6744_6698 {
            let cookie = u64::from_be_bytes(head[8..16].try_into().unwrap());
            let reply = match word(4) {
                0 if length > 0 => Reply::Data(self.bytes(length as usize)),
                0 => Reply::Done,
                error => Reply::Error(error),
            };
            return (cookie, reply);
        }
        assert_eq!((word(0), head[4..6] == [0, 1]), (0x668e_33ef, true), "one chunk, which is the last");
        let kind = u16::from_be_bytes(head[6..8].try_into().unwrap());
        let cookie = u64::from_be_bytes(head[8..16].try_into().unwrap());
        let length = u32::from_be_bytes(self.bytes(4).try_into().unwrap());
        let data = self.bytes(length as usize);
        let reply = match kind {
            1 => Reply::Data(data[8..].to_vec()),
            5 => Reply::Status(data[4..].chunks(8).map(descriptor).collect()),
            32769 => Reply::Error(u32::from_be_bytes(data[..4].try_into().unwrap())),
            other => panic!("a chunk of kind {other}"),
        };
        (cookie, reply)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether the server has closed the connection, with nothing more to say.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }

    /// Sends nothing more.
    pub(crate) fn hang_up(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

pub(crate) fn request(kind: u16, flags: u16, cookie: u64, offset: u64, length: u32) -> Vec<u8> {
    let fields = [&0x2560_9513_u32.to_be_bytes()[..], &flags.to_be_bytes(), &kind.to_be_bytes()];
    let rest = [&cookie.to_be_bytes()[..], &offset.to_be_bytes(), &length.to_be_bytes()];
    [fields.concat(), rest.concat()].concat()
}

fn descriptor(bytes: &[u8]) -> (u32, bool) {
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (word(0), word(4) == 3)
}
