//! The services beside buckets, as the settings say it: who is told of delivered log files, and who is asked about what
//! trails name.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use towpath_model::Clock;
use towpath_trail::notify::{AwsEndpoint, LogGroup, Notifier, Topic, Webhook};
use towpath_trail::{Buckets, Destinations};
use towpath_wire::sigv4::{Credentials, Secret};
use zeroize::Zeroizing;

use crate::config::{AwsService, Notify, Settings};

/// The time that a service has to take a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The shortest key of an HMAC that is worth its name, in bytes.
const MIN_SECRET: usize = 16;

/// Somebody cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// A variable is not set.
    #[error("setting {setting} names the variable {variable}, which is not set; set it")]
    Variable {
        /// The setting.
        setting: String,
        /// The variable.
        variable: String,
    },
    /// The file with the secret.
    #[error("setting notify.webhook.secret_file names {path}, which cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The secret is too short.
    #[error("the secret of notify.webhook is shorter than 16 characters; use a longer one")]
    Short,
    /// The client.
    #[error("cannot set up the client of notifications")]
    Client(#[source] reqwest::Error),
}

/// The notifiers that the settings ask for.
pub fn notifiers(
    settings: &Notify,
    clock: &Arc<dyn Clock>,
    buckets: Arc<dyn Buckets>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Arc<dyn Notifier>>, NotifierError> {
    let mut all: Vec<Arc<dyn Notifier>> = Vec::new();
    if let Some(endpoint) = endpoint("notify.topics", &settings.topics, clock, &variable)? {
        all.push(Arc::new(Topic { endpoint }));
    }
    if let Some(endpoint) = endpoint("notify.log_groups", &settings.log_groups, clock, &variable)? {
        all.push(Arc::new(LogGroup { endpoint, buckets }));
    }
    if let Some(url) = &settings.webhook.url {
        let secret = webhook_secret(settings, &variable)?;
        all.push(Arc::new(Webhook { url: url.clone(), secret, client: client(url)? }));
    }
    Ok(all)
}

/// The services that are asked about what trails name.
pub fn destinations(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Destinations, NotifierError> {
    let notify = &settings.notify;
    Ok(Destinations {
        topics: endpoint("notify.topics", &notify.topics, clock, &variable)?,
        log_groups: endpoint("notify.log_groups", &notify.log_groups, clock, &variable)?,
        keys: endpoint("trail.kms", &settings.trail.kms, clock, &variable)?,
        roles: endpoint("notify.roles", &notify.roles, clock, &variable)?,
    })
}

fn endpoint(
    name: &str,
    service: &AwsService,
    clock: &Arc<dyn Clock>,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<AwsEndpoint>, NotifierError> {
    let Some(url) = &service.endpoint else { return Ok(None) };
    let from = |field: &str, value: Option<String>, named: &Option<String>| match named {
        Some(named) => get(&format!("{name}.{field}"), named, variable),
        None => Ok(value.unwrap_or_default()),
    };
    let secret = service.secret_access_key.as_ref().map(|secret| secret.expose().to_owned());
    let credentials = Credentials {
        access_key_id: from("access_key_id_env", service.access_key_id.clone(), &service.access_key_id_env)?,
        secret_access_key: Secret::new(from("secret_access_key_env", secret, &service.secret_access_key_env)?),
        session_token: None,
    };
    Ok(Some(AwsEndpoint { url: url.clone(), credentials, clock: clock.clone(), client: client(url)? }))
}

fn webhook_secret(
    settings: &Notify,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Zeroizing<Vec<u8>>, NotifierError> {
    let webhook = &settings.webhook;
    let text = match (&webhook.secret, &webhook.secret_env, &webhook.secret_file) {
        (Some(secret), ..) => secret.expose().to_owned(),
        (_, Some(named), _) => get("notify.webhook.secret_env", named, variable)?,
        (.., Some(path)) => std::fs::read_to_string(path)
            .map_err(|cause| NotifierError::File { path: path.clone(), cause })?
            .trim()
            .to_owned(),
        _ => String::new(),
    };
    if text.len() < MIN_SECRET { Err(NotifierError::Short) } else { Ok(Zeroizing::new(text.into_bytes())) }
}

fn get(setting: &str, named: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<String, NotifierError> {
    let unset = || NotifierError::Variable { setting: setting.to_owned(), variable: named.to_owned() };
    variable(named).ok_or_else(unset)
}

/// A client for one address. Answers that send it elsewhere are not followed: what it posts is signed for one place.
fn client(url: &str) -> Result<reqwest::Client, NotifierError> {
    let mut builder =
        reqwest::Client::builder().connect_timeout(CONNECT_TIME).redirect(reqwest::redirect::Policy::none());
    let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    if host == "localhost" || host.starts_with("127.") || host == "[::1]" {
        // A proxy for the world outside cannot reach this machine.
        builder = builder.no_proxy();
    }
    builder.build().map_err(NotifierError::Client)
}

#[cfg(test)]
mod tests {
    use towpath_model::SystemClock;
    use towpath_trail::notify::Target;

    use super::*;
    use crate::config;

    struct NoBuckets;

    #[async_trait::async_trait]
    impl Buckets for NoBuckets {
        async fn open(&self, bucket: &str) -> Result<Arc<dyn object_store::ObjectStore>, towpath_trail::BucketError> {
            let message = "none here".to_owned();
            Err(towpath_trail::BucketError { bucket: bucket.to_owned(), code: None, message })
        }
    }

    fn made(settings: &Notify, value: Option<&str>) -> Result<Vec<Target>, String> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let all = notifiers(settings, &clock, Arc::new(NoBuckets), |_| value.map(str::to_owned));
        all.map(|all| all.iter().map(|one| one.target()).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_has_an_address_is_told() {
        assert_eq!(made(&Notify::default(), None), Ok(Vec::new()));
        let service = AwsService {
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            access_key_id: Some("k".to_owned()),
            secret_access_key_env: Some("SECRET".to_owned()),
            ..AwsService::default()
        };
        let webhook = config::Webhook {
            url: Some("http://127.0.0.1:1".to_owned()),
            secret_env: Some("HOOK".to_owned()),
            ..config::Webhook::default()
        };
        let settings = Notify { topics: service.clone(), log_groups: service, webhook, ..Notify::default() };
        let all = made(&settings, Some("a secret of some length")).unwrap();
        assert_eq!(all, [Target::Topic, Target::LogGroup, Target::Webhook]);
        let unset = made(&settings, None).unwrap_err();
        assert!(unset.contains("notify.topics.secret_access_key_env names the variable SECRET"), "{unset}");
        assert!(made(&settings, Some("short")).unwrap_err().contains("shorter than 16"));
    }

    #[test]
    fn the_secret_of_a_webhook_may_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let webhook = config::Webhook {
            url: Some("http://127.0.0.1:1".to_owned()),
            secret_file: Some(path.clone()),
            ..config::Webhook::default()
        };
        let settings = Notify { webhook, ..Notify::default() };
        assert!(made(&settings, None).unwrap_err().contains("cannot be read"));
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let secret = webhook_secret(&settings, &|_: &str| None).unwrap();
        assert_eq!(secret.as_slice(), b"0123456789abcdef");
    }
}
