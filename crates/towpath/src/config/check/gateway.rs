//! Settings of the gateway that can be read and still cannot work.

use std::collections::HashSet;

use super::Check;
use crate::config::{Settings, Upstream};

impl Check {
    pub(super) fn gateway(&mut self, settings: &Settings) {
        let gateway = &settings.gateway;
        if gateway.enabled && gateway.upstream.is_empty() {
            self.refuse("gateway.upstream", "empty", "a list of [[gateway.upstream]], each with service and url");
        }
        if gateway.enabled && gateway.listen.port() != 0 {
            for (name, other) in [("listen", settings.listen), ("s3_listen", settings.s3_address())] {
                if gateway.listen == other {
                    self.refuse("gateway.listen", other, format!("another address than {name}"));
                }
            }
        }
        if gateway.metrics_listen.is_some_and(|address| address.port() != 0 && address == gateway.listen) {
            self.refuse("gateway.metrics_listen", gateway.listen, "another address than gateway.listen");
        }
        self.at_least("gateway.max_connections", gateway.max_connections, 1);
        self.at_least("gateway.max_requests", gateway.max_requests, 1);
        self.at_least("gateway.max_headers", gateway.max_headers, 16);
        self.size("gateway.max_header_size", gateway.max_header_size, "8KiB", "1MiB");
        self.between("gateway.header_timeout", gateway.header_timeout, "100ms", "10m");
        self.between("gateway.body_pause", gateway.body_pause, "100ms", "1h");
        self.between("gateway.idle_timeout", gateway.idle_timeout, "1s", "1d");
        self.at_least("gateway.recording.queue_calls", gateway.recording.queue_calls, 1);
        self.size("gateway.recording.queue_size", gateway.recording.queue_size, "1MiB", "64GiB");
        self.at_least("gateway.recording.workers", gateway.recording.workers, 1);
        self.size("gateway.recording.spill_size", gateway.recording.spill_size, "0B", "64TiB");
        self.gateway_tls(settings);
        let mut names = HashSet::new();
        for (number, upstream) in gateway.upstream.iter().enumerate() {
            // Counted from one, as a person counts the tables of the file.
            let place = format!("gateway.upstream {} ({})", number + 1, upstream.called());
            self.upstream(&place, upstream);
            if !names.insert(upstream.called()) {
                self.refuse(&format!("{place}: name"), upstream.called(), "a name that no other upstream has");
            }
        }
    }

    fn gateway_tls(&mut self, settings: &Settings) {
        let tls = &settings.gateway.tls;
        match (&tls.certificate, &tls.key, &tls.development_ca) {
            (Some(_), None, _) => self.refuse("gateway.tls.key", "missing", "given with gateway.tls.certificate"),
            (None, Some(_), _) => self.refuse("gateway.tls.certificate", "missing", "given with gateway.tls.key"),
            (Some(_), Some(_), Some(_)) => {
                self.refuse("gateway.tls.development_ca", "given beside a certificate", "absent, or the two files");
            }
            _ => {}
        }
    }

    fn upstream(&mut self, place: &str, upstream: &Upstream) {
        let field = |name: &str| format!("{place}: {name}");
        if upstream.service.is_empty()
            && upstream.hosts.is_empty()
            && upstream.targets.is_empty()
            && upstream.paths.is_empty()
        {
            let must = "the signing name of a service such as s3, a list of them, or * for any";
            self.refuse(&field("service"), "missing", must);
        }
        match upstream.url.as_str() {
            "" => self.refuse(&field("url"), "missing", "an address such as http://127.0.0.1:9000"),
            url => self.gateway_address(&field("url"), url),
        }
        if let Some(sts) = &upstream.sts.endpoint {
            self.gateway_address(&field("sts.endpoint"), sts);
        }
        if let Some(iam) = &upstream.iam.endpoint {
            self.gateway_address(&field("iam.endpoint"), iam);
        }
        if upstream.sts_ca.is_some() && upstream.sts.endpoint.is_none() && upstream.iam.endpoint.is_none() {
            self.refuse(&field("sts_ca"), "given without sts and iam", "absent, or beside one of them");
        }
        if !upstream.sts_verifies && upstream.sts.endpoint.is_none() {
            self.refuse(&field("sts_verifies"), "given without sts", "absent, or beside sts");
        }
        if !upstream.own_keys && upstream.verify_signatures {
            let must = "true: signatures are verified with Towpath's keys alone";
            self.refuse(&field("own_keys"), "false beside verify_signatures", must);
        }
        if upstream.realm.as_ref().is_some_and(String::is_empty) {
            self.refuse(&field("realm"), "empty", "a name that upstreams share, or absent");
        }
        if let Some(domain) = &upstream.bucket_domain
            && (domain.is_empty() || domain.contains(['*', ':', '/']))
        {
            self.refuse(&field("bucket_domain"), domain, "a name without a port, such as store.example.org");
        }
        if let Some(id) = &upstream.vpc_endpoint_id
            && !(id.strip_prefix("vpce-").is_some_and(|id| (1..=64).contains(&id.len()))
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        {
            self.refuse(&field("vpc_endpoint_id"), id, "the id of a VPC endpoint, such as vpce-0a1b2c3d");
        }
        if upstream.vpc_endpoint_account_id.is_some() && upstream.vpc_endpoint_id.is_none() {
            let must = "absent, or beside vpc_endpoint_id";
            self.refuse(&field("vpc_endpoint_account_id"), "given without vpc_endpoint_id", must);
        }
        let names = [&upstream.service, &upstream.hosts, &upstream.targets, &upstream.paths];
        if names.into_iter().flatten().any(String::is_empty) {
            self.refuse(&field("service, hosts, targets, paths"), "a list with an empty text", "without it");
        }
        if let Some(host) = upstream.hosts.iter().find(|host| host.trim_start_matches("*.").contains(['*', ':', '/'])) {
            self.refuse(&field("hosts"), host, "names without a port, such as api.example.org or *.example.org");
        }
        if let Some(path) = upstream.paths.iter().find(|path| !path.starts_with('/')) {
            self.refuse(&field("paths"), path, "paths that begin with /");
        }
        self.size(&field("keep_request"), upstream.keep_request, "0B", "16MiB");
        self.size(&field("keep_response"), upstream.keep_response, "0B", "16MiB");
        self.at_least(&field("max_connections"), upstream.max_connections, 1);
        self.between(&field("idle_timeout"), upstream.idle_timeout, "100ms", "1h");
        self.between(&field("connect_timeout"), upstream.connect_timeout, "10ms", "10m");
        self.between(&field("first_byte_timeout"), upstream.first_byte_timeout, "10ms", "1d");
        self.between(&field("body_pause"), upstream.body_pause, "0s", "7d");
    }

    fn gateway_address(&mut self, name: &str, address: &str) {
        let uri = address.parse::<http::Uri>().ok();
        let good = uri.as_ref().is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some()
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        });
        if !good {
            self.refuse(name, address, "an address such as https://host.example.org:8443");
            return;
        }
        // The path of a call is signed, so nothing can be put in front of it.
        if uri.and_then(|uri| uri.into_parts().path_and_query).is_some_and(|path| path != "/") {
            self.refuse(name, address, "an address without a path: paths of calls pass unchanged");
        }
    }
}
