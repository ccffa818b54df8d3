//! The arguments of measurements.

use clap::{Args, Subcommand};

use super::KvPlace;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchVerb {
    /// Measures sets and gets of the KV, one by one and many at once, under keys of its own that it deletes.
    #[command(after_help = "Example:\n  ovs bench kv --count 5000 --value-size 1024")]
    Kv(BenchKv),
}

/// How to measure the KV.
#[derive(Debug, Args)]
pub(crate) struct BenchKv {
    /// How many of each.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) count: u32,
    /// Bytes of a value.
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub(crate) value_size: u32,
    /// How many are under way at once, where many are.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) concurrency: u32,
    #[command(flatten)]
    pub(crate) place: KvPlace,
}
