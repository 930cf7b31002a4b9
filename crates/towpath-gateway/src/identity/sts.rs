//! Asking an STS whose an access key is.
//!
//! `GetAccessKeyInfo`, signed with the gateway's own key, tells the account of a key. `GetCallerIdentity` tells user, role and
//! session, but only to who can sign with the key - unless the STS does not look at signatures, as those of emulators: then
//! it is asked in the caller's name.

use std::path::PathBuf;

use async_trait::async_trait;
use http::Uri;
use towpath_admit::UserIdentity;
use towpath_wire::sigv4::{Credentials, Secret};

use super::AskOwner;
use super::owner::of_caller_identity;
use super::query::QueryClient;
use super::xml::{element, leaf};
use crate::outbound::OutboundError;

/// What requests in a caller's name are signed with. It is nobody's secret.
const PLACEHOLDER: &str = "signatures-are-not-verified-here";

/// Why an STS or IAM cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The address or its authorities.
    #[error("cannot use the service that knows access keys")]
    Setup(#[from] OutboundError),
}

/// Asks one STS-compatible service.
pub struct StsClient {
    query: QueryClient,
    // The gateway's own key, to ask for accounts with.
    own: Option<Credentials>,
    verifies: bool,
}

impl StsClient {
    /// A client of the service at `endpoint` that signs with `own` for `region`. `ca` is a PEM file with the authorities that
    /// its certificate may come from; without it those of the public web are trusted.
    ///
    /// # Errors
    /// The endpoint is not `http://host:port` or `https://host:port`, or the file holds no certificates.
    pub fn new(endpoint: &Uri, ca: Option<PathBuf>, own: Option<Credentials>, region: &str) -> Result<Self, AskError> {
        let query = QueryClient::new(endpoint, ca, region, ("sts", "2011-06-15"))?;
        Ok(Self { query, own, verifies: true })
    }

    /// The same client of a service that does not verify signatures: it is asked in the name of callers, whose session
    /// tokens are sent to it.
    #[must_use]
    pub fn asking_as_callers(mut self) -> Self {
        self.verifies = false;
        self
    }

    /// Who the service takes for the holder of a key that it does not want proven.
    async fn caller(&self, access_key_id: &str, token: Option<&str>) -> Option<UserIdentity> {
        let caller = Credentials {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: Secret::new(PLACEHOLDER),
            session_token: token.map(Secret::new),
        };
        let answer = self.query.ask("GetCallerIdentity", None, &caller).await?;
        of_caller_identity(&answer, access_key_id, |_| None)
    }

    async fn account(&self, access_key_id: &str) -> Option<UserIdentity> {
        let own = self.own.as_ref()?;
        let answer = self.query.ask("GetAccessKeyInfo", Some(("AccessKeyId", access_key_id)), own).await?;
        let account = leaf(element(&answer, "GetAccessKeyInfoResult")?, "Account")?.parse().ok()?;
        Some(UserIdentity::unknown_key(Some(account), access_key_id))
    }
}

#[async_trait]
impl AskOwner for StsClient {
    /// The account alone, where signatures are verified: STS tells no more of a key that is not the asker's own.
    async fn owner(&self, access_key_id: &str, token: Option<&str>) -> Option<UserIdentity> {
        if !self.verifies
            && let Some(caller) = self.caller(access_key_id, token).await
        {
            return Some(caller);
        }
        self.account(access_key_id).await
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use jiff::Timestamp;
    use serde_json::json;
    use tokio::net::TcpListener;
    use towpath_wire::sigv4::{BodyHash, DEFAULT_SKEW, Expect, SignedRequest, SigningKeys};

    use super::*;
    use crate::identity::query::tests::{credentials, ok, serve};

    /// An STS that answers each request over connections that stay open, if its signature is right.
    async fn sts(answer: &'static str) -> Uri {
        serve(move |request| match is_signed(request) {
            true => ok(answer),
            false => "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned(),
        })
        .await
    }

    fn is_signed(text: &str) -> bool {
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
        StsClient::new(endpoint, None, Some(credentials(secret)), "us-east-1").unwrap()
    }

    const INFO: &str = "<GetAccessKeyInfoResponse><GetAccessKeyInfoResult><Account>999999999999</Account>\
        </GetAccessKeyInfoResult></GetAccessKeyInfoResponse>";

    #[tokio::test]
    async fn the_account_of_a_key_is_what_sts_says_over_one_connection_or_many() {
        let endpoint = sts(INFO).await;
        let client = client(&endpoint, "secret");
        for _ in 0..3 {
            let owner = client.owner("AKIASTRANGER", None).await.unwrap();
            assert_eq!(owner, UserIdentity::unknown_key("999999999999".parse().ok(), "AKIASTRANGER"));
        }
    }

    #[tokio::test]
    async fn an_sts_that_refuses_is_away_or_talks_nonsense_tells_nothing() {
        let endpoint = sts(INFO).await;
        assert_eq!(client(&endpoint, "wrong").owner("AKIASTRANGER", None).await, None);
        for nonsense in [
            "<GetAccessKeyInfoResult><Account>nobody</Account></GetAccessKeyInfoResult>",
            "<GetAccessKeyInfoResult><Account>999999999999</Acc",
            "<Account>999999999999</Account>",
            "",
        ] {
            let nonsense = sts(nonsense).await;
            assert_eq!(client(&nonsense, "secret").owner("AKIASTRANGER", None).await, None);
        }
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let away = format!("http://{nobody}").parse().unwrap();
        assert_eq!(client(&away, "secret").owner("AKIASTRANGER", None).await, None);
    }

    /// An STS that believes everybody: who asks is the user with the name of the key, or a session if a token came.
    async fn believing() -> Uri {
        serve(|request| {
            assert!(request.contains("Action=GetCallerIdentity"), "{request}");
            let (_, rest) = request.split_once("Credential=").unwrap();
            let (key, _) = rest.split_once('/').unwrap();
            let (arn, id) = match request.contains("x-amz-security-token: t0k3n\r\n") {
                true => ("arn:aws:sts::123456789012:assumed-role/Admin/me".to_owned(), "AROA1:me".to_owned()),
                false => (format!("arn:aws:iam::123456789012:user/{key}"), "AIDA1".to_owned()),
            };
            ok(&format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>{id}</UserId>\
                 <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
            ))
        })
        .await
    }

    #[tokio::test]
    async fn an_sts_that_does_not_verify_signatures_is_asked_in_the_callers_name() {
        let client = StsClient::new(&believing().await, None, None, "us-east-1").unwrap().asking_as_callers();
        let user = json!(client.owner("AKIASTRANGER", None).await.unwrap());
        assert_eq!((&user["type"], &user["userName"]), (&json!("IAMUser"), &json!("AKIASTRANGER")));
        let session = json!(client.owner("ASIASTRANGER", Some("t0k3n")).await.unwrap());
        assert_eq!(session["sessionContext"]["sessionIssuer"]["userName"], "Admin");
        assert!(!format!("{session}").contains("t0k3n"));
    }

    #[tokio::test]
    async fn nobody_is_asked_in_a_callers_name_unless_that_is_told() {
        // Would panic at any other question than for the account.
        let endpoint = sts(INFO).await;
        assert!(client(&endpoint, "secret").owner("AKIASTRANGER", None).await.is_some());
        let without_key = StsClient::new(&believing().await, None, None, "us-east-1").unwrap();
        assert_eq!(without_key.owner("AKIASTRANGER", None).await, None);
    }

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        assert!(StsClient::new(&Uri::from_static("/sts"), None, None, "us-east-1").is_err());
    }
}
