//! A runtime with an Edge in memory and a gateway.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest};
use gateway::{Monitor, Nbd, Settings};
use glossary::{NodeId, VdiskName};
use io::{Builder, GatewaySpec, Runtime};

use crate::client::Client;
use crate::volumes::{EDGE, Volumes, perform};

pub(crate) const GATEWAY: NodeId = NodeId(2);

/// Long enough for any machine; nothing waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bed {
    pub(crate) runtime: Runtime<Volumes>,
    pub(crate) monitor: Monitor,
    address: SocketAddr,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::with(|settings| settings)
    }

    pub(crate) fn with(change: impl FnOnce(Settings) -> Settings) -> Self {
        Self::on(io::Settings::default(), change)
    }

    pub(crate) fn on(executor: io::Settings, change: impl FnOnce(Settings) -> Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = Nbd::new(listener, change(Settings::new(EDGE))).unwrap();
        let monitor = gateway.monitor();
        let shard = executor.shards - 1;
        let spec = GatewaySpec { id: GATEWAY, name: "nbd".into(), shard, gateway: Box::new(gateway) };
        let runtime = Builder::new(executor).node(Volumes::spec(true)).gateway(spec).start(perform).unwrap();
        Bed { runtime, monitor, address }
    }

    /// A client that has not said a word.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// A client with structured replies and block status, attached to a vDisk.
    pub(crate) fn attached(&self, vdisk: &str) -> Client {
        let mut client = self.connect();
        client.negotiate(true);
        client.go(vdisk).unwrap();
        client
    }

    /// What the Edge was asked since this was called last.
    pub(crate) fn asked(&self) -> String {
        self.tell(AdminBody::Status)
    }

    /// Lets the requests for `slow` that came so far be answered; how many.
    pub(crate) fn release(&self) -> usize {
        let name = VdiskName::new("slow").unwrap();
        self.tell(AdminBody::SyncVdisk { name }).parse().unwrap()
    }

    /// Waits until something holds. Nothing is measured: it holds at some time.
    pub(crate) fn until(&self, holds: impl Fn(&Bed) -> bool) {
        for _ in 0..60_000 {
            if holds(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("it never holds");
    }

    fn tell(&self, body: AdminBody) -> String {
        let ask = |request| Message::Admin(AdminRequest { request, body });
        match self.runtime.port().ask(EDGE, PATIENCE, ask).unwrap() {
            Message::AdminReply(reply) => match reply.body {
                AdminAnswer::Failed(text) => text,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}
