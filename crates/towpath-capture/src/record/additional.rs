//! `additionalEventData`, for the services that print it.

use towpath_admit::{Parameters, Plane};

use super::Printed;
use crate::ObjectForm;
use crate::profile::{AdditionalFrom, Profile};
use crate::{Ending, Exchange};

/// The fields that a profile names, of this call. What a call does not have is left out.
pub(crate) fn additional(profile: &Profile, exchange: &Exchange, plane: Plane) -> Parameters {
    let mut printed = Printed::default();
    for (name, from) in profile.additional() {
        let json = match from {
            AdditionalFrom::SignatureVersion => signature(exchange).map(|(version, _)| quoted(version)),
            AdditionalFrom::AuthenticationMethod => signature(exchange).map(|(_, method)| quoted(method)),
            AdditionalFrom::CipherSuite => {
                exchange.tls.as_ref().and_then(|tls| tls.cipher_suite.as_deref()).map(quoted)
            }
            AdditionalFrom::BytesIn => Some(bytes(exchange.request.body.total, plane)),
            AdditionalFrom::BytesOut => Some(bytes(answered(exchange), plane)),
            AdditionalFrom::Header(header) => match &exchange.ending {
                Ending::Answered(response) => {
                    response.head.headers.get(header).and_then(|value| value.to_str().ok()).map(quoted)
                }
                _ => None,
            },
            AdditionalFrom::Text(text) => Some(quoted(text)),
        };
        if let Some(json) = json {
            printed.put(name, json);
        }
    }
    printed.parameters()
}

fn answered(exchange: &Exchange) -> u64 {
    match &exchange.ending {
        Ending::Answered(response) => response.body.total,
        _ => 0,
    }
}

/// A count of bytes. Delivered records of data events write it with a fraction.
fn bytes(count: u64, plane: Plane) -> String {
    match plane {
        Plane::Management => count.to_string(),
        Plane::Data => format!("{count}.0"),
    }
}

/// How a call was signed, and where the signature stood; `None` for one that was not signed.
fn signature(exchange: &Exchange) -> Option<(&'static str, &'static str)> {
    let head = &exchange.request.head;
    let authorization = head.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match authorization {
        Some(value) if value.starts_with("AWS4-") => return Some(("SigV4", "AuthHeader")),
        Some(value) if value.starts_with("AWS ") => return Some(("SigV2", "AuthHeader")),
        _ => {}
    }
    let query = head.uri.query().unwrap_or_default();
    let has = |wanted: &str| form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == wanted);
    if has("X-Amz-Signature") {
        Some(("SigV4", "QueryString"))
    } else if has("Signature") && has("AWSAccessKeyId") {
        Some(("SigV2", "QueryString"))
    } else {
        let form = ObjectForm::of(&exchange.request)?;
        if form.credential().is_some() {
            Some(("SigV4", "PostForm"))
        } else {
            form.field("awsaccesskeyid").map(|_| ("SigV2", "PostForm"))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always written")
}
