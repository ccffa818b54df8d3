//! Between processes: what clients and other servers say to the nodes of this process, and what these say to them.
//!
//! [`Links`] is one gateway with all sockets of it. A client of this process gets a node id of this process's own,
//! and what it sends comes from there; a server is known by its certificate and sends for its own nodes alone.
#![forbid(unsafe_code)]

mod addresses;
mod audit;
mod budget;
mod elsewhere;
mod hall;
mod incoming;
mod links;
mod local;
mod outgoing;
mod pipe;
mod requests;
mod rights;
mod servers;
mod settings;
mod stream;
mod trail;
mod trust;

pub use addresses::Addresses;
pub use audit::{Audit, AuditError};
pub use links::Links;
pub use local::{LocalError, LocalSocket};
pub use settings::{Bounds, Settings};
pub use trust::Trust;

/// The name of the socket for clients on the same machine, in the folder of the process.
pub const LOCAL_SOCKET: &str = "kv.sock";

/// The name of the audit trail, in the same folder.
pub const AUDIT_FILE: &str = "audit.log";

/// The files of the audit trail: the one that is written, and full ones behind it, the newest first.
pub const AUDIT_FILES: [&str; 10] = [
    AUDIT_FILE,
    "audit.log.1",
    "audit.log.2",
    "audit.log.3",
    "audit.log.4",
    "audit.log.5",
    "audit.log.6",
    "audit.log.7",
    "audit.log.8",
    "audit.log.9",
];
