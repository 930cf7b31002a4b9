//! Asking an IAM for the user of a long-lived access key, with the gateway's own key: `GetAccessKeyLastUsed` tells the name,
//! `GetUser` the ARN and the id. An IAM tells so of the accounts that the asking key belongs to, and of no others.

use std::path::PathBuf;

use async_trait::async_trait;
use http::Uri;
use towpath_admit::UserIdentity;
use towpath_model::Arn;
use towpath_wire::sigv4::Credentials;

use super::AskOwner;
use super::owner::{is_name, of_user, user_name};
use super::query::QueryClient;
use super::sts::AskError;
use super::xml::{element, leaf};

/// Asks one IAM-compatible service.
pub struct IamClient {
    query: QueryClient,
    own: Credentials,
}

impl IamClient {
    /// A client of the service at `endpoint` that signs with `own` for `region`. `ca` is a PEM file with the authorities that
    /// its certificate may come from; without it those of the public web are trusted.
    ///
    /// # Errors
    /// The endpoint is not `http://host:port` or `https://host:port`, or the file holds no certificates.
    pub fn new(endpoint: &Uri, ca: Option<PathBuf>, own: Credentials, region: &str) -> Result<Self, AskError> {
        Ok(Self { query: QueryClient::new(endpoint, ca, region, ("iam", "2010-05-08"))?, own })
    }
}

#[async_trait]
impl AskOwner for IamClient {
    /// The user of a long-lived key. Keys with a token are those of sessions, of which IAM knows nothing.
    async fn owner(&self, access_key_id: &str, token: Option<&str>) -> Option<UserIdentity> {
        if token.is_some() {
            return None;
        }
        let used = self.query.ask("GetAccessKeyLastUsed", Some(("AccessKeyId", access_key_id)), &self.own).await?;
        let name = leaf(element(&used, "GetAccessKeyLastUsedResult")?, "UserName").filter(|name| is_name(name))?;
        let shown = self.query.ask("GetUser", Some(("UserName", &name)), &self.own).await?;
        let user = element(element(&shown, "GetUserResult")?, "User")?;
        let arn: Arn = leaf(user, "Arn")?.parse().ok()?;
        // Whoever the answer is about, it must be who was asked about.
        if leaf(user, "UserName")? != name || user_name(&arn) != Some(&name) {
            return None;
        }
        of_user(&arn, &leaf(user, "UserId")?, access_key_id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::query::tests::{credentials, ok, serve};

    fn used(name: &str) -> String {
        ok(&format!(
            "<GetAccessKeyLastUsedResponse><GetAccessKeyLastUsedResult><UserName>{name}</UserName><AccessKeyLastUsed>\
             <Region>us-east-1</Region></AccessKeyLastUsed></GetAccessKeyLastUsedResult></GetAccessKeyLastUsedResponse>"
        ))
    }

    fn shown(name: &str, arn: &str) -> String {
        ok(&format!(
            "<GetUserResponse><GetUserResult><User><Path>/team/</Path><UserName>{name}</UserName><UserId>AIDAALICE</UserId>\
             <Arn>{arn}</Arn></User></GetUserResult></GetUserResponse>"
        ))
    }

    async fn owner(used: String, shown: String) -> Option<UserIdentity> {
        let endpoint = serve(move |request| {
            assert!(request.contains("Credential=AKIAGATEWAY/"), "{request}");
            match request.contains("Action=GetAccessKeyLastUsed") {
                true => used.clone(),
                false => shown.clone(),
            }
        })
        .await;
        let client = IamClient::new(&endpoint, None, credentials("secret"), "us-east-1").unwrap();
        assert_eq!(client.owner("ASIASESSION", Some("token")).await, None);
        client.owner("AKIASTRANGER", None).await
    }

    const ARN: &str = "arn:aws:iam::123456789012:user/team/alice";

    #[tokio::test]
    async fn the_user_of_a_key_is_known_by_name_arn_and_id() {
        let alice = json!(owner(used("alice"), shown("alice", ARN)).await.unwrap());
        let expected = json!({
            "type": "IAMUser", "principalId": "AIDAALICE", "arn": ARN, "accountId": "123456789012",
            "accessKeyId": "AKIASTRANGER", "userName": "alice",
        });
        assert_eq!(alice, expected);
    }

    #[tokio::test]
    async fn an_iam_that_speaks_of_somebody_else_or_knows_nobody_tells_nothing() {
        let missing = || "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned();
        assert_eq!(owner(missing(), shown("alice", ARN)).await, None);
        assert_eq!(owner(used("alice"), missing()).await, None);
        assert_eq!(owner(used("&lt;root_account&gt;"), shown("alice", ARN)).await, None);
        assert_eq!(owner(used("alice"), shown("bob", "arn:aws:iam::123456789012:user/bob")).await, None);
        assert_eq!(owner(used("alice"), shown("alice", "arn:aws:iam::123456789012:user/bob")).await, None);
        assert_eq!(owner(used("alice"), shown("alice", "arn:aws:sts::123456789012:user/alice")).await, None);
        assert_eq!(owner(used("alice"), ok("<User><UserName>alice</UserName>")).await, None);
    }
}
