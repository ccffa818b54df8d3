//! The client's side of the protocol, as far as tests need it. Written from the specification, it
//! shares no code with the crate.

use bytes::{Buf, Bytes};

pub(crate) const OPT_EXPORT_NAME: u32 = 1;
pub(crate) const OPT_ABORT: u32 = 2;
pub(crate) const OPT_LIST: u32 = 3;
pub(crate) const OPT_STARTTLS: u32 = 5;
pub(crate) const OPT_INFO: u32 = 6;
pub(crate) const OPT_GO: u32 = 7;
pub(crate) const OPT_STRUCTURED_REPLY: u32 = 8;
pub(crate) const OPT_LIST_META_CONTEXT: u32 = 9;
pub(crate) const OPT_SET_META_CONTEXT: u32 = 10;

pub(crate) const CMD_READ: u16 = 0;
pub(crate) const CMD_WRITE: u16 = 1;
pub(crate) const CMD_DISC: u16 = 2;
pub(crate) const CMD_FLUSH: u16 = 3;
pub(crate) const CMD_TRIM: u16 = 4;
pub(crate) const CMD_CACHE: u16 = 5;
pub(crate) const CMD_WRITE_ZEROES: u16 = 6;
pub(crate) const CMD_BLOCK_STATUS: u16 = 7;

pub(crate) const FLAG_FUA: u16 = 1;
pub(crate) const FLAG_NO_HOLE: u16 = 2;
pub(crate) const FLAG_DF: u16 = 4;
pub(crate) const FLAG_REQ_ONE: u16 = 8;
pub(crate) const FLAG_FAST_ZERO: u16 = 16;

/// Collects what a client sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) sends: Vec<u8>,
}

impl Client {
    /// A client that knows fixed newstyle and wants no zeroes.
    pub(crate) fn modern() -> Self {
        Self::default().raw(&3u32.to_be_bytes())
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.sends.extend_from_slice(bytes);
        self
    }

    pub(crate) fn option(self, option: u32, data: &[u8]) -> Self {
        let length = u32::try_from(data.len()).expect("short");
        self.raw(b"IHAVEOPT").raw(&option.to_be_bytes()).raw(&length.to_be_bytes()).raw(data)
    }

    /// `NBD_OPT_INFO` or `NBD_OPT_GO`.
    pub(crate) fn export(self, option: u32, name: &str, requests: &[u16]) -> Self {
        let mut data = prefixed(name);
        data.extend(u16::try_from(requests.len()).expect("few").to_be_bytes());
        data.extend(requests.iter().flat_map(|request| request.to_be_bytes()));
        self.option(option, &data)
    }

    /// `NBD_OPT_LIST_META_CONTEXT` or `NBD_OPT_SET_META_CONTEXT`.
    pub(crate) fn contexts(self, option: u32, name: &str, queries: &[&str]) -> Self {
        let mut data = prefixed(name);
        data.extend(u32::try_from(queries.len()).expect("few").to_be_bytes());
        data.extend(queries.iter().flat_map(|query| prefixed(query)));
        self.option(option, &data)
    }

    /// Everything up to transmission with structured replies and block status.
    pub(crate) fn attached(name: &str) -> Self {
        Self::modern()
            .option(OPT_STRUCTURED_REPLY, &[])
            .contexts(OPT_SET_META_CONTEXT, name, &["base:allocation"])
            .export(OPT_GO, name, &[3])
    }

    pub(crate) fn request(self, flags: u16, kind: u16, cookie: u64, offset: u64, length: u32) -> Self {
        self.raw(&0x2560_9513u32.to_be_bytes())
            .raw(&flags.to_be_bytes())
            .raw(&kind.to_be_bytes())
            .raw(&cookie.to_be_bytes())
            .raw(&offset.to_be_bytes())
            .raw(&length.to_be_bytes())
    }

    pub(crate) fn write(self, flags: u16, cookie: u64, offset: u64, data: &[u8]) -> Self {
        let length = u32::try_from(data.len()).expect("short");
        self.request(flags, CMD_WRITE, cookie, offset, length).raw(data)
    }
}

fn prefixed(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).expect("short").to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// One reply to an option, without its header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OptionReply {
    pub(crate) option: u32,
    pub(crate) kind: u32,
    pub(crate) data: Bytes,
}

