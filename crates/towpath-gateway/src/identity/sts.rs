//! Asking an STS for the account of an access key: `GetAccessKeyInfo`, signed with the gateway's own key.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Uri, header};
use jiff::Timestamp;
use towpath_admit::UserIdentity;
use towpath_wire::sigv4::{self, Credentials};

use super::AskOwner;
use super::xml::leaf;
use crate::gateway::with_causes;
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
    /// A client of the service at `endpoint` that signs with `credentials` for `region`. `ca` is a PEM file with the
    /// authorities that its certificate may come from; without it those of the public web are trusted.
    ///
    /// # Errors
    /// The endpoint is not `http://host:port` or `https://host:port`, or the file holds no certificates.
    pub fn new(endpoint: &Uri, ca: Option<PathBuf>, credentials: Credentials, region: &str) -> Result<Self, StsError> {
        Ok(Self { way: Outbound::new(endpoint, ca)?, credentials, region: region.to_owned() })
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
                tracing::warn!(cause = with_causes(&cause), "STS cannot be asked for the account of a key");
                None
            }
            Err(_) => {
                tracing::warn!("STS does not answer in time");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use towpath_wire::sigv4::{BodyHash, DEFAULT_SKEW, Expect, Secret, SignedRequest, SigningKeys};

    use super::*;

    /// An STS that answers each request over connections that stay open, if its signature is right.
    async fn sts(answer: &'static str) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut read = vec![0; 8192];
                    while let Ok(length @ 1..) = stream.read(&mut read).await {
                        let status = if is_signed(&read[..length]) { "200 OK" } else { "403 Forbidden" };
                        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
                        stream.write_all(text.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        format!("http://{address}").parse().unwrap()
    }

    fn is_signed(request: &[u8]) -> bool {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(body.contains("Action=GetAccessKeyInfo") && body.contains("AccessKeyId=AKIASTRANGER"));
        let mut built = Request::post("/");
        for line in head.lines().skip(1) {
            let (name, value) = line.split_once(": ").unwrap();
            built = built.header(name, value);
        }
        let (parts, ()) = built.body(()).unwrap().into_parts();
        let expect = Expect { service: "sts", now: Timestamp::now(), skew: DEFAULT_SKEW };
        let signed = SignedRequest::parse(&parts.method, &parts.uri, &parts.headers).unwrap();
        signed.verify(b"secret", &BodyHash::of(body.as_bytes()), &expect, &SigningKeys::default()).is_ok()
    }

    fn client(endpoint: &Uri, secret: &str) -> StsClient {
        let credentials = Credentials {
            access_key_id: "AKIAGATEWAY".to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: None,
        };
        StsClient::new(endpoint, None, credentials, "us-east-1").unwrap()
    }

    #[tokio::test]
    async fn the_account_of_a_key_is_what_sts_says_over_one_connection_or_many() {
        let endpoint = sts("<GetAccessKeyInfoResult><Account>999999999999</Account></GetAccessKeyInfoResult>").await;
        let client = client(&endpoint, "secret");
        for _ in 0..3 {
            let owner = client.owner("AKIASTRANGER", None).await.unwrap();
            assert_eq!(owner, UserIdentity::unknown_key("999999999999".parse().ok(), "AKIASTRANGER"));
        }
    }

    #[tokio::test]
    async fn an_sts_that_refuses_is_away_or_talks_nonsense_tells_nothing() {
        let endpoint = sts("<Account>999999999999</Account>").await;
        assert_eq!(client(&endpoint, "wrong").owner("AKIASTRANGER", None).await, None);
        let nonsense = sts("<Account>nobody</Account>").await;
        assert_eq!(client(&nonsense, "secret").owner("AKIASTRANGER", None).await, None);
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let away = format!("http://{nobody}").parse().unwrap();
        assert_eq!(client(&away, "secret").owner("AKIASTRANGER", None).await, None);
    }

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        let credentials =
            Credentials { access_key_id: "A".to_owned(), secret_access_key: Secret::new("s"), session_token: None };
        assert!(StsClient::new(&Uri::from_static("/sts"), None, credentials, "us-east-1").is_err());
    }
}
