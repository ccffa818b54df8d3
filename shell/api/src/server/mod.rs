//! The cluster's end: one thread that speaks HTTP, and one for each question that is being answered.

mod answer;
mod routes;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};

use crate::admin::Admin;
use crate::wait;
use io::{BindError, SocketFile};

/// Connections at once. Each has at most one question, so there are as many threads that answer.
const CONNECTIONS_MAX: u32 = 64;

/// How long a client may take to say what it wants.
const HEADERS_LIMIT: Duration = Duration::from_secs(10);

/// Bytes that the headers of a request may have.
const HEADERS_MAX_BYTES: usize = 16 * 1024;

/// How long a connection may last beyond the longest wait.
const CONNECTION_SLACK: Duration = Duration::from_secs(60);

/// How long questions may take that are open when the server ends. A clean stop of all takes 5 s.
const GRACE: Duration = Duration::from_millis(500);

/// How long to wait before accepting again when that failed: file descriptors were short, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers questions on a socket until it is dropped, which removes the socket.
#[derive(Debug)]
pub struct Server {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    file: Option<SocketFile>,
}

/// Answers questions on a unix socket at `path`, which its owner alone may open.
///
/// # Errors
/// When the path is too long, taken, or the operating system refuses.
pub fn serve(path: &Path, admin: Arc<dyn Admin>) -> Result<Server, BindError> {
    let (listener, file) = io::bind_socket(path)?;
    let system = |source| BindError::System { path: path.to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(CONNECTIONS_MAX as usize)
        .thread_name("api-answer")
        .build()
        .map_err(system)?;
    let (end, ended) = oneshot::channel();
    let router = routes::router(admin);
    let run = move || {
        runtime.block_on(run(listener, router, ended));
        // A question may hang in a role that does not answer; nobody waits for it.
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("api".into()).spawn(run).map_err(system)?;
    Ok(Server { end: Some(end), thread: Some(thread), file: Some(file) })
}

impl Drop for Server {
    fn drop(&mut self) {
        // First the file: a client that comes now is told that nothing runs, and does not hang.
        drop(self.file.take());
        drop(self.end.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the API's thread panicked");
        }
    }
}

async fn run(listener: UnixListener, router: Router, ended: oneshot::Receiver<()>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    tokio::select! {
        () = accept(listener, router, Arc::clone(&permits)) => {}
        _ = ended => {}
    }
    // All permits are back when all connections have ended.
    let _ = tokio::time::timeout(GRACE, permits.acquire_many(CONNECTIONS_MAX)).await;
}

async fn accept(listener: UnixListener, router: Router, permits: Arc<Semaphore>) {
    let listener = match tokio::net::UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the API's socket can't be watched: {error}"),
    };
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("this semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("the API can't accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_LIMIT)
                .max_buf_size(HEADERS_MAX_BYTES)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // Clients that leave or talk nonsense are their own business.
            let _ = tokio::time::timeout(wait::MAX + CONNECTION_SLACK, connection).await;
            drop(permit);
        });
    }
}
