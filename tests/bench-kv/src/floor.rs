//! What no replicated store can go below: one round trip on loopback and one sync of a written page.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

const TIMES: usize = 500;

/// The median of a round trip and a sync together.
pub fn latency(folder: &Path) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut bytes = [0; 128];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let file = File::create(folder.join("floor"))?;
    let (mut bytes, page) = ([0; 128], [1; 4096]);
    let mut all = Vec::with_capacity(TIMES);
    for number in 0..TIMES {
        let started = Instant::now();
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)?;
        file.write_all_at(&page, 4096 * number as u64)?;
        file.sync_data()?;
        all.push(started.elapsed());
    }
    drop(stream);
    echo.join().expect("no panic")?;
    all.sort();
    Ok(all[TIMES / 2])
}
