//! Who called an HTTP API, as far as its security schemes tell.
//!
//! The gateway does not check keys, tokens and passwords; the upstream does. So a name that a caller claims (the claim
//! of a token, the user of a password) counts only if the upstream took the call: its answer has a status below 400.
//! A key is recorded as its hash, which claims nothing.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::request::Parts;
use http::{HeaderMap, header};
use serde_json::Value as Json;
use towpath_admit::UserIdentity;

use super::document::{Document, Place, Scheme};
use super::hidden::fingerprint;
use super::mapping::CallerRule;
use super::parameters::{cookies, header_text, pairs};

/// The longest credential that is read, in bytes.
const MAX_CREDENTIAL: usize = 16 << 10;
/// The longest name that is recorded, in bytes.
const MAX_NAME: usize = 256;

/// Who called.
#[derive(Clone, Debug, PartialEq)]
pub enum Caller {
    /// The holder of an API key, or of a token that is not a JSON Web Token.
    Key {
        /// `api-key` or `token`.
        kind: &'static str,
        /// `sha256:` and 32 hexadecimal digits.
        hash: String,
        /// Its name in the mapping.
        name: Option<String>,
    },
    /// The subject of a JSON Web Token that the upstream took.
    Subject {
        /// Its issuer.
        issuer: String,
        /// Its first audience.
        audience: String,
        /// What the claim that names callers says.
        name: String,
    },
    /// A user whose password the upstream took.
    User(String),
    /// Somebody who signed with an access key, as the gateway knows them.
    Signed(Box<UserIdentity>),
    /// Somebody without a name: no credential, or one that the upstream did not take.
    Unknown,
}

impl Caller {
    /// Who sent a request. `accepted`: the upstream took it. `signed`: who its signature is from.
    pub fn of(document: &Document, rules: &[CallerRule], head: &Parts, accepted: bool, signed: UserIdentity) -> Self {
        let mut signed = Some(signed);
        for rule in rules {
            let scheme = document.schemes.iter().find(|(name, _)| *name == rule.scheme).map(|(_, scheme)| scheme);
            let found = match scheme {
                Some(Scheme::ApiKey { place, name }) => {
                    key(head, *place, name).map(|key| Self::key("api-key", &key, rule))
                }
                Some(Scheme::Bearer) => {
                    credential(&head.headers, "bearer").map(|token| Self::bearer(&token, rule, accepted))
                }
                Some(Scheme::Basic) => credential(&head.headers, "basic").map(|pair| Self::basic(&pair, accepted)),
                Some(Scheme::SigV4) if is_signed(head) => signed.take().map(|signed| Self::Signed(Box::new(signed))),
                _ => None,
            };
            if let Some(caller) = found {
                return caller;
            }
        }
        Self::Unknown
    }

    fn key(kind: &'static str, key: &str, rule: &CallerRule) -> Self {
        let hash = fingerprint(key.as_bytes());
        let name = rule.names.get(&hash).cloned();
        Self::Key { kind, hash, name }
    }

    fn bearer(token: &str, rule: &CallerRule, accepted: bool) -> Self {
        let Some(claims) = claims(token) else { return Self::key("token", token, rule) };
        let text = |name: &str| match claims.get(name) {
            Some(Json::String(text)) => Some(short(text)),
            Some(Json::Array(list)) => list.first().and_then(Json::as_str).map(short),
            _ => None,
        };
        match text(&rule.claim) {
            Some(name) if accepted => Self::Subject {
                issuer: text("iss").unwrap_or_default(),
                audience: text("aud").unwrap_or_default(),
                name,
            },
            _ => Self::Unknown,
        }
    }

