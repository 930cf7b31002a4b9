//! Asking an STS for the account of an access key: `GetAccessKeyInfo`, signed with the gateway's own key.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Uri, header};
use jiff::Timestamp;
use towpath_admit::UserIdentity;
use towpath_wire::sigv4::{self, Credentials};

use super::AskOwner;
use super::xml::leaf;
use crate::outbound::{Outbound, OutboundError};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Why an STS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    /// The address or its authorities.
    #[error("cannot use the STS")]
    Setup(#[from] OutboundError),
}

/// Asks one STS-compatible service.
pub struct StsClient {
    way: Outbound,
    credentials: Credentials,
    region: String,
}

impl StsClient {
    /// A client of the service at `endpoint` that signs with `credentials` for `region`.
    ///
    /// # Errors
    /// The endpoint is not `http://host:port` or `https://host:port`.
    pub fn new(endpoint: &Uri, credentials: Credentials, region: &str) -> Result<Self, StsError> {
        Ok(Self { way: Outbound::new(endpoint, None)?, credentials, region: region.to_owned() })
    }

    fn request(&self, access_key_id: &str) -> Option<Request<Bytes>> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "GetAccessKeyInfo")
            .append_pair("Version", "2011-06-15")
            .append_pair("AccessKeyId", access_key_id)
            .finish();
        let request = Request::post(self.way.uri("/"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .body(())
            .ok()?;
        let (mut parts, ()) = request.into_parts();
        sigv4::sign(&mut parts, form.as_bytes(), &self.credentials, &self.region, "sts", Timestamp::now()).ok()?;
        Some(Request::from_parts(parts, form.into()))
    }
}

#[async_trait]
impl AskOwner for StsClient {
    /// The account alone: STS tells no more of a key that is not the asker's own.
    async fn owner(&self, access_key_id: &str, _: Option<&str>) -> Option<UserIdentity> {
        let answer = tokio::time::timeout(PATIENCE, self.way.send(self.request(access_key_id)?, MAX_ANSWER)).await;
        match answer {
            Ok(Ok(answer)) if answer.status().is_success() => {
                let account = leaf(&String::from_utf8_lossy(answer.body()), "Account")?.parse().ok()?;
                Some(UserIdentity::unknown_key(Some(account), access_key_id))
            }
            Ok(Ok(answer)) => {
                tracing::debug!(status = answer.status().as_u16(), "STS does not tell the account of a key");
                None
            }
            Ok(Err(cause)) => {
                tracing::warn!(%cause, "STS cannot be asked for the account of a key");
                None
            }
            Err(_) => {
                tracing::warn!("STS does not answer in time");
                None
            }
        }
    }
}
