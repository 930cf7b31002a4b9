//! `towpath serve`: from settings to a running server and back to a stopped one.
//!
//! The port answers `/healthz` and `/readyz` before anything is recovered, so that a supervisor can tell a server that
//! starts from one that is gone. Requests get through when every part is up, and the ready line is printed then.

pub mod credentials;
mod data_dir;
pub mod http;
pub mod logging;
pub mod metrics;
mod parts;
mod s3;
pub mod signals;
mod stop_plan;
mod tasks;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use towpath_model::SystemClock;
use towpath_port::{PemPair, Tls, TlsError};

use crate::config::{self, Loaded, Settings, Sources};
use crate::gateway::{Knowledge, LogSink, OwnKeys, RunningGateway, StartError, identities};

use self::data_dir::DataDir;
use self::http::{Gate, HttpServer, Surface};
use self::metrics::Metrics;
use self::parts::Parts;
use self::signals::Signals;
use self::stop_plan::StopPlan;

pub use self::tasks::Lost;

/// Flags of `towpath serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Folder that holds everything; made at the first start [default: ./towpath-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address of the API, of /healthz, /readyz and /metrics [default: 127.0.0.1:4747]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address of the buckets of the data directory, served over the S3 protocol [default: 127.0.0.1:4748]
    #[arg(long, value_name = "ADDR")]
    s3_listen: Option<String>,
    /// Number of the account that the first start makes [default: 000000000000]
    #[arg(long, value_name = "NUMBER")]
    account_id: Option<String>,
    /// Configuration file [default: towpath.toml if it is there; env: TOWPATH_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting by its dotted name, such as --set query.memory=2GiB
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Run the capture gateway too, at gateway.listen [default: 127.0.0.1:4749]
    #[arg(long)]
    gateway: bool,
    /// Check the settings, print them as a configuration file and exit
    #[arg(long)]
    check: bool,
}

