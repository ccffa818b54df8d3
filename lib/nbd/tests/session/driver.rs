//! A driver that plays a small memory disk, keeps a record of all that happens, and checks on the way
//! what the session promises. The fuzz target uses it too.

use bytes::{Bytes, BytesMut};
use nbd::{
    Allocation, BlockSizes, Command, Cookie, Errno, Export, Extent, Fatal, Features, Item, Last, Listing,
    Purpose, Refusal, Request, Session, Settings,
};

use crate::client::{Reply, decode_option_replies, decode_reply};

/// Size of every export. More than the longest payload under [`SMALL`].
pub(crate) const DISK_BYTES: u64 = 256 << 10;
/// Granularity of holes.
const BLOCK_BYTES: u64 = 4096;

/// Limits that are quickly reached.
pub(crate) const SMALL: Settings = Settings {
    payload_bytes_max: 64 << 10,
    skip_bytes_max: 96 << 10,
    option_bytes_max: 12 << 10,
    options_max: 24,
};

/// What a driver saw or did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Sent(Bytes),
    Did(String),
    Ended(Fatal),
}

/// A connection and its memory disk.
pub(crate) struct Driver {
    pub(crate) session: Session,
    pub(crate) events: Vec<Event>,
    settings: Settings,
    unread: Bytes,
    disk: Vec<u8>,
    payload_ahead: Option<u32>,
    over: bool,
}

