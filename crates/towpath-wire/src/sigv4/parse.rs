//! Reading a signature out of a request. Nothing here knows a secret.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, Uri, header};

use super::amz_date::AmzDate;
use super::credential::{Scope, Secret};
use super::error::AuthError;
use super::verify::BodyHash;
use super::{ALGORITHM, canonical};

/// What stands in place of the hash of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Longest Authorization header, in bytes.
const MAX_AUTHORIZATION: usize = 8 * 1024;

/// Most signed headers.
const MAX_SIGNED_HEADERS: usize = 100;

/// Longest query string, in bytes. A session token alone may take a few kilobytes.
const MAX_QUERY: usize = 32 * 1024;

/// Longest time a presigned request may be good for, in seconds: seven days.
const MAX_EXPIRES: i64 = 604_800;

/// A request that carries a signature, not yet proven.
///
/// Holds the canonical form of the request as it was received; the body may follow later.
#[derive(Clone)]
pub struct SignedRequest {
    pub(super) access_key_id: String,
    pub(super) session_token: Option<Secret>,
    pub(super) scope: Scope,
    pub(super) signed_at: AmzDate,
    /// Seconds that a presigned request is good for; `None` for the header form.
    pub(super) expires: Option<i64>,
    pub(super) signature: [u8; 32],
    /// The body hash the caller claims in `x-amz-content-sha256`.
    pub(super) claimed_body: Option<BodyHash>,
    /// What stands in place of the body's hash where the body is not signed as a whole; only in requests that pass by.
    pub(super) stated: Option<String>,
    /// The canonical request up to and including the line break before the body hash.
    pub(super) canonical: Vec<u8>,
}

/// The parts of a signature, wherever they stood.
struct Parts {
    credential: String,
    signed_headers: String,
    signature: String,
    signed_at: AmzDate,
    session_token: Option<String>,
    expires: Option<i64>,
}

impl SignedRequest {
    /// Reads the signature of a request: from its Authorization header, or from the query string if presigned.
    pub fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, AuthError> {
        Self::read(method, uri, headers, false)
    }

    /// Reads the signature of a request that passes by on its way to another service, in the forms that services take:
    /// bodies that are not signed (`UNSIGNED-PAYLOAD`) or signed in chunks (`STREAMING-...`), and S3's spelling of paths.
    pub fn parse_passing(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, AuthError> {
        Self::read(method, uri, headers, true)
    }

    fn read(method: &Method, uri: &Uri, headers: &HeaderMap, passing: bool) -> Result<Self, AuthError> {
        let query = uri.query().unwrap_or_default();
        if query.len() > MAX_QUERY {
            return Err(incomplete("the query string is too long"));
        }
        let presigned =
            query.split('&').any(|pair| pair.starts_with("X-Amz-Algorithm=") || pair.starts_with("X-Amz-Signature="));
        let parts = match (presigned, headers.contains_key(header::AUTHORIZATION)) {
            (false, false) => return Err(AuthError::Missing),
            (true, true) => return Err(incomplete("the request is signed both in a header and in the query string")),
            (false, true) => from_headers(headers)?,
            (true, false) => from_query(query)?,
        };

        let (access_key_id, scope) = Scope::parse(&parts.credential).ok_or_else(|| {
            incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request",
            )
        })?;
        if scope.day != parts.signed_at.day() {
            return Err(incomplete(&format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', from '{}'.",
                scope.day,
                parts.signed_at.day(),
                parts.signed_at
            )));
        }
        let signature = signature_bytes(&parts.signature)?;
        let names = signed_names(&parts.signed_headers)?;
        require_signed(&names, headers, presigned)?;
        let s3 = passing && matches!(scope.service(), "s3" | "s3-object-lambda" | "s3express" | "s3-outposts");
        let stated = match only(headers, "x-amz-content-sha256")? {
            Some(text) if passing && (text == UNSIGNED || text.starts_with("STREAMING-")) => Some(text.to_owned()),
            None if s3 && presigned => Some(UNSIGNED.to_owned()),
            _ => None,
        };
        let path = if s3 { canonical::s3_path(uri.path()) } else { canonical::path(uri.path()) };

        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            session_token: parts.session_token.map(Secret::new),
            canonical: canonical_request(method, (&path, uri), headers, &names, presigned)?,
            scope,
            signed_at: parts.signed_at,
            expires: parts.expires,
            signature,
            claimed_body: if stated.is_some() { None } else { claimed_body(headers)? },
            stated,
        })
    }

    /// The hash that the body is said to have, if it is said.
    pub fn claimed_body(&self) -> Option<BodyHash> {
        self.claimed_body
    }

    /// True if the signature does not depend on the bytes of the body, or on their hash alone, which the head tells.
    pub fn is_proven_by_head(&self) -> bool {
        self.stated.is_some() || self.claimed_body.is_some()
    }

    /// The access key that the request says it is signed with.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The session token that came with it. Who knows the key must check that it belongs to it.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(Secret::expose)
    }

    /// The region the request is signed for.
    pub fn region(&self) -> &str {
        self.scope.region()
    }

    /// The service the request is signed for.
    pub fn service(&self) -> &str {
        self.scope.service()
    }

    /// True if the signature is in the query string.
    pub fn is_presigned(&self) -> bool {
        self.expires.is_some()
    }
}

