//! Who signed this request?

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use towpath_iam::CredentialError;
use towpath_model::Region;
use towpath_wire::sigv4::{AuthError, BodyHash, Expect, SignedRequest, SigningKeys};
use towpath_wire::{ApiError, RequestId};

use crate::authorize::Rights;
use crate::caller::Caller;
use crate::parts::Parts;
use crate::service::HttpRequest;

/// How far a caller's clock may be off.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The longest user agent that is kept, in bytes.
const MAX_USER_AGENT: usize = 1024;

/// Proves the signature of a request and finds the caller behind it.
pub(crate) fn authenticate(
    parts: &Parts,
    keys: &SigningKeys,
    request: &HttpRequest,
    service: &str,
    request_id: RequestId,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    let signed = SignedRequest::parse(&request.method, &request.uri, &request.headers)?;
    let credentials = parts.directory.resolve(signed.access_key_id(), signed.session_token(), now).map_err(unknown)?;
    let body = BodyHash::of(&request.body);
    let expect = Expect { service, now, skew: SKEW };
    let verified = signed.verify(credentials.secret.expose().as_bytes(), &body, &expect, keys)?;
    let account = credentials.principal.account().ok_or(AuthError::UnknownKey)?;
    let region: Region =
        verified.region().parse().map_err(|_| AuthError::Incomplete("the region is no region".into()))?;
    Ok(Caller {
        principal: credentials.principal,
        account,
        access_key_id: verified.access_key_id().to_owned(),
        region,
        source_ip: plain(request.peer),
        user_agent: user_agent(request),
        request_id,
        tls: request.tls.clone(),
        rights: Rights { identity: credentials.identity, session: credentials.session },
        now,
    })
}

/// Whether a key is unknown, switched off or lacks its token makes no difference to a stranger.
fn unknown(error: CredentialError) -> ApiError {
    match error {
        CredentialError::TokenExpired => AuthError::ExpiredToken.into(),
        _ => AuthError::UnknownKey.into(),
    }
}

/// An IPv4 address in IPv6 clothes is the IPv4 address.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn user_agent(request: &HttpRequest) -> Option<String> {
    let value = request.headers.get(http::header::USER_AGENT)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let end = text.floor_char_boundary(MAX_USER_AGENT);
    Some(text[..end].to_owned())
}