impl Driver {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            session: Session::new(settings),
            events: Vec::new(),
            settings,
            unread: Bytes::new(),
            disk: vec![0; usize::try_from(DISK_BYTES).expect("small")],
            payload_ahead: None,
            over: false,
        }
    }

    /// Everything that happens when a client sends `stream` in the given pieces.
    pub(crate) fn run<'a>(settings: Settings, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
        let mut driver = Self::new(settings);
        driver.receive(&[]);
        for piece in pieces {
            driver.receive(piece);
        }
        driver.events
    }

    /// Bytes arrive; everything that can be done is done.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.unread = [&self.unread[..], bytes].concat().into();
        }
        while !self.over {
            let (wants, had) = (self.session.wants(), self.unread.len());
            assert!(wants <= self.settings.payload_bytes_max.max(self.settings.option_bytes_max) as usize);
            match self.session.next(&mut self.unread) {
                Ok(None) => {
                    assert!(self.unread.len() < self.session.wants(), "it got what it wanted, yet it waits");
                    assert!(had < wants || self.unread.len() < had, "bytes enough, but no progress");
                    return;
                }
                Ok(Some(item)) => self.on_item(item),
                Err(fatal) => self.end(fatal),
            }
        }
    }

    fn on_item(&mut self, item: Item) {
        let expected = self.payload_ahead.take();
        assert!(expected.is_none() || matches!(item, Item::Request(_)), "{item:?} before the payload");
        match item {
            Item::Send(bytes) => self.on_send(bytes),
            Item::ListExports => self.on_list(),
            Item::FindExport { name, purpose } => self.on_find(&name, purpose),
            Item::PayloadAhead { length } => {
                assert_eq!(self.session.wants(), length as usize);
                self.payload_ahead = Some(length);
                self.did(format!("payload of {length} ahead"));
            }
            Item::Request(request) => self.on_request(request, expected),
            Item::Disconnect => {
                assert_eq!(self.session.next(&mut self.unread), Ok(Some(Item::Disconnect)), "it repeats");
                self.did("disconnect".into());
                self.over = true;
            }
        }
    }

    /// The session speaks for itself, which it does in few words.
    fn on_send(&mut self, bytes: Bytes) {
        assert!(bytes.len() < 256);
        match (self.session.export(), self.events.is_empty()) {
            (None, true) => assert_eq!(bytes.len(), 18, "the greeting"),
            (None, false) => drop(decode_option_replies(bytes.clone())),
            (Some(_), _) => {
                let cookie = cookie_of(&bytes);
                decode_reply(bytes.clone(), self.session.replies().structured(), cookie, None);
            }
        }
        self.events.push(Event::Sent(bytes));
    }

    fn on_list(&mut self) {
        self.did("list".into());
        let listings = ["disk", "readonly", "blocks", "plain"]
            .map(|name| Listing { name, description: described(name) });
        let reply = self.session.provide_exports(Ok(&listings));
        assert_eq!(decode_option_replies(reply.clone()).len(), listings.len() + 1);
        self.events.push(Event::Sent(reply));
    }

    fn on_find(&mut self, name: &str, purpose: Purpose) {
        assert!(name.len() <= 4096 && !name.contains('\0'));
        self.did(format!("find {name:?} to {purpose:?}"));
        match self.session.provide_export(find(name)) {
            Ok(reply) => {
                let attached = self.session.export().is_some();
                assert!(!attached || purpose == Purpose::Attach);
                if !matches!(reply.len(), 10 | 134) {
                    decode_option_replies(reply.clone());
                }
                self.events.push(Event::Sent(reply));
            }
            Err(fatal) => self.end(fatal),
        }
    }

    fn on_request(&mut self, request: Request, payload: Option<u32>) {
        let Request { cookie, command } = request;
        self.did(describe(&command));
        self.check_promises(&command, payload);
        let mut out = BytesMut::new();
        let replies = self.session.replies();
        match command {
            Command::Read { offset, length, dont_fragment } => {
                self.read(&mut out, cookie, offset, length, dont_fragment);
            }
            Command::Write { offset, data, .. } => {
                self.range(offset, data.len() as u64).copy_from_slice(&data);
                replies.ok(&mut out, cookie);
            }
            Command::WriteZeroes { fast: true, offset, .. } if offset % BLOCK_BYTES != 0 => {
                replies.error(&mut out, cookie, Errno::NotSupported, "");
            }
            Command::Trim { offset, length, .. } | Command::WriteZeroes { offset, length, .. } => {
                self.range(offset, length.into()).fill(0);
                replies.ok(&mut out, cookie);
            }
            Command::Flush => replies.ok(&mut out, cookie),
            Command::BlockStatus { offset, length, one } => {
                let extents = self.extents(offset);
                replies.block_status(&mut out, cookie, length, one, extents);
                let Reply::Extents(told) =
                    decode_reply(out.clone().freeze(), replies.structured(), cookie.0, None)
                else {
                    panic!("block status is answered by extents");
                };
                assert!(told.iter().map(|extent| u64::from(extent.0)).sum::<u64>() <= length.into());
                assert!(!one || told.len() == 1);
            }
        }
        self.events.push(Event::Sent(out.freeze()));
    }

    /// What a driver may rely on.
    fn check_promises(&self, command: &Command, payload: Option<u32>) {
        let export = self.session.export().expect("requests come when attached").clone();
        let (offset, length) = match command {
            Command::Flush => return,
            Command::Write { offset, data, .. } => {
                assert_eq!(payload.map(|length| length as usize), Some(data.len()));
                (*offset, u32::try_from(data.len()).expect("short"))
            }
            Command::Read { offset, length, .. }
            | Command::Trim { offset, length, .. }
            | Command::WriteZeroes { offset, length, .. }
            | Command::BlockStatus { offset, length, .. } => (*offset, *length),
        };
        assert!(length > 0 && offset + u64::from(length) <= export.size);
        let minimum = export.block_sizes.minimum();
        assert!(offset % u64::from(minimum) == 0 && length % minimum == 0);
        let writes = !matches!(command, Command::Read { .. } | Command::BlockStatus { .. });
        assert!(!writes || !export.features.read_only);
        if matches!(command, Command::Read { .. } | Command::Write { .. }) {
            assert!(length <= self.settings.payload_bytes_max);
        }
    }

    /// Holes go as holes where the client takes them.
    fn read(&mut self, out: &mut BytesMut, cookie: Cookie, offset: u64, length: u32, dont_fragment: bool) {
        let replies = self.session.replies();
        if !replies.structured() || dont_fragment {
            replies.read(out, cookie, offset, length);
            out.extend_from_slice(self.range(offset, length.into()));
            return;
        }
        let (mut at, end) = (offset, offset + u64::from(length));
        for extent in self.extents(offset) {
            let here = u32::try_from(extent.length.min(end - at)).expect("short");
            let next = at + u64::from(here);
            let last = if next == end { Last::Yes } else { Last::No };
            if extent.allocation == Allocation::Hole {
                replies.hole_chunk(out, cookie, at, here, last);
            } else {
                replies.data_chunk(out, cookie, at, here, last);
                out.extend_from_slice(self.range(at, here.into()));
            }
            if last == Last::Yes {
                return;
            }
            at = next;
        }
    }

    /// From `offset` to the end, by block.
    fn extents(&self, offset: u64) -> Vec<Extent> {
        let mut extents = Vec::new();
        let mut at = offset;
        while at < DISK_BYTES {
            let length = BLOCK_BYTES - at % BLOCK_BYTES;
            let start = usize::try_from(at - at % BLOCK_BYTES).expect("small");
            let block = &self.disk[start..start + 4096];
            let allocation =
                if block.iter().all(|byte| *byte == 0) { Allocation::Hole } else { Allocation::Data };
            extents.push(Extent { length, allocation });
            at += length;
        }
        extents
    }

    fn range(&mut self, offset: u64, length: u64) -> &mut [u8] {
        let start = usize::try_from(offset).expect("small");
        &mut self.disk[start..start + usize::try_from(length).expect("small")]
    }

    fn end(&mut self, fatal: Fatal) {
        assert_eq!(self.session.next(&mut self.unread), Err(fatal.clone()), "it repeats");
        assert_eq!(self.session.wants(), 0);
        self.events.push(Event::Ended(fatal));
        self.over = true;
    }

    fn did(&mut self, what: String) {
        self.events.push(Event::Did(what));
    }
}