/// Takes all replies to one option apart; the last, and only the last, must be final.
pub(crate) fn decode_option_replies(mut bytes: Bytes) -> Vec<OptionReply> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes.get_u64(), 0x0003_e889_0455_65a9, "magic of a reply to an option");
        let (option, kind, length) = (bytes.get_u32(), bytes.get_u32(), bytes.get_u32() as usize);
        let data = bytes.split_to(length);
        let last = kind == 1 || kind >= 1 << 31;
        assert_eq!(last, bytes.is_empty(), "the final reply is the last one");
        replies.push(OptionReply { option, kind, data });
    }
    replies
}

/// The whole answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Done,
    Failed(u32),
    /// Content of a read.
    Data(Vec<u8>),
    /// Length and flags of each extent.
    Extents(Vec<(u32, u32)>),
}

/// Takes the answer to one request apart, which must be all of `bytes`. `read` is the range of the
/// request if it was a read.
pub(crate) fn decode_reply(
    mut bytes: Bytes,
    structured: bool,
    cookie: u64,
    read: Option<(u64, u32)>,
) -> Reply {
    if bytes[..4] == 0x6744_6698u32.to_be_bytes() {
        bytes.advance(4);
        let error = bytes.get_u32();
        assert_eq!(bytes.get_u64(), cookie);
        assert!(read.is_none() || !structured, "a read is answered by chunks");
        return match (error, read) {
            (0, Some((_, length))) => {
                assert_eq!(bytes.len(), length as usize);
                Reply::Data(bytes.to_vec())
            }
            _ => {
                assert!(bytes.is_empty(), "only reads have a payload");
                if error == 0 { Reply::Done } else { Reply::Failed(error) }
            }
        };
    }
    assert!(structured, "chunks are not negotiated");
    decode_chunks(bytes, cookie, read)
}

fn decode_chunks(mut bytes: Bytes, cookie: u64, read: Option<(u64, u32)>) -> Reply {
    let (start, length) = read.unwrap_or((0, 0));
    let mut content: Vec<Option<u8>> = vec![None; length as usize];
    let mut reply = if read.is_some() { Reply::Data(Vec::new()) } else { Reply::Done };
    loop {
        assert_eq!(bytes.get_u32(), 0x668e_33ef, "magic of a chunk");
        let (flags, kind) = (bytes.get_u16(), bytes.get_u16());
        assert_eq!(bytes.get_u64(), cookie);
        let payload_length = bytes.get_u32() as usize;
        let mut payload = bytes.split_to(payload_length);
        match kind {
            0 => assert_eq!((flags, payload_length), (1, 0)),
            1 => {
                assert!(payload_length >= 9, "data of at least one byte");
                let at = usize::try_from(payload.get_u64() - start).expect("short");
                for (cell, byte) in content[at..at + payload.len()].iter_mut().zip(&payload) {
                    assert_eq!(cell.replace(*byte), None, "content chunks overlap");
                }
            }
            2 => {
                assert_eq!(payload_length, 12);
                let at = usize::try_from(payload.get_u64() - start).expect("short");
                let hole = payload.get_u32() as usize;
                assert!(hole > 0);
                for cell in &mut content[at..at + hole] {
                    assert_eq!(cell.replace(0), None, "content chunks overlap");
                }
            }
            5 => {
                assert!(payload_length > 4 && payload_length % 8 == 4);
                assert_eq!(payload.get_u32(), 1, "the id of the selected context");
                let mut extents = Vec::new();
                while !payload.is_empty() {
                    extents.push((payload.get_u32(), payload.get_u32()));
                }
                assert!(extents.iter().all(|(length, _)| *length > 0));
                reply = Reply::Extents(extents);
            }
            0x8001 | 0x8002 => {
                let error = payload.get_u32();
                assert_ne!(error, 0);
                let message = payload.get_u16() as usize;
                let tail = if kind == 0x8001 { 0 } else { 8 };
                assert_eq!(payload.len(), message + tail);
                std::str::from_utf8(&payload[..message]).expect("a message is text");
                reply = Reply::Failed(error);
            }
            other => panic!("unknown chunk type {other}"),
        }
        if flags & 1 == 1 {
            break;
        }
    }
    assert!(bytes.is_empty(), "nothing behind the last chunk");
    match reply {
        Reply::Data(_) => Reply::Data(content.into_iter().map(|cell| cell.expect("a gap")).collect()),
        other => other,
    }
}
