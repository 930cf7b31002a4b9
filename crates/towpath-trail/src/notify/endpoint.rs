//! An endpoint that takes requests as AWS's services do: signed, by the query protocol or by JSON.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use towpath_model::Clock;
use towpath_wire::sigv4::{Credentials, sign};

use super::NotifyError;

/// An endpoint that takes requests signed with Signature Version 4.
pub struct AwsEndpoint {
    /// Scheme, host and port.
    pub url: String,
    /// Who signs.
    pub credentials: Credentials,
    /// Tells the time of the signature.
    pub clock: Arc<dyn Clock>,
    /// Sends.
    pub client: reqwest::Client,
}

pub(crate) fn failed(message: impl Into<String>) -> NotifyError {
    NotifyError { code: None, message: message.into(), retry: true }
}

impl AwsEndpoint {
    /// Calls an operation of a service that speaks the query protocol, such as SNS; the answer is XML.
    pub(crate) async fn query(
        &self,
        service: &str,
        region: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, NotifyError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let (status, _, answer) = self.call(service, region, &headers, body.into_bytes()).await?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        let code = element(&text, "Code");
        Err(NotifyError {
            code: Some(code.map_or_else(|| status.as_str().to_owned(), str::to_owned)),
            message: format!("{service} answered {status}"),
            retry: true,
        })
    }

    /// Calls an operation of a service that speaks JSON, such as CloudWatch Logs; `target` is `<prefix>.<operation>`.
    pub(crate) async fn json(
        &self,
        service: &str,
        region: &str,
        target: &str,
        input: &Value,
    ) -> Result<Value, NotifyError> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let (status, headers, answer) = self.call(service, region, &headers, input.to_string().into_bytes()).await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&answer).unwrap_or_default());
        }
        let error = towpath_wire::client::failure(status, &headers, &answer);
        let code = error.code().to_owned();
        Err(NotifyError { message: format!("{service} answered {code} to {target}"), code: Some(code), retry: true })
    }

    async fn call(
        &self,
        service: &str,
        region: &str,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), NotifyError> {
        let mut request = Request::post(format!("{}/", self.url.trim_end_matches('/')));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).map_err(|error| failed(format!("the request cannot be built: {error}")))?;
        let (mut parts, ()) = request.into_parts();
        sign(&mut parts, &body, &self.credentials, region, service, self.clock.now())
            .map_err(|error| failed(format!("the request cannot be signed: {error}")))?;
        let request = reqwest::Request::try_from(Request::from_parts(parts, body))
            .map_err(|error| failed(format!("the request cannot be built: {}", error.without_url())))?;
        send(&self.client, request).await
    }
}

pub(crate) async fn send(
    client: &reqwest::Client,
    request: reqwest::Request,
) -> Result<(StatusCode, HeaderMap, Bytes), NotifyError> {
    let broken = |error: reqwest::Error| failed(format!("the endpoint cannot be reached: {}", error.without_url()));
    let answer = client.execute(request).await.map_err(broken)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    Ok((status, headers, answer.bytes().await.map_err(broken)?))
}

/// The text of the first element with this name, as it is written.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// The region in an ARN.
pub(crate) fn region_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(3).filter(|region| !region.is_empty())
}
