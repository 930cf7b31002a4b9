//! `towpath gateway`: the gateway as a program of its own, which sends its records to a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use towpath_gateway::Recording;
use towpath_model::SystemClock;
use tracing::{error, info};

use super::alone_surface::AloneSurface;
use super::server_sink::ServerSink;
use super::{Knowledge, RunningGateway, StartError, identities};
use crate::client::{Client, ConnectionArgs, Retry};
use crate::command::Failure;
use crate::config::{self, Settings, Sources};
use crate::serve::metrics::Metrics;
use crate::serve::signals::{self, Signals};
use crate::serve::{logging, print_line, tell};

/// The folder for what must outlive the process, if nobody says otherwise.
const DEFAULT_FOLDER: &str = "./towpath-gateway";

/// The folder of the development authority, if nobody says otherwise.
const DEFAULT_CA: &str = "./towpath-gateway/ca";

/// Flags of `towpath gateway`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Clients are sent through it by AWS_ENDPOINT_URL=http://127.0.0.1:4749.
What it stands in front of is in the configuration file:

  [[gateway.upstream]]
  service = \"s3\"
  url = \"http://127.0.0.1:9000\"")]
pub struct GatewayAlone {
    /// Where clients connect [default: 127.0.0.1:4749]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where /healthz, /readyz and /metrics are served [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    metrics_listen: Option<String>,
    /// Folder of service models, laid out as botocore's data [default: that of the botocore that python3 knows]
    #[arg(long, value_name = "DIR")]
    models: Option<String>,
    /// Encrypt with certificates of a development authority, kept in a folder [default folder: ./towpath-gateway/ca]
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = DEFAULT_CA)]
    dev_ca: Option<String>,
    /// Configuration file [default: towpath.toml if it is there; env: TOWPATH_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting by its dotted name, such as --set gateway.region=eu-west-1
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Check the settings, models and profiles, print the settings as a configuration file and exit
    #[arg(long)]
    check: bool,
    /// Print the public key that verifies this gateway's gap records, and exit; the key is made if there is none
    #[arg(long)]
    public_key: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl GatewayAlone {
    /// Runs the gateway until it is told to stop.
    pub async fn run(self) -> Result<(), Failure> {
        let flags = [
            ("gateway.listen", self.listen.clone()),
            ("gateway.metrics_listen", self.metrics_listen.clone()),
            ("gateway.models", self.models.clone()),
            ("gateway.tls.development_ca", self.dev_ca.clone()),
            ("gateway.enabled", Some("true".to_owned())),
        ];
        let sources = Sources::of_process(self.config.as_deref(), &self.set, flags).map_err(failure)?;
        let loaded = config::load(&sources).map_err(failure)?;
        let settings = loaded.settings;
        if self.check {
            Knowledge::load(&settings).await.map_err(failure)?;
            loaded.strangers.iter().for_each(|stranger| eprintln!("warning: {}", config::remark(stranger)));
            print_line(settings.to_string().trim_end());
            return Ok(());
        }
        if self.public_key {
            let folder = settings.gateway.recording.folder.as_deref().unwrap_or(Path::new(DEFAULT_FOLDER));
            let key = Recording::key_in(folder).map_err(failure)?;
            print_line(key.public_key_pem().trim_end());
            return Ok(());
        }
        let signals = Signals::listen().map_err(failure)?;
        logging::start(&settings.logging);
        tell(&settings, sources.file, &loaded.strangers);
        let client = crate::command::connect(&self.connection, Retry::ONCE)?;
        serve(settings, client, signals).await
    }
}

async fn serve(settings: Settings, client: Client, signals: Signals) -> Result<(), Failure> {
    // Before models are read, which takes its time: whoever supervises the process can tell that it starts.
    let surface = surface(&settings).await?;
    let knowledge = Knowledge::load(&settings).await.map_err(failure)?;
    info!(server = %client.connection().endpoint, "records go to a server");
    let identities = identities(&settings, None, Some(client.clone())).map_err(failure)?;
    let (sink, clock) = (Arc::new(ServerSink(client)), Arc::new(SystemClock));
    let folder = Path::new(DEFAULT_FOLDER);
    let gateway = RunningGateway::start(&settings, knowledge, identities, sink, folder, clock).await;
    let gateway = gateway.map_err(failure)?;
    if let Some(tls) = gateway.tls() {
        let mut hangups = signals::hangups().map_err(failure)?;
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                match tls.reload() {
                    Ok(()) => info!("the certificate was read anew"),
                    Err(cause) => error!(error = %crate::cli::told(&cause), "the certificate stays the old one"),
                }
            }
        });
    }
    if let Some(surface) = &surface {
        surface.ready(gateway.recording().clone());
        print_line(&format!("towpath gateway metrics on http://{}/metrics", surface.address));
    }
    print_line(&format!("towpath gateway ready on {}://{}", gateway.scheme, gateway.address));
    signals.stop().await;
    if let Some(surface) = &surface {
        surface.stopping();
    }
    gateway.stop().await;
    if let Some(surface) = surface {
        surface.stop().await;
    }
    info!("stopped");
    Ok(())
}

/// Serves what tells of this process, if an address is set for it.
async fn surface(settings: &Settings) -> Result<Option<AloneSurface>, Failure> {
    let Some(address) = settings.gateway.metrics_listen else { return Ok(None) };
    let refused = |cause| failure(StartError::Listen { setting: "gateway.metrics_listen", address, cause });
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let metrics = Metrics::install(settings.metrics.token.clone()).map_err(failure)?;
    tokio::spawn(metrics.clone().upkeep());
    AloneSurface::start(listener, settings, metrics).map(Some).map_err(refused)
}

fn failure(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::other(Box::new(error))
}