impl std::fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedRequest")
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope)
            .field("signed_at", &self.signed_at)
            .finish_non_exhaustive()
    }
}

fn incomplete(message: &str) -> AuthError {
    AuthError::Incomplete(message.to_owned())
}

fn from_headers(headers: &HeaderMap) -> Result<Parts, AuthError> {
    let authorization = only(headers, header::AUTHORIZATION.as_str())?.ok_or(AuthError::Missing)?;
    if authorization.len() > MAX_AUTHORIZATION {
        return Err(incomplete("the Authorization header is too long"));
    }
    let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    if algorithm != ALGORITHM {
        return Err(incomplete("Unsupported AWS 'algorithm': only AWS4-HMAC-SHA256 is accepted"));
    }
    let mut fields = BTreeMap::new();
    for field in rest.split(',') {
        let (name, value) = field.trim().split_once('=').unwrap_or((field.trim(), ""));
        if !matches!(name, "Credential" | "SignedHeaders" | "Signature") || fields.insert(name, value).is_some() {
            return Err(incomplete(
                "Authorization header must have Credential, SignedHeaders and Signature, each once, and nothing else",
            ));
        }
    }
    let field = |name: &str| match fields.get(name) {
        Some(value) if !value.is_empty() => Ok((*value).to_owned()),
        _ => Err(incomplete(&format!("Authorization header requires '{name}' parameter."))),
    };
    Ok(Parts {
        credential: field("Credential")?,
        signed_headers: field("SignedHeaders")?,
        signature: field("Signature")?,
        signed_at: header_date(headers)?,
        session_token: only(headers, "x-amz-security-token")?.map(str::to_owned),
        expires: None,
    })
}

/// The time of a request: `x-amz-date`, or else `Date`.
fn header_date(headers: &HeaderMap) -> Result<AmzDate, AuthError> {
    if let Some(text) = only(headers, "x-amz-date")? {
        let wrong = || incomplete("Date must be in ISO-8601 'basic format', e.g. 20261120T093000Z");
        return AmzDate::parse(text).ok_or_else(wrong);
    }
    match only(headers, "date")? {
        Some(text) => AmzDate::parse(text)
            .or_else(|| AmzDate::parse_http(text))
            .ok_or_else(|| incomplete("the Date header cannot be read")),
        None => Err(incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")),
    }
}

fn from_query(query: &str) -> Result<Parts, AuthError> {
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| pair.starts_with("X-Amz-")) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = canonical::decoded(value).ok_or(AuthError::MalformedQuery)?;
        let value = String::from_utf8(value).map_err(|_| incomplete("a parameter of the signature is not text"))?;
        if found.insert(name, value).is_some() {
            return Err(incomplete("a parameter of the signature is given twice"));
        }
    }
    let mut take = |name: &str| match found.remove(name) {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(incomplete(&format!("AWS query-string parameters must include '{name}'."))),
    };
    if take("X-Amz-Algorithm")? != ALGORITHM {
        return Err(incomplete("Unsupported AWS 'algorithm': only AWS4-HMAC-SHA256 is accepted"));
    }
    let expires = take("X-Amz-Expires")?.parse().ok().filter(|seconds| (1..=MAX_EXPIRES).contains(seconds));
    let expires = expires.ok_or_else(|| incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800"))?;
    let date = take("X-Amz-Date")?;
    Ok(Parts {
        credential: take("X-Amz-Credential")?,
        signed_headers: take("X-Amz-SignedHeaders")?,
        signature: take("X-Amz-Signature")?,
        signed_at: AmzDate::parse(&date).ok_or_else(|| incomplete("X-Amz-Date must be in ISO-8601 'basic format'"))?,
        session_token: take("X-Amz-Security-Token").ok(),
        expires: Some(expires),
    })
}