/// Why the server did not start or did not stop well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] data_dir::DataDirError),
    /// The address.
    #[error("cannot listen on {address}; choose another {flag}, or stop what uses the address")]
    Listen {
        /// Which address it is.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// The reason.
        #[source]
        cause: std::io::Error,
    },
    /// The operating system.
    #[error("cannot {step}")]
    System {
        /// What was being done.
        step: &'static str,
        /// The reason.
        #[source]
        cause: std::io::Error,
    },
    /// Certificate and key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The gateway.
    #[error(transparent)]
    Gateway(#[from] StartError),
    /// Measurements.
    #[error("cannot set up metrics")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// A part of the server.
    #[error(transparent)]
    Part(#[from] parts::PartError),
}

impl Serve {
    /// Reads the settings from all sources.
    fn load(&self) -> Result<(Loaded, Option<PathBuf>), ServeError> {
        let flags = [
            ("data_dir", self.data_dir.clone()),
            ("listen", self.listen.clone()),
            ("s3_listen", self.s3_listen.clone()),
            ("account_id", self.account_id.clone()),
            ("gateway.enabled", self.gateway.then(|| "true".to_owned())),
        ];
        let sources = Sources::of_process(self.config.as_deref(), &self.set, flags)?;
        Ok((config::load(&sources)?, sources.file))
    }

    /// Runs the server until it is told to stop.
    pub async fn run(self) -> Result<(), ServeError> {
        let (loaded, file) = self.load()?;
        let settings = loaded.settings;
        if self.check {
            loaded.strangers.iter().for_each(|stranger| eprintln!("warning: {}", config::remark(stranger)));
            print_line(settings.to_string().trim_end());
            return Ok(());
        }
        // Before anything is opened, so that no signal finds it half open.
        let signals = Signals::listen().map_err(|cause| ServeError::System { step: "take over signals", cause })?;
        logging::start(&settings.logging);
        tell(&settings, file, &loaded.strangers);
        run(settings, signals).await
    }
}

async fn run(settings: Settings, signals: Signals) -> Result<(), ServeError> {
    if !settings.gateway.enabled && !settings.gateway.upstream.is_empty() {
        warn!("the settings name upstreams of a gateway, and none runs; say --gateway, or set gateway.enabled");
    }
    let knowledge = match settings.gateway.enabled {
        true => Some(Knowledge::load(&settings).await?),
        false => None,
    };
    let data = DataDir::open(&settings.data_dir)?;
    info!(data_dir = %data.path().display(), first_start = data.is_fresh(), "data directory is held");
    if data.is_open_to_others() {
        warn!(data_dir = %data.path().display(), "other users of this machine may look into the data directory; chmod 700 it");
    }
    let tls = tls(&settings.tls)?;
    let gateway_folder = data.join("gateway");
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (listener, address) = listen("--listen", settings.listen).await?;
    let (s3_listener, s3_address) = listen("--s3-listen", settings.s3_address()).await?;
    for address in [address, s3_address] {
        if !address.ip().is_loopback() && tls.is_none() {
            warn!(%address, "requests from other machines arrive unencrypted; set tls.certificate and tls.key");
        }
    }
    if let Some(tls) = &tls {
        let hangups = signals::hangups().map_err(|cause| ServeError::System { step: "take over SIGHUP", cause })?;
        tokio::spawn(reload(tls.clone(), hangups));
    }

    let metrics = Metrics::install(settings.metrics.token.clone())?;
    let gate = Gate::default();
    let server = HttpServer::new(Surface::new(gate.clone(), settings.http.clone(), metrics.clone()));
    let stop = CancellationToken::new();
    let http = tokio::spawn(server.serve(listener, tls.clone(), stop.clone()));

    let stopped = signals.stop();
    tokio::pin!(stopped);
    let started = tokio::select! {
        parts = Parts::start(&settings, data, metrics) => Some(parts),
        () = &mut stopped => None,
    };
    let outcome = match started {
        None => Ok(()),
        Some(Err(refused)) => Err(refused),
        Some(Ok(parts)) => {
            let s3 = tokio::spawn(s3::serve(parts.s3_server(), s3_listener, tls, stop.clone(), parts.lost()));
            let gateway = match gateway(&settings, knowledge, &parts, &gateway_folder).await {
                Ok(gateway) => gateway,
                Err(refused) => {
                    stop.cancel();
                    parts.stop(&StopPlan::begin()).await;
                    return Err(refused);
                }
            };
            gate.open(parts.handler());
            print_line(&format!("towpath ready on {scheme}://{address}"));
            if let Some(gateway) = &gateway {
                print_line(&format!("towpath gateway on {}://{}", gateway.scheme, gateway.address));
            }
            info!(%address, %s3_address, "ready");
            stopped.await;
            let plan = StopPlan::begin();
            plan.watch();
            gate.close();
            stop.cancel();
            let gateway = async {
                if let Some(gateway) = gateway {
                    gateway.stop().await;
                }
            };
            tokio::join!(
                // Its records need the log, which is closed after this.
                StopPlan::until(plan.work(), "gateway", gateway),
                StopPlan::until(plan.connections(), "connections", finish(http)),
                StopPlan::until(plan.connections(), "S3 connections", finish(s3)),
            );
            parts.stop(&plan).await;
            Ok(())
        }
    };
    stop.cancel();
    outcome?;
    info!("stopped");
    Ok(())
}

async fn listen(flag: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let refused = |cause| ServeError::Listen { flag, address, cause };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

/// Starts the capture gateway in this process, if it is wanted.
async fn gateway(
    settings: &Settings,
    knowledge: Option<Knowledge>,
    parts: &Parts,
    folder: &Path,
) -> Result<Option<RunningGateway>, ServeError> {
    let Some(knowledge) = knowledge else { return Ok(None) };
    // Not a reason to refuse the start: accounts are made by asking the running server.
    for account in settings.gateway_accounts() {
        if !parts.service().has_account(account) {
            error!(
                %account,
                "the gateway records calls in an account that is not there, and they become gaps; \
                 make it with: towpath iam account create {account} --name NAME"
            );
        }
    }
    let (sink, clock) = (Arc::new(LogSink(parts.service())), Arc::new(SystemClock));
    let identities = identities(settings, Some(Arc::new(OwnKeys(parts.service()))), None)?;
    let gateway = RunningGateway::start(settings, knowledge, identities, sink, folder, clock).await?;
    if let Some(tls) = gateway.tls() {
        let hangups = signals::hangups().map_err(|cause| ServeError::System { step: "take over SIGHUP", cause })?;
        tokio::spawn(reload(tls, hangups));
    }
    Ok(Some(gateway.watched(parts.lost())))
}

/// The certificate of the settings; `None` if there is none, and connections are not encrypted.
fn tls(settings: &config::Tls) -> Result<Option<Tls>, TlsError> {
    let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else { return Ok(None) };
    let pair = PemPair { certificate: ("tls.certificate", certificate.clone()), key: ("tls.key", key.clone()) };
    Tls::load(pair).map(Some)
}

/// Reads certificate and key anew at each SIGHUP.
async fn reload(tls: Tls, mut hangups: tokio::signal::unix::Signal) {
    while hangups.recv().await.is_some() {
        match tls.reload() {
            Ok(()) => info!("the certificate was read anew"),
            Err(cause) => error!(error = %crate::cli::told(&cause), "the certificate stays the old one"),
        }
    }
}

async fn finish(http: tokio::task::JoinHandle<()>) {
    if let Err(cause) = http.await {
        error!(%cause, "the HTTP server failed");
    }
}

pub fn tell(settings: &Settings, file: Option<PathBuf>, strangers: &[(String, Option<String>)]) {
    let version = env!("CARGO_PKG_VERSION");
    let file = file.map(|file| file.display().to_string()).unwrap_or_else(|| "none".to_owned());
    info!(version, pid = std::process::id(), config = %file, "towpath starts");
    for (setting, value) in config::changed(settings) {
        info!(%setting, %value, "not the default");
    }
    for (variable, nearest) in strangers {
        match nearest {
            Some(nearest) => warn!(%variable, "unknown variable; did you mean {nearest}?"),
            None => info!(%variable, "variable is no setting and is passed over"),
        }
    }
}

/// Prints a line to standard output. A reader that has gone does not stop the server.
pub fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
