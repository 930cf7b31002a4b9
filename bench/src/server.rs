//! A Towpath server of the benchmark's own: started, measured and stopped here, on a port that was free.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use towpath_wire::sigv4::{Credentials, Secret};

use crate::api::Api;

/// How long a server may take to become ready or to stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server. Dropping it kills it; [`Server::stop`] lets it finish.
pub struct Server {
    child: Child,
    endpoint: String,
    data_dir: PathBuf,
    started_in: Duration,
}

/// The `towpath` beside this program.
pub fn binary() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let path = own.with_file_name("towpath");
    if !path.is_file() {
        bail!("there is no {}; build it with the same profile: cargo build -p towpath", path.display());
    }
    Ok(path)
}

impl Server {
    /// Starts a server over `data_dir` with settings such as `query.memory=1GiB` and waits until it is ready.
    pub fn start(data_dir: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(data_dir, settings, None)
    }

    /// The same with a configuration file.
    pub fn start_with(data_dir: &Path, settings: &[&str], config: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(parent) = data_dir.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let log = data_dir.with_extension("log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(binary()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        for setting in settings {
            command.args(["--set", setting]);
        }
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let started = Instant::now();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().context("cannot start towpath")?;
        let output = child.stdout.take().expect("standard output is a pipe");
        let mut lines = BufReader::new(output).lines();
        let endpoint = loop {
            let Some(line) = lines.next().transpose()? else {
                let status = child.wait()?;
                bail!("towpath did not start: {status}; see {}", data_dir.with_extension("log").display());
            };
            if let Some(address) = line.strip_prefix("towpath ready on ") {
                break address.trim().to_owned();
            }
        };
        let started_in = started.elapsed();
        // Nobody reads on, and the server must not stop because of it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, endpoint, data_dir: data_dir.to_owned(), started_in })
    }

    /// Time from the start of the process to its readiness.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// A client with the root key.
    pub fn api(&self) -> anyhow::Result<Api> {
        Ok(Api::new(self.endpoint.clone(), credentials(&self.data_dir)?))
    }

    /// Where its Parquet files are.
    pub fn lake(&self) -> PathBuf {
        self.data_dir.join("lake")
    }

    /// The most memory it has had, in bytes.
    pub fn peak_memory(&self) -> anyhow::Result<u64> {
        peak_memory(self.child.id())
    }

    /// Processor seconds it has used, in user and kernel mode.
    pub fn processor_seconds(&self) -> anyhow::Result<f64> {
        processor_seconds(self.child.id())
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let status = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        if !status.success() {
            bail!("cannot stop the server");
        }
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("the server stopped with {status}");
                }
                return Ok(started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not stop within {PATIENCE:?}")
    }

    /// Sets an AWS environment for a command that talks to this server.
    pub fn environment(&self, command: &mut Command) -> anyhow::Result<()> {
        let key = credentials(&self.data_dir)?;
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", &key.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", key.secret_access_key.expose())
            .env("AWS_REGION", crate::api::REGION);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill, and that is no failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The most memory a process has had, in bytes.
pub fn peak_memory(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak memory is told")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024)
}

/// Processor seconds that a process has used, in user and kernel mode.
pub fn processor_seconds(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name may hold blanks, so count from its closing bracket.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / 100.0)
}

fn credentials(data_dir: &Path) -> anyhow::Result<Credentials> {
    let path = data_dir.join("credentials");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let value = |name: &str| {
        let values = text.lines().filter_map(|line| line.split_once('='));
        values.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).next()
    };
    Ok(Credentials {
        access_key_id: value("aws_access_key_id").context("no access key in the credentials")?,
        secret_access_key: Secret::new(value("aws_secret_access_key").context("no secret in the credentials")?),
        session_token: None,
    })
}
