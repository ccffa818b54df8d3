//! A server and clients on a real socket, with an [`Admin`] that remembers what it was asked.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::model::{ClusterStatus, Facts, Kv, Metrics, Osd, OsdState, Settings, Vdisk, WriteBuffer};
use api::{Admin, Client, ClientError, Kind, Refusal, Server};
use glossary::{ByteCount, OsdId, Policy, VdiskName};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers every call, and refuses as told.
#[derive(Default)]
struct Fake {
    calls: Mutex<Vec<String>>,
    refusal: Mutex<Option<Refusal>>,
    /// A status waits until the other end is gone.
    hold: Mutex<Option<Receiver<()>>>,
}

impl Fake {
    fn called(&self, call: String) -> Result<(), Refusal> {
        self.calls.lock().unwrap().push(call);
        self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn hold(&self) -> Sender<()> {
        let (release, hold) = channel();
        *self.hold.lock().unwrap() = Some(hold);
        release
    }
}

fn facts() -> Facts {
    let osd = Osd {
        osd: OsdId(0),
        name: "asd-0".into(),
        state: OsdState::Up,
        used: ByteCount(1),
        capacity: ByteCount(2),
        dead: ByteCount(3),
        keys: 4,
        trouble: None,
    };
    let vdisk = Vdisk {
        name: VdiskName::new("disk1").unwrap(),
        id: 1,
        uri: "nbd://127.0.0.1:10809/disk1".into(),
        size: ByteCount(u64::MAX),
        generation: 1,
        stored: ByteCount(5),
        unsafe_bytes: ByteCount(6),
        halted: None,
        lost: Vec::new(),
    };
    Facts {
        cluster: "00".repeat(16),
        policies: vec![Policy { k: 1, m: 0, c: 1, x: 1 }],
        osds: vec![osd],
        vdisks: vec![vdisk],
        write_buffer: WriteBuffer { used: ByteCount(7), limit: ByteCount(8) },
        kv: Kv { copies: 1, keys: 9, index: 10, trouble: None },
        memory_limit: ByteCount(11),
        troubles: Vec::new(),
    }
}

fn settings() -> Settings {
    Settings {
        disks: 1,
        policies: facts().policies,
        sco_size: ByteCount(4 << 20),
        write_buffer: ByteCount(8),
        disk_size: ByteCount(2),
        nbd: "127.0.0.1:10809".parse().unwrap(),
        io: "portable".into(),
        frames: false,
    }
}

impl Admin for Fake {
    fn status(&self, patience: Duration) -> Result<ClusterStatus, Refusal> {
        self.called(format!("status within {patience:?}"))?;
        let hold = self.hold.lock().unwrap().take();
        hold.map(|hold| hold.recv());
        Ok(ClusterStatus::of(facts()))
    }

    fn metrics(&self, _: Duration) -> Result<Metrics, Refusal> {
        Ok(Metrics::of(&ClusterStatus::of(facts())))
    }

    fn settings(&self) -> Settings {
        settings()
    }

    fn create_vdisk(&self, name: &VdiskName, size: ByteCount, _: Duration) -> Result<(), Refusal> {
        self.called(format!("create {name} {}", size.0))
    }

    fn resize_vdisk(&self, name: &VdiskName, size: ByteCount, _: Duration) -> Result<(), Refusal> {
        self.called(format!("resize {name} {}", size.0))
    }

    fn delete_vdisk(&self, name: &VdiskName, _: Duration) -> Result<(), Refusal> {
        self.called(format!("delete {name}"))
    }

    fn sync_vdisk(&self, name: Option<&VdiskName>, patience: Duration) -> Result<(), Refusal> {
        self.called(format!("sync {} within {patience:?}", name.map_or("all", VdiskName::as_str)))
    }

    fn stop_osd(&self, osd: OsdId, _: Duration) -> Result<(), Refusal> {
        self.called(format!("stop {osd}"))
    }

    fn start_osd(&self, osd: OsdId, _: Duration) -> Result<(), Refusal> {
        match osd {
            // Without the message that a panic prints.
            OsdId(666) => std::panic::resume_unwind(Box::new(())),
            _ => self.called(format!("start {osd}")),
        }
    }
}

/// A server in a folder of its own.
struct Bed {
    folder: TempDir,
    admin: Arc<Fake>,
    server: Option<Server>,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let admin = Arc::new(Fake::default());
        let path = api::socket_path(folder.path());
        let server = api::serve(&path, Arc::clone(&admin) as Arc<dyn Admin>).unwrap();
        Bed { folder, admin, server: Some(server) }
    }