/// The value of a header that may be there once, as text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text.trim())),
        _ => Err(incomplete(&format!("the header {name} must be given once, as plain text"))),
    }
}

fn signature_bytes(text: &str) -> Result<[u8; 32], AuthError> {
    let mut bytes = [0; 32];
    let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) if lower => Ok(bytes),
        _ => Err(incomplete("Signature must be 64 lower-case hexadecimal digits")),
    }
}

/// The signed header names: lower case, sorted, each once.
fn signed_names(text: &str) -> Result<Vec<&str>, AuthError> {
    let names: Vec<&str> = text.split(';').collect();
    let plain = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.!#$&'*+^`|~%".contains(&b))
    };
    if names.len() > MAX_SIGNED_HEADERS || !names.iter().all(plain) || !names.is_sorted_by(|a, b| a < b) {
        return Err(incomplete("SignedHeaders must be lower-case header names, sorted, each once, joined by ';'"));
    }
    Ok(names)
}

/// Checks that what must be signed is: the host, the time, and every header that AWS reads.
fn require_signed(names: &[&str], headers: &HeaderMap, presigned: bool) -> Result<(), AuthError> {
    let is_signed = |name: &str| names.binary_search(&name).is_ok();
    if !is_signed("host") {
        return Err(AuthError::Unsigned("host".to_owned()));
    }
    if !presigned && !headers.contains_key("x-amz-date") && !is_signed("date") {
        return Err(AuthError::Unsigned("date".to_owned()));
    }
    let mut amz = headers.keys().map(header::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    match amz.find(|name| !is_signed(name)) {
        Some(name) => Err(AuthError::Unsigned(name.to_owned())),
        None => Ok(()),
    }
}

/// The body hash that the caller claims, which must be one.
fn claimed_body(headers: &HeaderMap) -> Result<Option<BodyHash>, AuthError> {
    let Some(text) = only(headers, "x-amz-content-sha256")? else { return Ok(None) };
    let refused = AuthError::Body(
        "x-amz-content-sha256 must be the SHA-256 of the body; unsigned and streamed bodies are not accepted",
    );
    BodyHash::from_hex(text).map(Some).ok_or(refused)
}

/// The canonical request up to the body hash; `path` is the canonical path of the URI.
pub(super) fn canonical_request(
    method: &Method,
    (path, uri): (&str, &Uri),
    headers: &HeaderMap,
    names: &[&str],
    presigned: bool,
) -> Result<Vec<u8>, AuthError> {
    let except = presigned.then_some("X-Amz-Signature");
    let query = canonical::query(uri.query().unwrap_or_default(), except).map_err(|_| AuthError::MalformedQuery)?;
    let mut out = Vec::with_capacity(512);
    for line in [method.as_str(), path, &query] {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    for name in names {
        if !canonical::push_header(&mut out, name, uri, headers) {
            return Err(incomplete(&format!("the signed header '{name}' is not in the request")));
        }
    }
    out.push(b'\n');
    out.extend_from_slice(names.join(";").as_bytes());
    out.push(b'\n');
    Ok(out)
}
