//! Requests to the Edge that are not answered yet.

use glossary::VdiskId;
use io::SocketId;
use nbd::{Cookie, Purpose};

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) client: SocketId,
    pub(crate) kind: Kind,
    /// Bytes that it has a permit for.
    pub(crate) cost: u64,
}

/// What is to be done with the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tell the client which exports there are.
    List,
    /// See whether there is only one export: then that is meant by no name.
    FindDefault(Purpose),
    /// Describe an export, or attach the client to it.
    Find(Purpose, String),
    Read {
        cookie: Cookie,
        offset: u64,
        length: u32,
    },
    /// A write, trim or flush.
    Change {
        cookie: Cookie,
        what: &'static str,
    },
    /// Zeros that are written piece by piece; `at` is where the next piece begins.
    Zeroes {
        cookie: Cookie,
        vdisk: VdiskId,
        at: u64,
        end: u64,
        fua: bool,
    },
    BlockStatus {
        cookie: Cookie,
        length: u32,
        one: bool,
    },
}

/// All of them, in a table that is filled again and again. A number is used once: an answer that comes twice
/// finds nothing.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    life: u32,
    request: Option<Request>,
}

impl Requests {
    /// Takes a request in, and gives it its number.
    pub(crate) fn open(&mut self, request: Request) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { life: 0, request: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.life = slot.life.wrapping_add(1);
        slot.request = Some(request);
        number(slot.life, index)
    }

    /// Takes the request that has this number, if it is not answered yet.
    pub(crate) fn close(&mut self, number: u64) -> Option<Request> {
        let (life, index) = ((number >> 32) as u32, number as u32);
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.life == life)?;
        let request = slot.request.take()?;
        self.free.push(index);
        Some(request)
    }
}

fn number(life: u32, index: u32) -> u64 {
    u64::from(life) << 32 | u64::from(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_finds_its_request_once() {
        let request = |client| Request { client: SocketId(client), kind: Kind::List, cost: 0 };
        let mut requests = Requests::default();
        let (first, second) = (requests.open(request(1)), requests.open(request(2)));
        assert_eq!(requests.close(first), Some(request(1)));
        assert_eq!(requests.close(first), None);
        let third = requests.open(request(3));
        assert_eq!(requests.slots.len(), 2, "places are used again, numbers are not");
        assert_eq!(requests.close(first), None);
        assert_eq!((requests.close(third), requests.close(second)), (Some(request(3)), Some(request(2))));
        assert_eq!(requests.close(u64::MAX), None);
    }
}
