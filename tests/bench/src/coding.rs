//! Erasure coding on one core.

use std::time::Instant;

use erasure::{Codec, ReedSolomon, Shape};

/// Bytes of a fragment.
const FRAGMENT: usize = 4 << 20;

/// Encoding and rebuilding speed of common shapes.
pub(crate) fn measure() -> Vec<String> {
    [(4, 2), (8, 2), (16, 4)].into_iter().map(|(k, m)| shape(k, m)).collect()
}

fn shape(k: usize, m: usize) -> String {
    let codec = ReedSolomon::new(Shape::new(k, m).expect("a shape"));
    let data: Vec<Vec<u8>> = (0..k).map(|i| (0..FRAGMENT).map(|at| (at * 31 + i) as u8).collect()).collect();
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut parity = vec![vec![0; FRAGMENT]; m];
    let encode = gigabytes_per_second(k, || {
        let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        codec.encode(&data, &mut parity).expect("the shape fits");
    });
    // The first data fragment is lost; the others and one parity fragment stand in.
    let mut present: Vec<(usize, &[u8])> = data.iter().copied().enumerate().skip(1).collect();
    present.push((k, &parity[0]));
    let mut lost = vec![0; FRAGMENT];
    let rebuild = gigabytes_per_second(k, || {
        codec.reconstruct(&present, &[0], &mut [&mut lost]).expect("enough is there");
    });
    assert_eq!(lost, data[0], "what is rebuilt is right");
    format!(
        "Erasure coding {k}+{m}, fragments of 4 MiB, one core: encode {encode:.1} GB/s, rebuild one {rebuild:.1} GB/s of data read."
    )
}

fn gigabytes_per_second(k: usize, mut work: impl FnMut()) -> f64 {
    work();
    let (begin, mut rounds) = (Instant::now(), 0);
    while begin.elapsed().as_millis() < 500 {
        work();
        rounds += 1;
    }
    (rounds * k * FRAGMENT) as f64 / begin.elapsed().as_secs_f64() / 1e9
}
