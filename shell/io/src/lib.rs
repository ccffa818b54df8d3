//! The executor: gives events to machines and carries out what they want, with the world as it is.
//!
//! [`Builder`] puts nodes ([`NodeSpec`]) and gateways ([`GatewaySpec`]) on shards; each shard is one thread
//! with one event loop. [`Runtime`] runs them, [`Handle`] starts and stops them, [`Port`] lets ordinary
//! threads ask them. The simulator is the other executor of the same machines.

mod builder;
mod clock;
mod compute;
mod disk;
mod gateway;
mod guard;
mod hub;
mod mailbox;
mod poller;
mod port;
mod relay;
mod runtime;
mod settings;
mod shard;
mod socket_file;
mod spec;
mod tap;
mod timers;

pub use builder::Builder;
pub use gateway::{Connection, Context, Gateway, Listener, RECEIVE_ROOM, Received, SocketId};
pub use hub::{NodeState, ShardCounters};
pub use poller::Readiness;
pub use port::{AskError, Port};
pub use runtime::{Handle, Runtime, StillStopping};
pub use settings::{IoChoice, Settings, Spin};
pub use shard::Node;
pub use socket_file::{BindError, SOCKET_PATH_MAX, SocketFile, bind_socket};
pub use spec::{GatewaySpec, NodeSpec, StartError};
pub use tap::Tap;
