//! Who makes calls: from the accounts of this process, from the server that records go to, and from the STS of upstreams.

use std::env;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use towpath_admit::UserIdentity;
use towpath_gateway::{AskOwner, Identities, KeyDirectory, StsClient};
use towpath_service::Service;
use towpath_wire::sigv4::{Credentials, Secret};

use super::StartError;
use crate::client::{Api, Client};
use crate::config::Settings;

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
        let Some(address) = &upstream.sts.endpoint else { continue };
        let wrong = |problem: String| StartError::Sts { upstream: upstream.called().to_owned(), problem };
        let from = |value: Option<String>, named: &Option<String>, usual: &str| match (value, named) {
            (_, Some(named)) => env::var(named).map_err(|_| wrong(format!("the variable {named} is not set"))),
            (Some(value), None) => Ok(value),
            (None, None) => env::var(usual).map_err(|_| {
                wrong(format!("there is no access key to ask with: write endpoint and key as a table, or set {usual}"))
            }),
        };
        let secret = upstream.sts.secret_access_key.as_ref().map(|secret| secret.expose().to_owned());
        let credentials = Credentials {
            access_key_id: from(
                upstream.sts.access_key_id.clone(),
                &upstream.sts.access_key_id_env,
                "AWS_ACCESS_KEY_ID",
            )?,
            secret_access_key: Secret::new(from(secret, &upstream.sts.secret_access_key_env, "AWS_SECRET_ACCESS_KEY")?),
            session_token: None,
        };
        let address = address.parse().map_err(|_| wrong(format!("{address} is no address")))?;
        let region = upstream.region.as_ref().unwrap_or(&settings.gateway.region).as_str();
        let client = StsClient::new(&address, upstream.sts_ca.clone(), credentials, region)
            .map_err(|error| wrong(crate::cli::told(&error)))?;
        identities = identities.with_sts(upstream.called(), Arc::new(client));
    }
    Ok(identities)
}
