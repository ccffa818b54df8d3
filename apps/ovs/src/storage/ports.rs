//! Ports of a process for its ordinary threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use glossary::{NodeId, ServerId};
use io::{Handle, Port};
use roles::Role;

/// The first place of ports among the nodes of a server.
const FIRST: u16 = 0xf000;

/// So many places there are: far more than there are questions at a time.
const COUNT: u16 = 0x0e00;

/// Gives ports to threads. Those of a server have ids of the server, as other servers answer to no others; each has
/// another id than those before it, so that answers which come late find nobody.
#[derive(Clone)]
pub(crate) struct Ports {
    server: ServerId,
    handle: Handle<Role>,
    given: Arc<AtomicU16>,
}

impl Ports {
    pub(crate) fn new(server: ServerId, handle: Handle<Role>) -> Self {
        Ports { server, handle, given: Arc::default() }
    }

    pub(crate) fn open(&self) -> Port {
        if self.server == ServerId(0) {
            return self.handle.port();
        }
        loop {
            let number = self.given.fetch_add(1, Ordering::Relaxed) % COUNT;
            let id = NodeId::at(self.server, FIRST + number);
            // Some are kept for long: they are passed by.
            if !self.handle.is_taken(id) {
                return self.handle.port_at(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::{Builder, Settings};

    #[test]
    fn a_port_that_is_kept_is_passed_by() {
        let runtime = Builder::<Role>::new(Settings::default()).start(roles::perform).unwrap();
        let ports = Ports::new(ServerId(3), runtime.handle());
        let kept = ports.open();
        let mut before = kept.id();
        for _ in 0..2 * COUNT {
            let port = ports.open();
            assert!(port.id() != kept.id() && port.id() != before && port.id().server() == ServerId(3));
            before = port.id();
        }
        assert!(!before.is_asd());
    }
}
