//! The settings of the gateway's parts, from the settings of the program.

use std::path::Path;

use towpath_gateway::{
    ClientLimits, GatewaySettings, Kept, Origin, RecordedUpstream, RecordingSettings, Takes, TargetServices,
    TlsSettings, Upstream, UpstreamLimits,
};
use towpath_model::AccountId;

use crate::config::{self, Settings};

/// The name of what stands in for calls that no upstream takes.
const UNKNOWN: &str = "unknown";

/// The gateway's. The settings were checked. `target_services` is what models and profiles say of `X-Amz-Target`.
pub fn gateway(settings: &Settings, target_services: TargetServices) -> GatewaySettings {
    let gateway = &settings.gateway;
    let account = settings.gateway_account();
    let recorded = RecordedUpstream {
        name: UNKNOWN.into(),
        account,
        region: gateway.region.clone(),
        policy: gateway.policy,
        verifies: false,
    };
    GatewaySettings {
        upstreams: gateway.upstream.iter().map(|one| upstream(one, gateway, account)).collect(),
        unknown: Upstream::new(recorded, None),
        clients: clients(gateway),
        tls: tls(&gateway.tls),
        target_services,
    }
}

/// The recording's; `folder` is for what must outlive the process, unless the settings name one.
pub fn recording(settings: &Settings, folder: &Path) -> RecordingSettings {
    let recording = &settings.gateway.recording;
    RecordingSettings {
        queue_calls: recording.queue_calls,
        queue_bytes: in_memory(recording.queue_size),
        workers: recording.workers,
        folder: Some(recording.folder.clone().unwrap_or_else(|| folder.to_owned())),
        spill_bytes: recording.spill_size,
        ..RecordingSettings::default()
    }
}

fn upstream(upstream: &config::Upstream, gateway: &config::Gateway, account: AccountId) -> Upstream {
    let recorded = RecordedUpstream {
        name: upstream.called().into(),
        account: upstream.account.unwrap_or(account),
        region: upstream.region.clone().unwrap_or_else(|| gateway.region.clone()),
        policy: upstream.policy.unwrap_or(gateway.policy),
        verifies: upstream.verify_signatures,
    };
    Upstream {
        takes: Takes {
            services: upstream.service.iter().filter(|name| *name != "*").cloned().collect(),
            hosts: upstream.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            targets: upstream.targets.clone(),
            paths: upstream.paths.clone(),
            regions: upstream.regions.clone(),
        },
        event_source: upstream.event_source.clone(),
        verify_signatures: upstream.verify_signatures,
        bucket_domain: upstream.bucket_domain.clone(),
        kept: Kept { request: in_memory(upstream.keep_request), response: in_memory(upstream.keep_response) },
        limits: UpstreamLimits {
            max_connections: upstream.max_connections,
            max_idle: upstream.max_idle,
            idle_timeout: upstream.idle_timeout,
            connect_timeout: upstream.connect_timeout,
            first_byte_timeout: upstream.first_byte_timeout,
            body_pause: upstream.body_pause,
        },
        ..Upstream::new(recorded, origin(upstream))
    }
}

fn origin(upstream: &config::Upstream) -> Option<Origin> {
    let uri: http::Uri = upstream.url.parse().ok()?;
    let encrypted = uri.scheme_str() == Some("https");
    Some(Origin {
        encrypted,
        host: uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 }),
        ca: upstream.ca.clone(),
        server_name: upstream.server_name.clone(),
        http2: upstream.http2,
    })
}

fn clients(gateway: &config::Gateway) -> ClientLimits {
    ClientLimits {
        max_connections: gateway.max_connections,
        max_requests: gateway.max_requests,
        max_header_size: in_memory(gateway.max_header_size),
        max_headers: gateway.max_headers,
        header_timeout: gateway.header_timeout,
        body_pause: gateway.body_pause,
        idle_timeout: gateway.idle_timeout,
        ..ClientLimits::default()
    }
}

fn tls(tls: &config::GatewayTls) -> TlsSettings {
    match (&tls.certificate, &tls.key, &tls.development_ca) {
        (Some(certificate), Some(key), _) => TlsSettings::Files { certificate: certificate.clone(), key: key.clone() },
        (_, _, Some(folder)) => TlsSettings::DevelopmentCa { folder: folder.clone(), names: tls.names.clone() },
        _ => TlsSettings::Plain,
    }
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