    fn basic(pair: &str, accepted: bool) -> Self {
        let decoded = STANDARD.decode(pair).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((user, _)) if accepted && !user.is_empty() => Self::User(short(user)),
            _ => Self::Unknown,
        }
    }

    /// As `userIdentity` of a record.
    pub fn identity(self) -> UserIdentity {
        match self {
            Self::Key { kind, hash, name } => UserIdentity::outsider(format!("{kind}:{hash}"), name),
            Self::Subject { issuer, audience, name } => UserIdentity::web_identity_user(&issuer, &audience, &name),
            Self::User(name) => UserIdentity::outsider(format!("user:{name}"), Some(name)),
            Self::Signed(identity) => *identity,
            Self::Unknown => UserIdentity::unknown(),
        }
    }

    /// As `userIdentity` of an activity event: type, principalId, and members of `details`.
    pub fn activity(&self) -> (&'static str, String, Vec<(&'static str, String)>) {
        match self {
            Self::Key { kind, hash, name } => {
                let details = name.iter().map(|name| ("userName", name.clone())).collect();
                (if *kind == "token" { "Token" } else { "ApiKey" }, format!("{kind}:{hash}"), details)
            }
            Self::Subject { issuer, audience, name } => {
                let details = vec![("identityProvider", issuer.clone()), ("audience", audience.clone())];
                ("WebIdentityUser", name.clone(), details.into_iter().filter(|(_, text)| !text.is_empty()).collect())
            }
            Self::User(name) => ("User", name.clone(), Vec::new()),
            Self::Signed(identity) => ("IAMPrincipal", identity.arn().unwrap_or("unknown").to_owned(), Vec::new()),
            Self::Unknown => ("Unknown", "unknown".to_owned(), Vec::new()),
        }
    }
}

/// The credentials that a request carries, as texts that may stand nowhere in its record.
pub fn credentials<'a>(document: &'a Document, head: &'a Parts) -> impl Iterator<Item = String> + 'a {
    let keys = document.schemes.iter().filter_map(|(_, scheme)| match scheme {
        Scheme::ApiKey { place, name } => key(head, *place, name),
        _ => None,
    });
    let basic = credential(&head.headers, "basic").and_then(|pair| STANDARD.decode(pair).ok());
    let password = basic.and_then(|bytes| String::from_utf8(bytes).ok());
    let password = password.and_then(|pair| pair.split_once(':').map(|(_, password)| password.to_owned()));
    let others = ["bearer", "basic", "token"].into_iter().filter_map(|scheme| credential(&head.headers, scheme));
    keys.chain(others).chain(password)
}

/// The API key of a request.
fn key(head: &Parts, place: Place, name: &str) -> Option<String> {
    let found = match place {
        Place::Header => header_text(&head.headers, name),
        Place::Query => {
            let pairs = pairs(head.uri.query().unwrap_or_default());
            pairs.into_iter().find(|(key, _)| key == name).map(|(_, text)| text.into_owned())
        }
        Place::Cookie => {
            cookies(&head.headers).into_iter().find(|(key, _)| key == name).map(|(_, text)| text.into_owned())
        }
        Place::Path => None,
    };
    found.filter(|key| (1..=MAX_CREDENTIAL).contains(&key.len()))
}

/// What follows a scheme in the header `Authorization`.
fn credential(headers: &HeaderMap, scheme: &str) -> Option<String> {
    let text = header_text(headers, header::AUTHORIZATION.as_str())?;
    let (own, rest) = text.split_once(' ')?;
    (own.eq_ignore_ascii_case(scheme) && text.len() <= MAX_CREDENTIAL).then(|| rest.trim().to_owned())
}

fn is_signed(head: &Parts) -> bool {
    let header = header_text(&head.headers, header::AUTHORIZATION.as_str());
    header.is_some_and(|text| text.starts_with("AWS4-"))
        || head.uri.query().is_some_and(|query| query.contains("X-Amz-Signature="))
}

/// The claims of a JSON Web Token. Its signature is not checked.
fn claims(token: &str) -> Option<Json> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice::<Json>(&bytes).ok().filter(Json::is_object)
}

fn short(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_NAME)].to_owned()
}
