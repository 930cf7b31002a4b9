//! Calls that belong to another address: a client that sends every service's calls to one endpoint should read where
//! this one goes, not that its signature is wrong.

use http::{HeaderMap, Method, Uri};

use crate::error::ApiError;
use crate::sigv4::SignedRequest;

/// The names that requests to this address are signed for.
const HERE: [&str; 5] = ["cloudtrail", "cloudtrail-data", "organizations", "sts", "towpath"];

/// The service that a request was signed for, if it is none that is answered at this address.
pub(crate) fn service(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let signed = SignedRequest::parse(method, uri, headers).ok()?;
    let service = signed.service();
    (!HERE.contains(&service)).then(|| service.to_owned())
}

/// What its caller is told.
pub(crate) fn refusal(service: &str) -> ApiError {
    let next = match service {
        "s3" => "buckets are served at the address of the setting s3_listen (AWS_ENDPOINT_URL_S3)",
        "iam" => "users, roles, policies and keys are managed with \"towpath iam\"",
        _ => "to have calls of other services recorded, send them to the gateway",
    };
    ApiError::unknown_operation(format!("{service} is not answered at this address; {next}"))
}
