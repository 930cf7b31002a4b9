//! Who a request says it is from: the access key of its signature, and the session token that goes with it.

use http::request::Parts;
use http::{HeaderMap, header};
use towpath_admit::UserIdentity;
use towpath_model::AccountId;
use towpath_wire::sigv4::Secret;

/// The longest access key id that is looked at.
const MAX_KEY: usize = 128;
/// The longest session token that is looked at.
const MAX_TOKEN: usize = 16 << 10;

/// Who a request says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// It is not signed.
    Anonymous,
    /// It is signed with this key.
    Key {
        /// The access key id.
        id: String,
        /// The session token of a temporary key.
        token: Option<Secret>,
    },
    /// It carries a token of its own kind, such as `Authorization: Bearer`.
    Bearer,
}

impl Presented {
    /// Reads the head of a request: Signature Version 4 and 4A in the header or the query string, and version 2, which
    /// S3 and old clients use.
    pub fn of(head: &Parts) -> Self {
        let authorization = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(text) = authorization {
            return Self::of_authorization(text, &head.headers);
        }
        Self::of_query(head.uri.query().unwrap_or_default()).unwrap_or(Self::Anonymous)
    }

    fn of_authorization(text: &str, headers: &HeaderMap) -> Self {
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        let key = match scheme {
            "AWS4-HMAC-SHA256" | "AWS4-ECDSA-P256-SHA256" => {
                let fields = rest.split(',').map(str::trim);
                fields.filter_map(|field| field.strip_prefix("Credential=")).next().and_then(key_of_scope)
            }
            "AWS" => rest.split_once(':').map(|(key, _)| key.trim()),
            _ => return Self::Bearer,
        };
        let token = headers.get("x-amz-security-token").and_then(|value| value.to_str().ok());
        Self::key(key, token)
    }

    fn of_query(query: &str) -> Option<Self> {
        let (mut key, mut token) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()).take(256) {
            match &*name {
                "X-Amz-Credential" => key = key_of_scope(&value).map(str::to_owned),
                "AWSAccessKeyId" => key = Some(value.into_owned()),
                "X-Amz-Security-Token" | "x-amz-security-token" => token = Some(value.into_owned()),
                _ => {}
            }
        }
        key.is_some().then(|| Self::key(key.as_deref(), token.as_deref()))
    }

    fn key(id: Option<&str>, token: Option<&str>) -> Self {
        let plain = |id: &&str| {
            (1..=MAX_KEY).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        match id.filter(plain) {
            None => Self::Anonymous,
            Some(id) => Self::Key {
                id: id.to_owned(),
                token: token.filter(|token| token.len() <= MAX_TOKEN).map(Secret::new),
            },
        }
    }

    /// The identity of a caller that nobody knows more of: the key it names, and the account of the upstream.
    pub fn claimed(&self, account: AccountId) -> UserIdentity {
        match self {
            Self::Anonymous => UserIdentity::anonymous(),
            Self::Key { id, .. } => UserIdentity::unknown_key(Some(account), id),
            Self::Bearer => UserIdentity::unknown(),
        }
    }
}

/// The access key before `/day/region/service/aws4_request`, or before `/day/service/aws4_request` in version 4A.
fn key_of_scope(credential: &str) -> Option<&str> {
    credential.split_once('/').map(|(key, _)| key)
}
