//! Where the other servers are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use glossary::ServerId;

/// The addresses of servers: shared, and changed while links are open. A link to an address that is no more its
/// server's is closed and dialled anew within a second.
#[derive(Clone, Debug, Default)]
pub struct Addresses(Arc<RwLock<BTreeMap<ServerId, SocketAddr>>>);

impl Addresses {
    /// These.
    pub fn new(addresses: BTreeMap<ServerId, SocketAddr>) -> Self {
        Addresses(Arc::new(RwLock::new(addresses)))
    }

    /// Puts others in their place.
    pub fn replace(&self, addresses: BTreeMap<ServerId, SocketAddr>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// Where a server is.
    pub fn of(&self, server: ServerId) -> Option<SocketAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&server).copied()
    }
}
