//! A process: a KV that answers from what it is asked, behind links.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use formats::message::admin::{AdminAnswer, AdminReply};
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvQuery, KvReply, KvRequest};
use formats::work::Work;
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId, ServerId};
use io::{Builder, GatewaySpec, NodeSpec, Runtime};
use links::{Audit, Bounds, Links, LocalSocket, Settings};
use step::{Effects, Machine, Timestamp};
use tempfile::TempDir;

pub(crate) const CLUSTER: ClusterIdentity = ClusterIdentity([7; 16]);
pub(crate) const KV: NodeId = NodeId(1);
const LINKS: NodeId = NodeId(6);

/// What the echo answers to an empty key: too much for a socket.
pub(crate) const MUCH: usize = 1 << 20;

/// Answers `Get KEY` with who asked and the key, `Get ""` with much, `Get "via N KEY"` with what the KV of server N
/// answers to `Get KEY`, a command with `Done`, and a query for a range never. Counts what it is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Echo {
    pub(crate) asked: Arc<AtomicUsize>,
    /// Who waits for what another server answers.
    waiting: Vec<(NodeId, u64)>,
}

impl PartialEq for Echo {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.asked, &other.asked)
    }
}

impl Eq for Echo {}

impl Machine for Echo {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, _now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        let Event::Message { from, message } = event else { return };
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some((to, message)) = self.passed_on(from, &message) {
            return effects.push(Effect::Send { to, message });
        }
        let message = match message {
            Message::Kv(KvRequest { request, body }) => match body {
                KvBody::Query(KvQuery::Get { key }) => {
                    let value = if key.is_empty() {
                        vec![1; MUCH]
                    } else {
                        [from.to_string().as_bytes(), b" ", &key].concat()
                    };
                    Message::KvReply(KvReply { request, body: KvAnswer::Value(Some(value)) })
                }
                KvBody::Command { command: KvCommand::Sequence(_), .. } => {
                    Message::KvReply(KvReply { request, body: KvAnswer::Done(Vec::new()) })
                }
                _ => return,
            },
            Message::Admin(request) => {
                let body = AdminAnswer::Failed("an echo has no vDisks".into());
                Message::AdminReply(AdminReply { request: request.request, body })
            }
            _ => return,
        };
        effects.push(Effect::Send { to: from, message });
    }
}

impl Echo {
    /// What goes on to another server, or came back from there.
    fn passed_on(&mut self, from: NodeId, message: &Message) -> Option<(NodeId, Message)> {
        match message {
            Message::Kv(KvRequest { request, body: KvBody::Query(KvQuery::Get { key }) }) => {
                let text = String::from_utf8(key.clone()).unwrap();
                let (server, key) = text.strip_prefix("via ")?.split_once(' ')?;
                self.waiting.push((from, *request));
                let body = KvBody::Query(KvQuery::Get { key: key.as_bytes().to_vec() });
                let to = NodeId::kv_of(ServerId(server.parse().unwrap()));
                Some((to, Message::Kv(KvRequest { request: self.waiting.len() as u64 - 1, body })))
            }
            Message::KvReply(reply) => {
                let (to, request) = self.waiting[reply.request as usize];
                Some((to, Message::KvReply(KvReply { request, body: reply.body.clone() })))
            }
            _ => None,
        }
    }
}

/// A process that runs.
pub(crate) struct Bed {
    pub(crate) cluster: ClusterIdentity,
    pub(crate) runtime: Runtime<Echo>,
    pub(crate) folder: TempDir,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Bed {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let settings = Settings { bounds, ..Settings::new(CLUSTER, ServerId(0)) };
        Bed::with(settings, |links| links)
    }

    pub(crate) fn with(settings: Settings, more: impl FnOnce(Links) -> Links) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, kv) = (settings.cluster, settings.kv);
        let local = LocalSocket::bind(&folder.path().join(links::LOCAL_SOCKET)).unwrap();
        let audit = Audit::open(&folder.path().join("audit.log")).unwrap();
        let gateway = Box::new(more(Links::new(settings, audit, local)));
        let machine = Echo::default();
        let asked = Arc::clone(&machine.asked);
        let node = NodeSpec {
            id: kv,
            name: "kv".into(),
            shard: 1,
            folder: None,
            past_page_cache: false,
            machine,
            tap: None,
        };
        let runtime = Builder::new(io::Settings { shards: 2, ..io::Settings::default() })
            .node(node)
            .gateway(GatewaySpec { id: LINKS, name: "links".into(), shard: 0, gateway })
            .start(|work: Work| panic!("an echo does no work: {work:?}"))
            .unwrap();
        Bed { cluster, runtime, folder, asked }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(links::LOCAL_SOCKET)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Stops the links, as an operator does; whether they came to an end.
    pub(crate) fn stop_links(&self) -> bool {
        self.runtime.stop_node(LINKS, std::time::Duration::from_secs(60)).is_ok()
    }
}

/// The audit trail, once it has so many lines.
pub(crate) fn trail_of(bed: &Bed, lines: usize) -> String {
    loop {
        let text = std::fs::read_to_string(bed.folder.path().join("audit.log")).unwrap();
        if text.lines().count() == lines {
            return text;
        }
        std::thread::yield_now();
    }
}
