//! DuckDB and ClickHouse, each in a Python process of its own (`bench/peers/peer.py`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// Bytes of memory for one query, the same for all.
pub const MEMORY: u64 = 1 << 30;
/// Threads, the same for all.
pub const THREADS: usize = 2;

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/peer.py");

/// The Python that has the peers and clients.
pub fn python() -> PathBuf {
    std::env::var_os("TOWPATH_BENCH_PYTHON")
        .map_or_else(|| crate::results::folder().join("venv/bin/python"), PathBuf::from)
}

/// A peer's process.
pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    version: String,
}

/// What a peer answered.
pub struct Answer {
    /// Rows of cell texts.
    pub rows: Vec<Vec<Option<String>>>,
    /// Time inside the peer.
    pub elapsed: Duration,
}

impl Peer {
    /// Starts `duckdb` or `clickhouse` over the Parquet files that match `files`, with at most this many bytes of memory.
    pub fn start(name: &str, files: &str, memory: u64) -> anyhow::Result<Self> {
        let python = python();
        let mut child = Command::new(&python)
            .args([PEER, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}; bench/run makes it", python.display()))?;
        let input = child.stdin.take().expect("standard input is a pipe");
        let output = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let mut peer = Self { child, input, output, version: String::new() };
        let opened = peer.ask(&json!({"do": "open", "files": files, "memory": memory, "threads": THREADS}))?;
        peer.version = opened["version"].as_str().unwrap_or_default().to_owned();
        Ok(peer)
    }

    /// The peer's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Asks a question.
    pub fn query(&mut self, sql: &str) -> anyhow::Result<Answer> {
        let answer = self.ask(&json!({"do": "query", "sql": sql}))?;
        Ok(Answer {
            rows: serde_json::from_value(answer["rows"].clone())?,
            elapsed: Duration::from_secs_f64(answer["seconds"].as_f64().context("no time")?),
        })
    }

    /// Asks the system to forget what it has cached of the files.
    pub fn forget(&mut self, files: &str) -> anyhow::Result<()> {
        self.ask(&json!({"do": "forget", "files": files})).map(drop)
    }

    /// Reads log files into a Parquet file; returns the seconds and the most memory used.
    pub fn import(&mut self, files: &str, out: &Path) -> anyhow::Result<(f64, u64)> {
        let answer = self.ask(&json!({"do": "import", "files": files, "out": out}))?;
        Ok((answer["seconds"].as_f64().context("no time")?, answer["peak"].as_u64().unwrap_or_default()))
    }

    fn ask(&mut self, request: &Value) -> anyhow::Result<Value> {
        writeln!(self.input, "{request}")?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("the peer is gone: {:?}", self.child.wait()?);
        }
        let answer: Value = serde_json::from_str(&line)?;
        match answer["error"].as_str() {
            Some(error) => bail!("{error}"),
            None => Ok(answer),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A peer that is gone already is no failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
