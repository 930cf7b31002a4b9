//! `towpath-bench limits`: what this machine can do at most, measured beside the rest so that the distance is visible.

use std::io::Write as _;
use std::time::{Duration, Instant};

use jiff::civil::date;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::generate::audit::Batch;
use crate::results;

/// How long each is measured.
const TIME: Duration = Duration::from_secs(2);

/// `towpath-bench limits`.
#[derive(Debug, clap::Args)]
pub struct Limits {}

/// The limits of one processor core and of the disk below the benchmark's folder.
#[derive(Debug, Serialize)]
struct Measured {
    /// Appends of 4 KiB, each followed by fdatasync, a second.
    fsyncs_small: f64,
    /// Appends of 128 KiB, each followed by fdatasync, a second.
    fsyncs_batch: f64,
    /// SHA-256, MB a second.
    sha256: f64,
    /// JSON into a tree with serde_json, MB a second.
    serde_json: f64,
    /// JSON into a tree with sonic-rs, MB a second.
    sonic: f64,
    /// Gzip of log files taken apart, MB of JSON a second.
    gunzip: f64,
    /// Copying memory, MB a second.
    copy: f64,
}

impl Limits {
    /// Measures.
    pub fn run(&self) -> anyhow::Result<()> {
        let batch = Batch::new((1, 0), 100, "000000000000", date(2024, 1, 1));
        let body = batch.body(0);
        let events = batch.events(0);
        let bytes: usize = events.iter().map(String::len).sum();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&body)?;
        let packed = gzip.finish()?;
        results::save(
            "limits",
            &Measured {
                fsyncs_small: fsyncs(4 << 10)?,
                fsyncs_batch: fsyncs(128 << 10)?,
                sha256: rate(body.len(), || {
                    std::hint::black_box(Sha256::digest(&body));
                }),
                serde_json: rate(bytes, || {
                    for event in &events {
                        std::hint::black_box(serde_json::from_str::<serde_json::Value>(event).is_ok());
                    }
                }),
                sonic: rate(bytes, || {
                    for event in &events {
                        std::hint::black_box(sonic_rs::from_str::<sonic_rs::Value>(event).is_ok());
                    }
                }),
                gunzip: rate(body.len(), || {
                    let mut reader = flate2::read::GzDecoder::new(packed.as_slice());
                    std::hint::black_box(std::io::copy(&mut reader, &mut std::io::sink()).is_ok());
                }),
                copy: rate(body.len(), || {
                    std::hint::black_box(body.clone());
                }),
            },
        )
    }
}

/// MB a second of work on `bytes` bytes at a time.
fn rate(bytes: usize, mut work: impl FnMut()) -> f64 {
    let (started, mut rounds) = (Instant::now(), 0_u64);
    while started.elapsed() < TIME {
        work();
        rounds += 1;
    }
    rounds as f64 * bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
}

fn fsyncs(size: usize) -> anyhow::Result<f64> {
    std::fs::create_dir_all(results::folder())?;
    let mut file = tempfile::tempfile_in(results::folder())?;
    let block = vec![b'x'; size];
    let (started, mut rounds) = (Instant::now(), 0_u64);
    while started.elapsed() < TIME {
        file.write_all(&block)?;
        file.sync_data()?;
        rounds += 1;
    }
    Ok(rounds as f64 / started.elapsed().as_secs_f64())
}
