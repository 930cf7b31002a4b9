//! The parts of the server, put together in the order in which they need each other and taken apart in reverse.

use std::sync::Arc;

use crate::config::Settings;

use super::credentials::{RootKey, RootKeyError};
use super::data_dir::DataDir;
use super::http::Handler;
use super::metrics::Metrics;
use super::tasks::Tasks;

/// A part that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The root access key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
}

/// Everything that runs behind the port.
pub struct Parts {
    handler: Arc<dyn Handler>,
    tasks: Tasks,
    // Held to the end.
    _data: DataDir,
}

impl Parts {
    /// Starts all parts.
    pub async fn start(_settings: &Settings, data: DataDir, metrics: Metrics) -> Result<Self, PartError> {
        let _key = RootKey::choose(&data, |name| std::env::var(name).ok())?;
        let mut tasks = Tasks::default();
        tasks.start("metrics", |stop| async move {
            tokio::select! { () = stop.cancelled() => {}, () = metrics.upkeep() => {} }
        });
        Ok(Self { handler: Arc::new(Nothing(tasks.lost())), tasks, _data: data })
    }

    /// What answers requests.
    pub fn handler(&self) -> Arc<dyn Handler> {
        Arc::clone(&self.handler)
    }

    /// Stops all parts.
    pub async fn stop(self) -> Result<(), PartError> {
        self.tasks.stop().await;
        Ok(())
    }
}

struct Nothing(super::tasks::Lost);

impl Handler for Nothing {
    fn call(&self, _: super::http::Request) -> futures::future::BoxFuture<'static, http::Response<bytes::Bytes>> {
        Box::pin(async { super::http::answer::unavailable("this build has no operations") })
    }

    fn unready(&self) -> Option<String> {
        Some(self.0.first().unwrap_or("this build has no operations").to_owned())
    }
}
