//! Whom this process believes, and who it is: credentials that can change while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use certificates::{CertificateError, Credentials, Identity};

use crate::rights::{Peer, Rights};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Credentials, shared with who looks whether their files have changed.
#[derive(Clone, Debug)]
pub struct Trust(Arc<Held>);

#[derive(Debug)]
struct Held {
    credentials: RwLock<Arc<Credentials>>,
    /// Counts the changes.
    version: AtomicU64,
}

impl Trust {
    /// Credentials that stay as they are, until [`Trust::refresh`].
    pub fn new(credentials: Credentials) -> Self {
        Trust(Arc::new(Held { credentials: RwLock::new(Arc::new(credentials)), version: AtomicU64::new(0) }))
    }

    /// Has a thread look at the files every two seconds, as long as anybody holds this: renewed certificates and new
    /// revocations count without a restart. Files that can't be used change nothing, and are logged once.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn watch(&self) -> std::io::Result<()> {
        let held = Arc::downgrade(&self.0);
        std::thread::Builder::new().name("certificates".into()).spawn(move || watch(&held)).map(drop)
    }

    /// Looks whether the files have changed; whether they had.
    ///
    /// # Errors
    /// When they can't be used. What was there before counts.
    pub fn refresh(&self) -> Result<bool, CertificateError> {
        let Some(fresh) = self.current().reloaded()? else { return Ok(false) };
        *self.0.credentials.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        self.0.version.fetch_add(1, Ordering::Release);
        Ok(true)
    }

    /// The credentials as they are now.
    pub fn current(&self) -> Arc<Credentials> {
        Arc::clone(&self.0.credentials.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often they have changed.
    pub(crate) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }
}

fn watch(held: &Weak<Held>) {
    let mut said = String::new();
    loop {
        std::thread::sleep(LOOK_EVERY);
        let Some(held) = held.upgrade() else { return };
        match Trust(held).refresh() {
            Ok(true) => tracing::info!("certificates or revocations have changed and count from now on"),
            Ok(false) => said.clear(),
            Err(error) if error.to_string() != said => {
                said = error.to_string();
                tracing::error!("changed certificates can't be used, the old ones stay: {error}");
            }
            Err(_) => {}
        }
    }
}

/// What an identity may do: as the server that it says it is, or as a client.
pub(crate) fn peer(identity: Identity, as_server: bool) -> Peer {
    let rights = Rights::of(&identity.roles, identity.server.is_some());
    let member_of = identity.server.filter(|_| rights.member);
    Peer { member_of, server: identity.server.filter(|_| as_server), name: identity.name, rights }
}
