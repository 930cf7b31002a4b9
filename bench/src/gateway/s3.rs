//! Long bodies as a user has them: a stock client (boto3, `bench/peers/s3_client.py`) and a whole S3 server, whose buckets
//! are Towpath's own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::peer::python;
use crate::server::Server;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/s3_client.py");

/// An S3 server with its own data, in its own process.
pub struct S3 {
    server: Server,
    /// Where its buckets are.
    pub address: SocketAddr,
}

impl S3 {
    /// Starts one with its data in `folder`.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let settings = [&*format!("s3_listen={address}"), "logging.filter=warn"];
        Ok(Self { server: Server::start(&folder.join("s3"), &settings)?, address })
    }

    /// Sends a body of so many mebibytes and fetches it, straight and through `gateway`, three times in turn. The best
    /// seconds of each.
    pub fn measure(&self, megabytes: u64, gateway: SocketAddr) -> anyhow::Result<Value> {
        let mut command = Command::new(python());
        command.arg(CLIENT).arg(megabytes.to_string());
        command.arg(format!("http://{}", self.address)).arg(format!("http://{gateway}"));
        self.server.environment(&mut command)?;
        command.env_remove("AWS_ENDPOINT_URL").env("TOWPATH_BENCH_DATA", crate::results::folder());
        let output = command.output().context("cannot run the S3 client; bench/run installs what it needs")?;
        ensure!(output.status.success(), "the S3 client failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        let measured = serde_json::from_slice(&output.stdout)?;
        eprintln!("{measured}");
        Ok(measured)
    }
}
