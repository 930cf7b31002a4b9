//! Long uploads and downloads.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::calls;
use super::wire::Wire;

/// Seconds that an upload of `length` bytes takes, of which at most so many are sent a second.
pub fn upload(address: SocketAddr, length: u64, pace: Option<f64>) -> anyhow::Result<f64> {
    let mut wire = Wire::connect(address)?;
    let began = Instant::now();
    wire.write(&calls::upload(length))?;
    wire.write_body(length, pace)?;
    let answer = wire.head()?.context("an upload has no answer")?;
    ensure!(answer.status() == "200", "the upload was answered with {}", answer.line);
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds that a download of `length` bytes takes, of which the upstream sends at most so many a second.
pub fn download(address: SocketAddr, length: u64, pace: Option<f64>) -> anyhow::Result<f64> {
    let mut wire = Wire::connect(address)?;
    let began = Instant::now();
    wire.write(&calls::download(length, pace))?;
    let answer = wire.head()?.context("a download has no answer")?;
    ensure!(answer.status() == "200" && answer.length == length, "the download was answered with {answer:?}");
    wire.skip(length)?;
    Ok(began.elapsed().as_secs_f64())
}
