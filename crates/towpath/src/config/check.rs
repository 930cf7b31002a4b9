//! Settings that can be read and still cannot work.

mod gateway;

use std::path::Path;
use std::time::Duration;

use super::{S3Endpoint, Settings, duration, size};

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its dotted name.
    pub name: String,
    /// The value it has.
    pub value: String,
    /// What would work.
    pub must: String,
}

/// All problems, one a line.
pub fn listing(problems: &[Problem]) -> String {
    let line = |p: &Problem| format!("setting {} is {}; it must be {}", p.name, p.value, p.must);
    let lines: Vec<_> = problems.iter().map(line).collect();
    lines.join("\n")
}

/// Finds the settings that cannot work.
pub fn problems(settings: &Settings) -> Vec<Problem> {
    let mut check = Check::default();
    check.general(settings);
    check.http(settings);
    check.storage(settings);
    check.query(settings);
    check.quotas(settings);
    check.throttles(settings);
    check.trail(settings);
    check.notify(settings);
    check.gateway(settings);
    for (name, endpoint) in &settings.import.endpoint {
        check.endpoint(&format!("import.endpoint.{name}"), endpoint);
    }
    let open = settings.import.endpoint.iter().filter(|(_, endpoint)| endpoint.buckets.is_empty());
    for (name, _) in open.skip(1) {
        let must = "the list of the buckets it serves, because another endpoint serves all others already";
        check.refuse(&format!("import.endpoint.{name}.buckets"), "empty", must);
    }
    check.problems
}

