//! Who makes calls: from the accounts of this process, from the server that records go to, and from STS and IAM of
//! upstreams.

use std::env;
use std::sync::Arc;

use async_trait::async_trait;
use http::Uri;
use serde_json::json;
use tracing::warn;

use towpath_admit::UserIdentity;
use towpath_gateway::{AskError, AskOwner, IamClient, Identities, KeyDirectory, StsClient, Ties};
use towpath_service::Service;
use towpath_wire::sigv4::{Credentials, Secret};

use super::StartError;
use crate::client::{Api, Client};
use crate::config::{AwsService, Settings};

/// The accounts of this process.
pub struct OwnKeys(pub Service);

impl KeyDirectory for OwnKeys {
    fn owner(&self, access_key_id: &str, token: Option<&str>) -> Option<UserIdentity> {
        self.0.key_owner(access_key_id, token).ok().map(|owner| owner.identity)
    }

    fn secret(&self, access_key_id: &str, token: Option<&str>) -> Option<Secret> {
        self.0.key_owner(access_key_id, token).ok().map(|owner| Secret::new(owner.secret.expose()))
    }
}

/// The server that records go to.
struct OfServer(Client);

#[async_trait]
impl AskOwner for OfServer {
    async fn owner(&self, access_key_id: &str, token: Option<&str>) -> Option<UserIdentity> {
        let mut input = json!({ "AccessKeyId": access_key_id });
        if let Some(token) = token {
            input["SessionToken"] = token.into();
        }
        match self.0.call_with(Api::Towpath, "ResolveCaller", input.to_string().into()).await {
            Ok(mut answer) => serde_json::from_value(answer["UserIdentity"].take()).ok(),
            Err(error) => {
                tracing::warn!(%error, "the server does not tell whose an access key is");
                None
            }
        }
    }
}

/// Whom calls come from: `own` are the accounts of this process, `server` is who can be asked where there are none.
pub fn identities(
    settings: &Settings,
    own: Option<Arc<dyn KeyDirectory>>,
    server: Option<Client>,
) -> Result<Identities, StartError> {
    let mut identities = Identities::default();
    if let Some(own) = own {
        identities = identities.with_directory(own);
    }
    if let Some(server) = server {
        identities = identities.with_server(Arc::new(OfServer(server)));
    }
    for upstream in &settings.gateway.upstream {
        let name = upstream.called();
        identities = identities.with_ties(
            name,
            Ties { realm: upstream.realm().into(), own_keys: upstream.own_keys, teaches: upstream.teaches() },
        );
        let region = upstream.region.as_ref().unwrap_or(&settings.gateway.region).as_str();
        // IAM first: it tells the user, where STS tells no more than the account.
        if let Some(address) = &upstream.iam.endpoint {
            let place = Place { upstream: name, setting: "iam" };
            let own = place.credentials(&upstream.iam)?;
            let client = IamClient::new(&place.address(address)?, upstream.sts_ca.clone(), own, region);
            identities = identities.with_asked(name, Arc::new(client.map_err(|error| place.wrong(&error))?));
        }
        if let Some(address) = &upstream.sts.endpoint {
            let place = Place { upstream: name, setting: "sts" };
            // In the name of callers it can be asked without a key of one's own.
            let keyless = !upstream.sts_verifies && !names_key(&upstream.sts);
            let own = if keyless { None } else { Some(place.credentials(&upstream.sts)?) };
            let client = StsClient::new(&place.address(address)?, upstream.sts_ca.clone(), own, region);
            let mut client = client.map_err(|error| place.wrong(&error))?;
            if !upstream.sts_verifies {
                warn!(
                    upstream = name,
                    "the sts is asked in the name of callers, and their session tokens are sent to it"
                );
                client = client.asking_as_callers();
            }
            identities = identities.with_asked(name, Arc::new(client));
        }
    }
    Ok(identities)
}

/// True if a key is named to ask a service with.
fn names_key(service: &AwsService) -> bool {
    service.access_key_id.is_some() || service.access_key_id_env.is_some()
}

/// A setting of an upstream.
#[derive(Clone, Copy)]
struct Place<'a> {
    upstream: &'a str,
    setting: &'static str,
}

impl Place<'_> {
    fn problem(self, problem: String) -> StartError {
        StartError::Asked { setting: self.setting, upstream: self.upstream.to_owned(), problem }
    }

    fn wrong(self, error: &AskError) -> StartError {
        self.problem(crate::cli::told(error))
    }

    fn address(self, address: &str) -> Result<Uri, StartError> {
        address.parse().map_err(|_| self.problem(format!("{address} is no address")))
    }

    /// The key to ask with: of the settings, of the variables that they name, or of the AWS environment.
    fn credentials(self, service: &AwsService) -> Result<Credentials, StartError> {
        let from = |value: Option<String>, named: &Option<String>, usual: &str| match (value, named) {
            (_, Some(named)) => env::var(named).map_err(|_| self.problem(format!("the variable {named} is not set"))),
            (Some(value), None) => Ok(value),
            (None, None) => env::var(usual).map_err(|_| {
                let next = "write endpoint and key as a table";
                self.problem(format!("there is no access key to ask with: {next}, or set {usual}"))
            }),
        };
        let secret = service.secret_access_key.as_ref().map(|secret| secret.expose().to_owned());
        Ok(Credentials {
            access_key_id: from(service.access_key_id.clone(), &service.access_key_id_env, "AWS_ACCESS_KEY_ID")?,
            secret_access_key: Secret::new(from(secret, &service.secret_access_key_env, "AWS_SECRET_ACCESS_KEY")?),
            session_token: None,
        })
    }
}
