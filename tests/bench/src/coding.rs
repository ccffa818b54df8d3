//! Erasure coding on one core, beside ISA-L where it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use erasure::{Codec, ReedSolomon, Shape};

use crate::report::median;

/// Bytes of a fragment.
const FRAGMENT: usize = 4 << 20;

/// Bytes that are coded in one call, of each fragment.
const STRIP: usize = 64 << 10;

/// How long one measurement takes.
const DURATION: Duration = Duration::from_millis(200);

/// Speeds of one shape, in GB of data read per second.
pub(crate) struct Coded {
    pub(crate) k: usize,
    pub(crate) m: usize,
    pub(crate) ours: Speed,
    /// None where ISA-L can't be had.
    pub(crate) isal: Option<Speed>,
}

/// GB/s.
#[derive(Clone, Copy)]
pub(crate) struct Speed {
    pub(crate) encode: f64,
    /// Of one lost fragment.
    pub(crate) rebuild: f64,
}

/// Measures shapes in turns with ISA-L; the second value says why ISA-L is missing, if it is.
pub(crate) fn measure(rounds: u32, folder: &Path) -> Result<(Vec<Coded>, Option<String>)> {
    let (peer, missing) = match build_peer(folder) {
        Ok(program) => (Some(program), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let shapes = [(4, 2), (8, 2), (8, 4), (16, 4)];
    let coded: Result<_> = shapes.into_iter().map(|(k, m)| shape(k, m, rounds, peer.as_deref())).collect();
    Ok((coded?, missing))
}

fn shape(k: usize, m: usize, rounds: u32, peer: Option<&Path>) -> Result<Coded> {
    let mut bench = Shelf::new(k, m);
    let (mut ours, mut isal) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(bench.measure());
        if let Some(peer) = peer {
            let (speed, hash) = run_peer(peer, k, m)?;
            if hash != bench.hash() {
                bail!("{k}+{m}: ISA-L's parity differs from ours");
            }
            isal.push(speed);
        }
    }
    Ok(Coded { k, m, ours: middle(&ours).context("no rounds")?, isal: middle(&isal) })
}

fn middle(speeds: &[Speed]) -> Option<Speed> {
    let of = |pick: fn(&Speed) -> f64| median(&speeds.iter().map(pick).collect::<Vec<f64>>());
    Some(Speed { encode: of(|speed| speed.encode)?, rebuild: of(|speed| speed.rebuild)? })
}

/// Fragments of one shape.
struct Shelf {
    codec: ReedSolomon,
    data: Vec<Vec<u8>>,
    parity: Vec<Vec<u8>>,
    lost: Vec<u8>,
}

impl Shelf {
    fn new(k: usize, m: usize) -> Self {
        let data = (0..k).map(|i| (0..FRAGMENT).map(|at| (at * 31 + i) as u8).collect()).collect();
        let codec = ReedSolomon::new(Shape::new(k, m).expect("a shape"));
        Shelf { codec, data, parity: vec![vec![0; FRAGMENT]; m], lost: vec![0; FRAGMENT] }
    }

    fn measure(&mut self) -> Speed {
        let k = self.data.len();
        let encode = gigabytes_per_second(k, || self.encode());
        let rebuild = gigabytes_per_second(k, || self.rebuild());
        assert_eq!(self.lost, self.data[0], "what is rebuilt is right");
        Speed { encode, rebuild }
    }

    fn encode(&mut self) {
        for at in (0..FRAGMENT).step_by(STRIP) {
            let range = at..at + STRIP;
            let data: Vec<&[u8]> = self.data.iter().map(|data| &data[range.clone()]).collect();
            let mut parity: Vec<&mut [u8]> =
                self.parity.iter_mut().map(|parity| &mut parity[range.clone()]).collect();
            self.codec.encode(&data, &mut parity).expect("the shape fits");
        }
    }

    /// The first data fragment is lost; the others and one parity fragment stand in.
    fn rebuild(&mut self) {
        let k = self.data.len();
        for at in (0..FRAGMENT).step_by(STRIP) {
            let range = at..at + STRIP;
            let whole = self.data.iter().chain(&self.parity).enumerate();
            let present: Vec<(usize, &[u8])> =
                whole.skip(1).take(k).map(|(i, bytes)| (i, &bytes[range.clone()])).collect();
            let lost = &mut self.lost[range];
            self.codec.reconstruct(&present, &[0], &mut [lost]).expect("enough is there");
        }
    }

    /// FNV-1a of the parity.
    fn hash(&self) -> String {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = self.parity.iter().flatten().fold(0xcbf2_9ce4_8422_2325, step);
        format!("{hash:016x}")
    }
}

fn gigabytes_per_second(k: usize, mut work: impl FnMut()) -> f64 {
    work();
    let (begin, mut rounds) = (Instant::now(), 0);
    while begin.elapsed() < DURATION {
        work();
        rounds += 1;
    }
    (rounds * k * FRAGMENT) as f64 / begin.elapsed().as_secs_f64() / 1e9
}

/// Builds the program that measures ISA-L, and tries it.
fn build_peer(folder: &Path) -> Result<PathBuf> {
    let (source, program) = (folder.join("isal.c"), folder.join("isal"));
    std::fs::write(&source, include_str!("isal.c"))?;
    let built = Command::new("cc").arg("-O2").arg(&source).arg("-o").arg(&program).arg("-ldl").output();
    let built = built.context("no C compiler: apt-get install gcc")?;
    if !built.status.success() {
        bail!("cc failed: {}", String::from_utf8_lossy(&built.stderr).trim());
    }
    run_peer(&program, 4, 2).context("apt-get install libisal2")?;
    Ok(program)
}

fn run_peer(program: &Path, k: usize, m: usize) -> Result<(Speed, String)> {
    let words = [k.to_string(), m.to_string(), DURATION.as_millis().to_string()];
    let output = Command::new(program).args(words).output()?;
    if !output.status.success() {
        bail!("ISA-L: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout)?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let [encode, rebuild, hash] = words[..] else { bail!("ISA-L's program says {text:?}") };
    Ok((Speed { encode: encode.parse()?, rebuild: rebuild.parse()? }, hash.to_owned()))
}
