//! Serves vDisks in memory over NBD: what the gateway and the executor cost by themselves.
//!
//! `cargo run --release -p gateway --example memory [ADDRESS]`, then for example
//! `nbdinfo --list nbd://127.0.0.1:10810`. It runs until it is killed.

#[path = "../tests/gateway/volumes.rs"]
mod volumes;

use std::error::Error;
use std::net::TcpListener;

use gateway::{Nbd, Settings};
use glossary::NodeId;
use io::{Builder, GatewaySpec};
use volumes::{EDGE, SIZE, Volumes, perform};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:10810".to_owned());
    let listener = TcpListener::bind(&address)?;
    let settings = Settings::new(EDGE);
    println!(
        "vDisks of {SIZE} bytes in memory at nbd://{address}/disk; the gateway takes at most {}",
        settings.memory_bound()
    );
    let gateway = Box::new(Nbd::new(listener, settings)?);
    let spec = GatewaySpec { id: NodeId(2), name: "nbd".into(), shard: 0, gateway };
    let _runtime =
        Builder::new(io::Settings::default()).node(Volumes::spec(false)).gateway(spec).start(perform)?;
    loop {
        std::thread::park();
    }
}
