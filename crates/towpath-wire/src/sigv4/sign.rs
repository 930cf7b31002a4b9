//! Signing: what Towpath's own clients do with a request before it is sent.

use http::request::Parts;
use http::{HeaderName, HeaderValue, header};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::ALGORITHM;
use super::amz_date::AmzDate;
use super::canonical::{path, string_to_sign};
use super::credential::{Credentials, Scope};
use super::error::AuthError;
use super::key::SigningKey;
use super::parse::canonical_request;
use super::verify::BodyHash;

/// Headers that change on the way or are set by the transport, so that signing them would break the request.
const NOT_SIGNED: &[HeaderName] = &[
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TRANSFER_ENCODING,
    header::USER_AGENT,
];

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is neither a Host header nor an authority in the URI.
    #[error("cannot sign a request without a host")]
    NoHost,
    /// Credentials, region or service hold characters that a header cannot.
    #[error("cannot sign: {0} has characters that no header can hold")]
    Unprintable(&'static str),
    /// The request has no canonical form.
    #[error("cannot sign the request")]
    NotCanonical(#[source] AuthError),
}

/// Signs a request in its headers: adds `host` where it is missing, `x-amz-date`, the session token and
/// `Authorization`. Call it last: every other header is signed as it is then.
pub fn sign(
    parts: &mut Parts,
    body: &[u8],
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: Timestamp,
) -> Result<(), SignError> {
    let date = AmzDate::at(now);
    let scope = Scope { day: date.day(), region: region.to_owned(), service: service.to_owned() };
    prepare(parts, credentials, date)?;

    let mut names: Vec<&str> =
        parts.headers.keys().filter(|name| !NOT_SIGNED.contains(name)).map(HeaderName::as_str).collect();
    names.sort_unstable();
    let mut canonical =
        canonical_request(&parts.method, (&path(parts.uri.path()), &parts.uri), &parts.headers, &names, false)
            .map_err(SignError::NotCanonical)?;
    canonical.extend_from_slice(BodyHash::of(body).to_string().as_bytes());

    let key = SigningKey::derive(credentials.secret_access_key.expose().as_bytes(), &scope);
    let text = string_to_sign(&date.to_string(), &scope.to_string(), &Sha256::digest(&canonical));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={}",
        credentials.access_key_id,
        names.join(";"),
        hex::encode(key.sign(&text))
    );
    let authorization = HeaderValue::try_from(authorization).map_err(|_| SignError::Unprintable("the access key"))?;
    parts.headers.insert(header::AUTHORIZATION, authorization);
    Ok(())
}

fn prepare(parts: &mut Parts, credentials: &Credentials, date: AmzDate) -> Result<(), SignError> {
    if !parts.headers.contains_key(header::HOST) {
        let authority = parts.uri.authority().ok_or(SignError::NoHost)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| SignError::Unprintable("the host"))?;
        parts.headers.insert(header::HOST, host);
    }
    let date = HeaderValue::try_from(date.to_string()).map_err(|_| SignError::Unprintable("the date"))?;
    parts.headers.insert("x-amz-date", date);
    if let Some(token) = &credentials.session_token {
        let mut token =
            HeaderValue::from_str(token.expose()).map_err(|_| SignError::Unprintable("the session token"))?;
        token.set_sensitive(true);
        parts.headers.insert("x-amz-security-token", token);
    }
    Ok(())
}