/// Exports of every kind that makes a difference.
fn find(name: &str) -> Result<Export, Refusal> {
    let export = |name: &str, block_sizes, features| {
        Ok(Export {
            name: name.into(),
            description: described(name).into(),
            size: DISK_BYTES,
            block_sizes,
            features,
        })
    };
    match name {
        "" | "disk" => export("disk", BlockSizes::DEFAULT, Features::ALL),
        "readonly" => export("readonly", BlockSizes::DEFAULT, Features { read_only: true, ..Features::ALL }),
        "blocks" => export("blocks", BlockSizes::new(4096, 8192), Features::ALL),
        "plain" => export("plain", BlockSizes::DEFAULT, Features::NONE),
        "slow" => export("slow", BlockSizes::DEFAULT, Features { fast_zero: false, ..Features::ALL }),
        "zeroless" => {
            export("zeroless", BlockSizes::DEFAULT, Features { write_zeroes: false, ..Features::ALL })
        }
        "secret" => Err(Refusal::Policy),
        _ => Err(Refusal::Unknown),
    }
}

fn described(name: &str) -> &'static str {
    if name == "disk" { "a disk" } else { "" }
}

fn describe(command: &Command) -> String {
    let flag = |set: &bool, name: &'static str| if *set { name } else { "" };
    match command {
        Command::Read { offset, length, dont_fragment } => {
            format!("read {offset}+{length}{}", flag(dont_fragment, " whole"))
        }
        Command::Write { offset, data, fua } => {
            format!("write {offset}+{}{}", data.len(), flag(fua, " fua"))
        }
        Command::Flush => "flush".into(),
        Command::Trim { offset, length, fua } => format!("trim {offset}+{length}{}", flag(fua, " fua")),
        Command::WriteZeroes { offset, length, fua, no_hole, fast } => format!(
            "zero {offset}+{length}{}{}{}",
            flag(fua, " fua"),
            flag(no_hole, " no-hole"),
            flag(fast, " fast")
        ),
        Command::BlockStatus { offset, length, one } => {
            format!("status {offset}+{length}{}", flag(one, " one"))
        }
    }
}

/// Both kinds of reply have it at the same place.
fn cookie_of(reply: &[u8]) -> u64 {
    u64::from_be_bytes(reply[8..16].try_into().expect("8 bytes"))
}

/// One fuzzed connection. The first byte says how the rest, a client's stream, is cut; however it is
/// cut, the same happens.
pub(crate) fn fuzz(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let whole = Driver::run(SMALL, [stream]);
    let pieces = Driver::run(SMALL, stream.chunks(usize::from(*cut) + 1));
    assert_eq!(whole, pieces, "the cut made a difference");
}
