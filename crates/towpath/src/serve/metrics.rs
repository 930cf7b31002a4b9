//! `/metrics`: what is measured, in the text form of Prometheus, and who may read it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// Upper bounds of the classes that durations are counted in, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// How often histograms are folded together.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// The measurements of this process and the token that opens them.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    token: Option<Arc<Secret>>,
}

impl Metrics {
    /// Begins to collect what all parts of the process measure. Works once in a process; a second call collects
    /// nothing, which happens only in tests.
    pub fn install(token: Option<Secret>) -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::debug!("measurements are collected elsewhere already");
        }
        metrics::describe_counter!("towpath_http_requests_total", "requests answered, by route and class of status");
        metrics::describe_histogram!("towpath_http_request_duration_seconds", "time from headers to answer, by route");
        metrics::describe_gauge!("towpath_http_connections", "open connections");
        metrics::gauge!("towpath_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        Ok(Self { handle, token: token.map(Arc::new) })
    }

    /// True if this client may read: it has the token if there is one, else it is on this machine.
    pub fn admits(&self, authorization: Option<&[u8]>, peer: IpAddr) -> bool {
        let Some(token) = &self.token else { return peer.to_canonical().is_loopback() };
        let given = authorization.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
        given.ct_eq(token.expose().as_bytes()).into()
    }

    /// The measurements as text.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds histograms together for ever; without it their memory grows until somebody reads them.
    pub async fn upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.handle.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn without_a_token_only_this_machine_may_read() {
        let metrics = Metrics::install(None).unwrap();
        assert!(metrics.admits(None, NEAR));
        assert!(metrics.admits(None, IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert!(metrics.admits(None, IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())));
        assert!(!metrics.admits(None, FAR));
    }

    #[test]
    fn with_a_token_only_the_token_opens() {
        let metrics = Metrics::install(Some(Secret::new("0123456789abcdef"))).unwrap();
        assert!(metrics.admits(Some(b"Bearer 0123456789abcdef"), FAR));
        for wrong in [None, Some(&b"Bearer 0123456789abcdeg"[..]), Some(b"0123456789abcdef"), Some(b"Bearer ")] {
            assert!(!metrics.admits(wrong, NEAR), "{wrong:?}");
        }
    }
}
