//! Measures encoding of cold strips: `cargo run --release -p erasure --example encode [-- MIB_PER_STRIP]`.
#![allow(clippy::print_stdout, reason = "it is there to print")]

use std::time::Instant;

use erasure::{Codec, ReedSolomon, Shape};

fn main() {
    let mib: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(4);
    for (k, m) in [(4, 2), (8, 3), (4, 4), (10, 6)] {
        let codec = ReedSolomon::new(Shape::new(k, m).expect("a shape"));
        // More sets than the last level of cache holds, so that each is cold when its turn comes.
        let sets = (256 / (mib * (k + m))).max(2);
        let strips = |count: usize| -> Vec<Vec<u8>> {
            (0..count).map(|strip| (0..mib << 20).map(|at| (at * 31 + strip * 7) as u8).collect()).collect()
        };
        let mut all: Vec<_> = (0..sets).map(|_| (strips(k), strips(m))).collect();
        let mut best = f64::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            for (data, parity) in &mut all {
                let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
                let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
                codec.encode(&data, &mut parity).expect("encoded");
            }
            best = best.min(start.elapsed().as_secs_f64() / sets as f64);
        }
        println!("{k}+{m}: {:.2} GiB/s of data", (k * mib) as f64 / 1024.0 / best);
    }
}
