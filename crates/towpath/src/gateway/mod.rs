//! The capture gateway, put together: its port, what it knows of services, and the way of its records into a log.
//!
//! `towpath gateway` runs it alone and sends records to a server; `towpath serve --gateway` runs it in the server's process.

mod alone;
mod alone_surface;
mod describe;
mod identities;
mod log_sink;
mod models;
mod server_sink;
mod settings;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use towpath_admit::VpcEndpoint;
use towpath_capture::openapi::{Api, ApiError};
use towpath_capture::profile::{ProfileError, Profiles};
use towpath_capture::{Capture, ModelError, Models};
use towpath_gateway::{
    CaError, DevelopmentCa, Gateway, GatewayError, GatewayServer, Identities, RecordSink, Recording, RecordingError,
    TlsSettings,
};
use towpath_model::Clock;
use towpath_port::{PemPair, Tls, TlsError};

use crate::config::{self, Settings};
use crate::serve::Lost;

pub use alone::GatewayAlone;
pub use identities::{OwnKeys, identities};
pub use log_sink::LogSink;

use self::describe::{Descriptions, Place};

/// How long records may still take to become durable after the last call.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address.
    #[error("cannot listen on {address}; choose another {setting}, or stop what uses the address")]
    Listen {
        /// Its name.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// The reason.
        #[source]
        cause: std::io::Error,
    },
    /// No models.
    #[error(
        "the gateway knows no service: set gateway.models to a folder laid out as botocore's data, such as \
         .../site-packages/botocore/data, or install botocore for python3"
    )]
    NoModels,
    /// The folder of models.
    #[error("setting gateway.models is {}, which cannot be used", folder.display())]
    Models {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        #[source]
        cause: ModelError,
    },
    /// The folder of profiles.
    #[error("setting gateway.profiles is {}, which cannot be used", folder.display())]
    Profiles {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        #[source]
        cause: ProfileError,
    },
    /// The mapping of an HTTP API.
    #[error("setting openapi of gateway.upstream {upstream} cannot be used")]
    Api {
        /// The upstream.
        upstream: String,
        /// The reason.
        #[source]
        cause: ApiError,
    },
    /// An STS or an IAM.
    #[error("setting {setting} of gateway.upstream {upstream} cannot be used: {problem}")]
    Asked {
        /// `sts` or `iam`.
        setting: &'static str,
        /// The upstream.
        upstream: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An upstream.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// Recording.
    #[error("the gateway cannot record calls")]
    Recording(#[from] RecordingError),
    /// Certificate and key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The development authority.
    #[error("setting gateway.tls.development_ca cannot be used")]
    Ca(#[from] CaError),
    /// A thread was lost.
    #[error("a thread ended before its work was done")]
    Thread(#[from] tokio::task::JoinError),
}

/// A gateway that runs.
pub struct RunningGateway {
    /// Where clients connect.
    pub address: SocketAddr,
    /// `https` or `http`.
    pub scheme: &'static str,
    tls: Option<Tls>,
    recording: Recording,
    server: JoinHandle<()>,
    stop: CancellationToken,
}

/// What a gateway knows of services. Made before anything is opened, so that a wrong setting costs nothing.
pub struct Knowledge(Descriptions);

impl Knowledge {
    /// Reads models, profiles and documents.
    pub async fn load(settings: &Settings) -> Result<Self, StartError> {
        let gateway = &settings.gateway;
        let apis: HashMap<Arc<str>, Api> = gateway
            .upstream
            .iter()
            .filter_map(|upstream| upstream.openapi.as_ref().map(|mapping| (upstream.called(), mapping)))
            .map(|(name, mapping)| match Api::open(mapping) {
                Ok(api) => Ok((Arc::from(name), api)),
                Err(cause) => Err(StartError::Api { upstream: name.to_owned(), cause }),
            })
            .collect::<Result<_, _>>()?;
        let needed = gateway.upstream.iter().any(|upstream| upstream.openapi.is_none());
        let models = match (&gateway.models, needed) {
            (Some(folder), _) => models_of(folder.clone()).await?,
            (None, false) => Models::none(),
            (None, true) => models_of(models::installed().await.ok_or(StartError::NoModels)?).await?,
        };
        let profiles = match &gateway.profiles {
            None => Profiles::shipped(),
            Some(folder) => {
                Profiles::with_folder(folder).map_err(|cause| StartError::Profiles { folder: folder.clone(), cause })?
            }
        };
        let place = |one: &config::Upstream| {
            let account = one.vpc_endpoint_account_id;
            let vpc_endpoint = one.vpc_endpoint_id.clone().map(|id| VpcEndpoint { id, account });
            (Arc::from(one.called()), Place { bucket_domain: one.bucket_domain.clone(), vpc_endpoint })
        };
        let places = gateway.upstream.iter().map(place).collect();
        let capture = Capture::new(models, profiles);
        gateway.upstream.iter().for_each(|upstream| warn_of_services(&capture, upstream));
        Ok(Self(Descriptions::new(capture, apis, places)))
    }
}

/// Warns of services that nobody has heard of: a call is taken by the name that it is signed for, to the letter.
fn warn_of_services(capture: &Capture, upstream: &config::Upstream) {
    for service in upstream.service.iter().filter(|name| *name != "*" && !capture.is_signing_name(name)) {
        let meant = capture.signing_name_of(service).map(|name| format!("; its calls are signed for {name}"));
        let meant = meant.unwrap_or_default();
        warn!(upstream = upstream.called(), %service, "no known service is signed for what this upstream names{meant}");
    }
}

async fn models_of(folder: PathBuf) -> Result<Models, StartError> {
    let read = tokio::task::spawn_blocking(move || match Models::open(&folder) {
        Ok(models) => {
            info!(folder = %folder.display(), services = models.services().count(), "models of services are known");
            Ok(models)
        }
        Err(cause) => Err(StartError::Models { folder, cause }),
    });
    read.await?
}

impl RunningGateway {
    /// Opens the port and starts to pass calls on. `folder` is for what must outlive the process.
    pub async fn start(
        settings: &Settings,
        knowledge: Knowledge,
        identities: Identities,
        sink: Arc<dyn RecordSink>,
        folder: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let gateway_settings = settings::gateway(settings, knowledge.0.target_services());
        let tls = tls(&gateway_settings.tls)?;
        let address = settings.gateway.listen;
        let refused = |cause| StartError::Listen { setting: "gateway.listen", address, cause };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        if !address.ip().is_loopback() && tls.is_none() {
            warn!(%address, "calls from other machines arrive unencrypted; see gateway.tls");
        }
        let recording = settings::recording(settings, folder);
        let identities = Arc::new(identities);
        let describe = Arc::new(knowledge.0.with_identities(Arc::clone(&identities)));
        let recording = Recording::start(describe, identities, sink, Arc::clone(&clock), recording)?;
        let gateway = Gateway::new(&gateway_settings, recording.clone(), clock)?;
        let stop = CancellationToken::new();
        let server = GatewayServer::new(gateway).serve(listener, tls.clone(), stop.clone());
        let scheme = if tls.is_some() { "https" } else { "http" };
        info!(%address, scheme, upstreams = settings.gateway.upstream.len(), "the gateway takes calls");
        Ok(Self { address, scheme, tls, recording, server: tokio::spawn(server), stop })
    }

    /// Notes in `lost` should the port end by itself.
    pub fn watched(mut self, lost: Lost) -> Self {
        let (server, stop) = (self.server, self.stop.clone());
        self.server = tokio::spawn(async move {
            if server.await.is_err() || !stop.is_cancelled() {
                error!("the gateway's port ended by itself; restart the server");
                lost.note("gateway");
            }
        });
        self
    }

    /// What encrypts connections, to be told when files have changed.
    pub fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }

    /// What makes records of its calls.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Takes no more calls, lets those under way end, and waits for their records to be durable.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(cause) = self.server.await {
            error!(%cause, "the gateway's port failed");
        }
        self.recording.close(PATIENCE).await;
    }
}

fn tls(settings: &TlsSettings) -> Result<Option<Tls>, StartError> {
    Ok(match settings {
        TlsSettings::Plain => None,
        TlsSettings::Files { certificate, key } => Some(Tls::load(PemPair {
            certificate: ("gateway.tls.certificate", certificate.clone()),
            key: ("gateway.tls.key", key.clone()),
        })?),
        TlsSettings::DevelopmentCa { folder, names } => {
            let authority = DevelopmentCa::open(folder, names)?;
            let file = authority.certificate().to_owned();
            let file = std::path::absolute(&file).unwrap_or(file);
            info!(certificate = %file.display(), "clients must trust the development authority: set AWS_CA_BUNDLE to its certificate");
            Some(Tls::resolving(Arc::new(authority))?)
        }
    })
}