#[derive(Default)]
struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn general(&mut self, settings: &Settings) {
        if settings.data_dir == Path::new("") {
            self.refuse("data_dir", "empty", "a folder such as ./towpath-data");
        }
        if settings.s3_address() == settings.listen && settings.listen.port() != 0 {
            self.refuse("s3_listen", settings.listen, "another address than listen");
        }
        self.between("pending_deletion", settings.pending_deletion, "1s", "365d");
        self.between("retry_window", settings.retry_window, "1s", "30d");
        if let Err(error) = settings.logging.filter.parse::<tracing_subscriber::filter::Targets>() {
            // Targets reads the common subset; EnvFilter has the last word.
            if tracing_subscriber::EnvFilter::try_new(&settings.logging.filter).is_err() {
                let must = format!("a filter such as info or info,towpath_query=debug ({error})");
                self.refuse("logging.filter", format!("\"{}\"", settings.logging.filter), must);
            }
        }
        match (&settings.tls.certificate, &settings.tls.key) {
            (Some(_), None) => self.refuse("tls.key", "missing", "given with tls.certificate"),
            (None, Some(_)) => self.refuse("tls.certificate", "missing", "given with tls.key"),
            _ => {}
        }
        if settings.metrics.token.as_ref().is_some_and(|token| token.expose().len() < 16) {
            self.refuse("metrics.token", "shorter than 16 characters", "longer, or absent");
        }
    }

    fn http(&mut self, settings: &Settings) {
        let http = &settings.http;
        self.at_least("http.max_connections", http.max_connections, 1);
        self.at_least("http.max_requests", http.max_requests, 1);
        self.at_least("http.max_headers", http.max_headers, 16);
        self.size("http.max_header_size", http.max_header_size, "8KiB", "1MiB");
        // One upload of the largest kind must fit.
        self.size("http.body_memory", http.body_memory, "80MiB", "1TiB");
        self.between("http.header_timeout", http.header_timeout, "100ms", "10m");
        self.between("http.body_pause", http.body_pause, "100ms", "10m");
        self.between("http.body_timeout", http.body_timeout, "1s", "1h");
        self.between("http.idle_timeout", http.idle_timeout, "1s", "1h");
        // TailEvents waits up to 20 seconds.
        self.between("http.request_timeout", http.request_timeout, "25s", "1h");
    }

    fn storage(&mut self, settings: &Settings) {
        self.size("log.segment_size", settings.log.segment_size, "1MiB", "16GiB");
        self.size("log.queue_bytes", settings.log.queue_bytes, "16MiB", "64GiB");
        self.size("log.ring_bytes", settings.log.ring_bytes, "0B", "64GiB");
        self.size("lake.hot_bytes", settings.lake.hot_bytes, "1MiB", "16GiB");
        self.size("lake.file_size", settings.lake.file_size, "1MiB", "16GiB");
        self.between("lake.flush_interval", settings.lake.flush_interval, "100ms", "1d");
        self.between("lake.maintenance_interval", settings.lake.maintenance_interval, "100ms", "7d");
    }

    fn query(&mut self, settings: &Settings) {
        self.size("query.memory", settings.query.memory, "16MiB", "64TiB");
        self.size("query.memory_per_query", settings.query.memory_per_query, "1MiB", "64TiB");
        self.at_least("query.concurrency", settings.query.concurrency, 1);
        self.size("query.result_file_size", settings.query.result_file_size, "64KiB", "1GiB");
        self.between("query.time_limit", settings.query.time_limit, "1s", "7d");
        self.between("query.result_retention", settings.query.result_retention, "1m", "365d");
    }

    fn quotas(&mut self, settings: &Settings) {
        let quotas = &settings.quotas;
        for (name, value) in [
            ("event_data_stores", quotas.event_data_stores),
            ("selectors_per_store", quotas.selectors_per_store),
            ("selector_values_per_store", quotas.selector_values_per_store),
            ("channels", quotas.channels),
            ("trails", quotas.trails),
            ("destinations_per_channel", quotas.destinations_per_channel),
            ("resource_policy_characters", quotas.resource_policy_characters),
            ("concurrent_queries", quotas.concurrent_queries),
            ("audit_events_per_call", quotas.audit_events_per_call),
            ("event_bytes", quotas.event_bytes),
            ("large_event_bytes", quotas.large_event_bytes),
        ] {
            self.at_least(&format!("quotas.{name}"), value, 1);
        }
        if quotas.large_event_bytes < quotas.event_bytes {
            self.refuse("quotas.large_event_bytes", quotas.large_event_bytes, "at least quotas.event_bytes");
        }
    }

    fn throttles(&mut self, settings: &Settings) {
        for (operation, rate) in &settings.throttles.operations {
            if !towpath_service::operation_names().any(|known| known == operation) {
                let proposal = nearest_operation(operation).map(|name| format!("; did you mean {name}?"));
                let must = format!("named after an operation{}", proposal.unwrap_or_default());
                self.refuse(&format!("throttles.operations.{operation}"), rate, must);
                continue;
            }
            if *rate > 1_000_000 {
                self.refuse(
                    &format!("throttles.operations.{operation}"),
                    rate,
                    "calls per second, or 0 for no throttle",
                );
            }
        }
    }

    fn trail(&mut self, settings: &Settings) {
        let trail = &settings.trail;
        self.between("trail.delivery_interval", trail.delivery_interval, "1s", "1d");
        self.between("trail.digest_interval", trail.digest_interval, "1s", "1d");
        self.between("trail.aggregation_delay", trail.aggregation_delay, "1s", "1d");
        self.between("trail.give_up", trail.give_up, "1d", "3650d");
        self.size("trail.file_size", trail.file_size, "64KiB", "1GiB");
    }

    fn notify(&mut self, settings: &Settings) {
        let notify = &settings.notify;
        for (name, service) in [
            ("notify.topics", &notify.topics),
            ("notify.log_groups", &notify.log_groups),
            ("notify.roles", &notify.roles),
            ("trail.kms", &settings.trail.kms),
        ] {
            self.address(&format!("{name}.endpoint"), service.endpoint.as_deref());
            let key_id = [service.access_key_id.is_some(), service.access_key_id_env.is_some()];
            let secret = [service.secret_access_key.is_some(), service.secret_access_key_env.is_some()];
            for (field, given) in [("access_key_id", key_id), ("secret_access_key", secret)] {
                let needed = usize::from(service.endpoint.is_some());
                match given.iter().filter(|given| **given).count() {
                    2 => self.refuse(
                        &format!("{name}.{field}"),
                        "given twice",
                        format!("given as {field} or {field}_env"),
                    ),
                    found if found < needed => {
                        self.refuse(&format!("{name}.{field}"), "missing", format!("given, or {field}_env"));
                    }
                    _ => {}
                }
            }
        }
        let webhook = &notify.webhook;
        self.address("notify.webhook.url", webhook.url.as_deref());
        let given = [webhook.secret.is_some(), webhook.secret_env.is_some(), webhook.secret_file.is_some()];
        let given = given.iter().filter(|given| **given).count();
        if given > 1 || (webhook.url.is_some() && given == 0) {
            let value = if given == 0 { "missing" } else { "given more than once" };
            self.refuse("notify.webhook.secret", value, "given as secret, secret_env or secret_file");
        }
        if webhook.secret.as_ref().is_some_and(|secret| secret.expose().len() < 16) {
            self.refuse("notify.webhook.secret", "shorter than 16 characters", "longer");
        }
    }

    fn address(&mut self, name: &str, address: Option<&str>) {
        let good = |text: &str| {
            let uri = text.parse::<http::Uri>().ok();
            uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
        };
        if let Some(address) = address.filter(|address| !good(address)) {
            self.refuse(name, address, "an address such as https://host.example.org/path");
        }
    }

    fn endpoint(&mut self, name: &str, endpoint: &S3Endpoint) {
        if let Some(address) = &endpoint.endpoint {
            let http = address.starts_with("http://");
            if !http && !address.starts_with("https://") {
                self.refuse(&format!("{name}.endpoint"), address, "an address such as https://s3.example.org");
            }
            if http && !endpoint.allow_http {
                self.refuse(&format!("{name}.allow_http"), false, "true for an endpoint that begins with http://");
            }
        }
        for (field, value, variable) in [
            ("access_key_id", endpoint.access_key_id.is_some(), endpoint.access_key_id_env.is_some()),
            ("secret_access_key", endpoint.secret_access_key.is_some(), endpoint.secret_access_key_env.is_some()),
        ] {
            if value && variable {
                self.refuse(&format!("{name}.{field}"), "given twice", format!("given as {field} or {field}_env"));
            }
        }
        let key_id = endpoint.access_key_id.is_some() || endpoint.access_key_id_env.is_some();
        let secret = endpoint.secret_access_key.is_some() || endpoint.secret_access_key_env.is_some();
        if key_id != secret {
            let missing = if key_id { "secret_access_key" } else { "access_key_id" };
            self.refuse(&format!("{name}.{missing}"), "missing", "given with the other half of the key");
        }
    }

    fn at_least(&mut self, name: &str, value: usize, least: usize) {
        if value < least {
            self.refuse(name, value, format!("at least {least}"));
        }
    }

    fn between(&mut self, name: &str, value: Duration, least: &str, most: &str) {
        let bound = |text| duration::parse(text).expect("bounds are written in this file");
        if value < bound(least) || value > bound(most) {
            self.refuse(name, duration::text(value), format!("between {least} and {most}"));
        }
    }

    fn size(&mut self, name: &str, value: u64, least: &str, most: &str) {
        let bound = |text| size::parse(text).expect("bounds are written in this file");
        if value < bound(least) || value > bound(most) {
            self.refuse(name, size::text(value), format!("between {least} and {most}"));
        }
    }

    fn refuse(&mut self, name: &str, value: impl ToString, must: impl ToString) {
        self.problems.push(Problem { name: name.to_owned(), value: value.to_string(), must: must.to_string() });
    }
}

/// The operation whose name is most like `text`, if one is like it. Case does not make names unlike.
fn nearest_operation(text: &str) -> Option<&'static str> {
    let wanted = text.to_lowercase();
    towpath_service::operation_names()
        .map(|name| (strsim::damerau_levenshtein(&name.to_lowercase(), &wanted), name))
        .min()
        .filter(|(distance, name)| *distance <= 3.max(name.len() / 4))
        .map(|(_, name)| name)
}
