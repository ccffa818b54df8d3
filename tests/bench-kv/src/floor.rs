//! What no replicated store can go below on this machine, measured with plain threads, sockets and files: no log, no
//! protocol, no cipher.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

const TIMES: u64 = 1000;

/// What is said and answered.
const MESSAGE: [u8; 128] = [1; 128];

/// What is written and synced.
const PAGE: [u8; 4096] = [1; 4096];

/// Medians.
#[derive(Clone, Copy)]
pub struct Floor {
    /// A round trip on loopback, and then a sync of one page.
    pub alone: Duration,
    /// A round trip to a leader, which has two followers write and sync a page and does so itself, and answers when one
    /// of them has and so has it: what a quorum of three costs when nothing is computed.
    pub replicated: Duration,
}

impl Floor {
    /// Of a leader and two followers with files in these folders.
    pub fn measure([leader, one, other]: [&Path; 3]) -> Result<Self> {
        let echo = serve(vec![], |stream, _| answer(stream, || Ok(())))?;
        let mut own = Pages::create(leader.join("alone"))?;
        let alone = ask(echo, || own.write())?;
        let mut followers = Vec::new();
        for folder in [one, other] {
            let mut pages = Pages::create(folder.join(format!("follower-{}", followers.len())))?;
            followers.push(serve(vec![], move |stream, _| answer(stream, || pages.write()))?);
        }
        let mut pages = Pages::create(leader.join("leader"))?;
        let lead = move |stream: TcpStream, followers: Vec<TcpStream>| {
            answer(stream, || {
                followers.iter().try_for_each(|mut follower| follower.write_all(&MESSAGE))?;
                pages.write()?;
                followers.iter().try_for_each(|mut follower| follower.read_exact(&mut [0; MESSAGE.len()]))
            })
        };
        let replicated = ask(serve(followers, lead)?, || Ok(()))?;
        Ok(Floor { alone, replicated })
    }
}

/// A file of which page after page is written and synced. It was full of zeros before: a file that grows has more to sync.
struct Pages {
    file: File,
    written: u64,
}

impl Pages {
    fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create(path)?;
        let pages = vec![0; PAGE.len() * TIMES as usize];
        file.write_all_at(&pages, 0)?;
        file.sync_all()?;
        Ok(Pages { file, written: 0 })
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&PAGE, self.written)?;
        self.written += PAGE.len() as u64;
        self.file.sync_data()
    }
}

/// Who answers, and on which thread.
struct Server {
    address: SocketAddr,
    thread: JoinHandle<io::Result<()>>,
}

/// Serves one connection, with connections to others of its own.
fn serve(
    others: Vec<Server>,
    mut work: impl FnMut(TcpStream, Vec<TcpStream>) -> io::Result<()> + Send + 'static,
) -> io::Result<Server> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let thread = std::thread::spawn(move || {
        let streams = others.iter().map(|other| connect(other.address)).collect::<io::Result<Vec<_>>>()?;
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        work(stream, streams)?;
        others.into_iter().try_for_each(|other| other.thread.join().expect("no panic"))
    });
    Ok(Server { address, thread })
}

/// Answers until nobody asks any more.
fn answer(mut stream: TcpStream, mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut message = MESSAGE;
    while stream.read_exact(&mut message).is_ok() {
        work()?;
        stream.write_all(&message)?;
    }
    Ok(())
}

/// Asks again and again, and works after each answer: the median of both.
fn ask(server: Server, mut work: impl FnMut() -> io::Result<()>) -> Result<Duration> {
    let mut stream = connect(server.address)?;
    let mut all = Vec::new();
    for _ in 0..TIMES {
        let started = Instant::now();
        stream.write_all(&MESSAGE)?;
        stream.read_exact(&mut [0; MESSAGE.len()])?;
        work()?;
        all.push(started.elapsed());
    }
    drop(stream);
    server.thread.join().expect("no panic")?;
    all.sort();
    Ok(all[all.len() / 2])
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