    fn client(&self) -> Client {
        Client::new(self.folder.path(), PATIENCE)
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(api::socket_path(self.folder.path())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes as they are, and returns the first line and the body of what comes back.
    fn raw(&self, request: &str) -> (String, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // One that answers before it read all resets the connection behind its answer.
        let _ = stream.read_to_end(&mut bytes);
        let response = String::from_utf8(bytes).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    fn post(&self, path: &str, body: &str) -> (String, String) {
        self.raw(&format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }
}

fn name(text: &str) -> VdiskName {
    VdiskName::new(text).unwrap()
}

#[test]
fn questions_reach_the_cluster_and_answers_come_back() {
    let bed = Bed::new();
    let client = bed.client();
    assert_eq!(client.status().unwrap(), ClusterStatus::of(facts()));
    assert_eq!(client.settings().unwrap(), settings());
    assert_eq!(client.metrics().unwrap(), Metrics::of(&ClusterStatus::of(facts())));
    assert_eq!(client.vdisks().unwrap(), facts().vdisks);
    assert_eq!(client.vdisk(&name("disk1")).unwrap(), facts().vdisks[0]);
    assert_eq!(client.osds().unwrap(), facts().osds);
    assert_eq!(client.version().unwrap().api, api::VERSION);
    bed.admin.take_calls();

    client.create_vdisk(&name("disk2"), ByteCount(u64::MAX)).unwrap();
    client.resize_vdisk(&name("disk2"), ByteCount(8192)).unwrap();
    client.sync_vdisk(Some(&name("disk2"))).unwrap();
    client.sync_vdisk(None).unwrap();
    client.delete_vdisk(&name("disk2")).unwrap();
    client.stop_osd(OsdId(3)).unwrap();
    client.start_osd(OsdId(3)).unwrap();
    let expected = [
        "create disk2 18446744073709551615",
        "resize disk2 8192",
        "sync disk2 within 20s",
        "sync all within 20s",
        "delete disk2",
        "stop 3",
        "start 3",
    ];
    assert_eq!(bed.admin.take_calls(), expected);
}

#[test]
fn refusals_come_back_as_they_were() {
    let bed = Bed::new();
    let expected = [
        (Kind::Invalid, "400"),
        (Kind::NotFound, "404"),
        (Kind::Conflict, "409"),
        (Kind::Failed, "500"),
        (Kind::Unavailable, "503"),
        (Kind::TimedOut, "504"),
    ];
    for (kind, status) in expected {
        let refusal = Refusal::new(kind, "no, \"never\"").hint("ask another");
        *bed.admin.refusal.lock().unwrap() = Some(refusal.clone());
        match bed.client().sync_vdisk(None) {
            Err(ClientError::Refused(found)) => assert_eq!(found, refusal),
            other => panic!("{other:?}"),
        }
        let (first, _) = bed.post("/v1/sync", "");
        assert!(first.starts_with(&format!("HTTP/1.1 {status} ")), "{first}");
    }
    let found = bed.client().vdisk(&name("nothing"));
    assert!(matches!(found, Err(ClientError::Refused(refusal)) if refusal.error.contains("no, ")));
    *bed.admin.refusal.lock().unwrap() = None;
    let found = bed.client().vdisk(&name("nothing"));
    assert!(
        matches!(found, Err(ClientError::Refused(refusal)) if refusal == Refusal::no_vdisk(&name("nothing")))
    );
}

#[test]
fn errors_are_json_with_a_status() {
    let bed = Bed::new();
    let get = |path: &str| bed.raw(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let big = format!("{{\"name\":\"{}\",\"size_bytes\":1}}", "x".repeat(100_000));
    let answers = [
        ("404", "not-found", get("/")),
        ("404", "not-found", get("/v2/status")),
        ("400", "invalid", get("/v1/vdisks/a%2Fb")),
        ("400", "invalid", get("/v1/vdisks/a@b")),
        ("400", "invalid", get("/v1/sync")),
        ("400", "invalid", bed.post("/v1/vdisks", "")),
        ("400", "invalid", bed.post("/v1/vdisks", "{")),
        ("400", "invalid", bed.post("/v1/vdisks", r#"{"name":"a"}"#)),
        ("400", "invalid", bed.post("/v1/vdisks", r#"{"name":"a","size_bytes":-1}"#)),
        ("400", "invalid", bed.post("/v1/vdisks", r#"{"name":"a","size_bytes":1,"color":"red"}"#)),
        ("400", "invalid", bed.post("/v1/vdisks", r#"{"name":"a/b","size_bytes":4096}"#)),
        ("400", "invalid", bed.post("/v1/vdisks", &big)),
        ("400", "invalid", bed.post("/v1/osds/-1/stop", "")),
        ("500", "failed", bed.post("/v1/osds/666/start", "")),
    ];
    for (status, kind, (first, body)) in answers {
        assert!(first.starts_with(&format!("HTTP/1.1 {status} ")), "{first}: {body}");
        let refusal: Refusal = serde_json::from_str(&body).unwrap();
        assert!(!refusal.error.is_empty() && !refusal.error.contains('\n'), "{body}");
        assert!(body.contains(&format!("\"kind\":\"{kind}\"")), "{body}");
    }
    assert_eq!(bed.admin.take_calls(), Vec::<String>::new());
}

#[test]
fn metrics_are_text_unless_json_is_wanted() {
    let bed = Bed::new();
    let (first, body) = bed.raw("GET /v1/metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(first, "HTTP/1.1 200 OK");
    assert!(body.contains("\novs_osd_used_bytes{osd=\"asd-0\"} 1\n"), "{body}");
    let (_, body) = bed.raw("GET /v1/metrics HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n");
    assert!(body.starts_with("[{\"name\":\"ovs_healthy\""), "{body}");
}

#[test]
fn who_waits_too_long_is_told() {
    let bed = Bed::new();
    let release = bed.admin.hold();
    let (first, body) = bed.raw("GET /v1/status HTTP/1.1\r\nHost: x\r\nPrefer: wait=0\r\n\r\n");
    assert!(first.starts_with("HTTP/1.1 504 "), "{first}");
    assert!(body.contains("timed-out") && body.contains("may still happen"), "{body}");
    assert_eq!(bed.admin.take_calls(), ["status within 0ns"]);
    drop(release);
    // One question that hangs holds up no other.
    assert!(bed.client().status().is_ok());
}

#[test]
fn a_body_that_never_comes_ends() {
    let bed = Bed::new();
    let request = "POST /v1/vdisks HTTP/1.1\r\nHost: x\r\nPrefer: wait=0\r\nContent-Length: 10\r\n\r\n{";
    let (first, _) = bed.raw(request);
    assert!(first.starts_with("HTTP/1.1 504 "), "{first}");
}

#[test]
fn a_server_that_ends_takes_its_socket_and_lets_askers_go() {
    let mut bed = Bed::new();
    let release = bed.admin.hold();
    let client = bed.client();
    let asker = std::thread::spawn(move || client.status());
    while bed.admin.take_calls().is_empty() {
        std::thread::yield_now();
    }
    drop(bed.server.take());
    assert!(matches!(asker.join().unwrap(), Err(ClientError::Broken(_))));
    assert!(!api::socket_path(bed.folder.path()).exists());
    assert!(matches!(bed.client().status(), Err(ClientError::NotRunning)));
    drop(release);
}

#[test]
fn without_a_server_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let not_running = |client: Client| matches!(client.status(), Err(ClientError::NotRunning));
    assert!(not_running(Client::new(folder.path(), PATIENCE)));
    assert!(not_running(Client::new(&folder.path().join("nowhere"), PATIENCE)));
    assert!(not_running(Client::new(&folder.path().join("x".repeat(200)), PATIENCE)));
    drop(std::os::unix::net::UnixListener::bind(api::socket_path(folder.path())).unwrap());
    assert!(not_running(Client::new(folder.path(), PATIENCE)));
}

#[test]
fn an_answer_counts_although_not_all_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::os::unix::net::UnixListener::bind(api::socket_path(folder.path())).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Something came, so closing resets the connection.
        stream.read_exact(&mut [0; 1]).unwrap();
        let body = r#"{"kind":"conflict","error":"no"}"#;
        write!(stream, "HTTP/1.1 409 Conflict\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    let answered = Client::new(folder.path(), PATIENCE).sync_vdisk(None);
    server.join().unwrap();
    assert!(matches!(answered, Err(ClientError::Refused(refusal)) if refusal.kind == Kind::Conflict));
}

#[test]
fn other_servers_are_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::os::unix::net::UnixListener::bind(api::socket_path(folder.path())).unwrap();
    let answer = |text: &'static str| {
        let listener = listener.try_clone().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
        });
        let answered = Client::new(folder.path(), PATIENCE).status();
        server.join().unwrap();
        answered.unwrap_err()
    };
    assert!(matches!(answer("NBDMAGIC"), ClientError::Nonsense(_)));
    assert!(matches!(answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), ClientError::Nonsense(_)));
    assert!(matches!(answer("HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\nno"), ClientError::Nonsense(_)));
    assert!(matches!(answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), ClientError::Broken(_)));
    assert!(matches!(answer(""), ClientError::Broken(_)));
}
