//! The signing client behind every command that talks to a server.

mod connection;
mod error;
mod retry;

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use towpath_wire::data::PutAuditEventsResponse;
use towpath_wire::sigv4;

pub use connection::{Connection, ConnectionArgs, resolve};
pub use error::ClientError;
pub use retry::Retry;

/// What stays as it is in a query string of a signed request.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The longest a connection may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The longest a call may take; more than the server allows it.
const CALL_TIME: Duration = Duration::from_secs(300);

/// The longest answer that is read: results of a query come in pages of a few megabytes.
const MAX_ANSWER: usize = 256 << 20;

/// An interface of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// CloudTrail.
    CloudTrail,
    /// Towpath's own (docs/towpath-api.md).
    Towpath,
}

impl Api {
    fn target(self) -> &'static str {
        match self {
            Self::CloudTrail => "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
            Self::Towpath => "Towpath_20261120",
        }
    }

    fn service(self) -> &'static str {
        match self {
            Self::CloudTrail => "cloudtrail",
            Self::Towpath => "towpath",
        }
    }
}

/// Calls operations of one server as one identity. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    connection: Connection,
    retry: Retry,
}

/// One request, to be signed anew at each try.
struct Outgoing<'a> {
    operation: &'a str,
    endpoint: &'a str,
    service: &'static str,
    path: String,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    body: Bytes,
    repeatable: bool,
}

impl Client {
    /// A client for this connection.
    pub fn new(connection: Connection, retry: Retry) -> Result<Self, ClientError> {
        let near =
            connection.endpoint.parse::<http::Uri>().ok().and_then(|uri| {
                uri.host().map(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]")
            });
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME)
            .timeout(CALL_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("towpath/", env!("CARGO_PKG_VERSION")));
        if near == Some(true) {
            // A proxy for the world outside cannot reach this machine.
            builder = builder.no_proxy();
        }
        let unusable =
            |cause: reqwest::Error| ClientError::Build { operation: "the client".to_owned(), cause: Box::new(cause) };
        if let Some(authorities) = &connection.authorities {
            for authority in reqwest::Certificate::from_pem_bundle(authorities.as_bytes()).map_err(unusable)? {
                builder = builder.add_root_certificate(authority);
            }
        }
        let http = builder.build().map_err(unusable)?;
        Ok(Self { http, connection, retry })
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Calls an operation.
    pub async fn call(&self, api: Api, operation: &str, input: &Value) -> Result<Value, ClientError> {
        self.call_with(api, operation, Bytes::from(input.to_string())).await
    }

    /// Calls an operation with a JSON text as input.
    pub async fn call_with(&self, api: Api, operation: &str, input: Bytes) -> Result<Value, ClientError> {
        let target = format!("{}.{operation}", api.target());
        let target = HeaderValue::try_from(target).map_err(|cause| build(operation, cause))?;
        let answer = self
            .send(Outgoing {
                operation,
                endpoint: &self.connection.endpoint,
                service: api.service(),
                path: "/".to_owned(),
                headers: vec![
                    (header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1")),
                    (header::HeaderName::from_static("x-amz-target"), target),
                ],
                body: input,
                repeatable: retry::is_repeatable(operation),
            })
            .await?;
        if answer.is_empty() {
            return Ok(json!({}));
        }
        read(operation, &answer)
    }

    /// Calls a listing operation until its last page and returns the items of `member`.
    pub async fn list(
        &self,
        api: Api,
        operation: &str,
        input: &Value,
        member: &str,
    ) -> Result<Vec<Value>, ClientError> {
        let mut input = input.clone();
        let mut items = Vec::new();
        loop {
            let mut page = self.call(api, operation, &input).await?;
            if let Some(Value::Array(more)) = page.get_mut(member).map(Value::take) {
                items.extend(more);
            }
            match page.get_mut("NextToken").map(Value::take) {
                Some(Value::String(token)) if !token.is_empty() => {
                    if input.get("NextToken").and_then(Value::as_str) == Some(&token) {
                        let problem = "a page names itself as the next one".to_owned();
                        return Err(ClientError::Unreadable { operation: operation.to_owned(), problem });
                    }
                    input["NextToken"] = Value::String(token);
                }
                _ => return Ok(items),
            }
        }
    }

    /// Sends audit events to a channel; `body` is the JSON of the request. Safe to repeat because entries have ids.
    pub async fn put_audit_events(
        &self,
        channel_arn: &str,
        external_id: Option<&str>,
        body: Bytes,
    ) -> Result<PutAuditEventsResponse, ClientError> {
        let mut path = format!("/PutAuditEvents?channelArn={}", utf8_percent_encode(channel_arn, QUERY));
        if let Some(id) = external_id {
            path.push_str(&format!("&externalId={}", utf8_percent_encode(id, QUERY)));
        }
        let answer = self
            .send(Outgoing {
                operation: "PutAuditEvents",
                endpoint: &self.connection.data_endpoint,
                service: "cloudtrail-data",
                path,
                headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
                body,
                repeatable: true,
            })
            .await?;
        serde_json::from_slice(&answer).map_err(|error| unreadable("PutAuditEvents", &error))
    }

    /// Uploads one file of an import. Safe to repeat because events are stored once.
    pub async fn upload(&self, import_id: &str, name: &str, version: &str, body: Bytes) -> Result<Value, ClientError> {
        let path = format!(
            "/towpath/v1/imports/{}/files?name={}&version={}",
            utf8_percent_encode(import_id, QUERY),
            utf8_percent_encode(name, QUERY),
            utf8_percent_encode(version, QUERY)
        );
        let answer = self
            .send(Outgoing {
                operation: "UploadFile",
                endpoint: &self.connection.endpoint,
                service: "towpath",
                path,
                headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))],
                body,
                repeatable: true,
            })
            .await?;
        read("UploadFile", &answer)
    }

    /// Uploads a batch of files of an import; `body` is as in docs/towpath-api.md. Safe to repeat because events are stored
    /// once.
    pub async fn upload_batch(&self, import_id: &str, body: Bytes) -> Result<Value, ClientError> {
        let answer = self
            .send(Outgoing {
                operation: "UploadFiles",
                endpoint: &self.connection.endpoint,
                service: "towpath",
                path: format!("/towpath/v1/imports/{}/batches", utf8_percent_encode(import_id, QUERY)),
                headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))],
                body,
                repeatable: true,
            })
            .await?;
        read("UploadFiles", &answer)
    }

    async fn send(&self, request: Outgoing<'_>) -> Result<Bytes, ClientError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let error = match self.send_once(&request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match self.retry.next(&error, tried, request.repeatable) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn send_once(&self, outgoing: &Outgoing<'_>) -> Result<Bytes, ClientError> {
        let operation = outgoing.operation;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{}", outgoing.endpoint, outgoing.path))
            .body(())
            .map_err(|cause| build(operation, cause))?;
        for (name, value) in &outgoing.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let (mut parts, ()) = request.into_parts();
        let connection = &self.connection;
        sigv4::sign(
            &mut parts,
            &outgoing.body,
            &connection.credentials,
            &connection.region,
            outgoing.service,
            Timestamp::now(),
        )?;
        let request = reqwest::Request::try_from(Request::from_parts(parts, outgoing.body.clone()))
            .map_err(|cause| build(operation, cause))?;
        let lost = |cause: reqwest::Error| {
            let endpoint = outgoing.endpoint.to_owned();
            if cause.is_connect() {
                return ClientError::Unreachable { endpoint, cause: cause.without_url() };
            }
            ClientError::NoAnswer { operation: operation.to_owned(), endpoint, cause: cause.without_url() }
        };
        let mut response = self.http.execute(request).await.map_err(lost)?;
        let status = response.status();
        let code = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            if answer.len() + piece.len() > MAX_ANSWER {
                let problem = format!("it is longer than {MAX_ANSWER} bytes");
                return Err(ClientError::Unreadable { operation: operation.to_owned(), problem });
            }
            answer.extend_from_slice(&piece);
        }
        if status.is_success() {
            return Ok(Bytes::from(answer));
        }
        Err(refusal(operation, status, code, &answer))
    }
}

fn build(operation: &str, cause: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Build { operation: operation.to_owned(), cause: Box::new(cause) }
}

fn unreadable(operation: &str, error: &serde_json::Error) -> ClientError {
    ClientError::Unreadable { operation: operation.to_owned(), problem: error.to_string() }
}

fn read(operation: &str, answer: &[u8]) -> Result<Value, ClientError> {
    serde_json::from_slice(answer).map_err(|error| unreadable(operation, &error))
}

/// Reads an error in either of the forms AWS has: a code in a header or in `__type`, perhaps with a namespace before
/// it or an address after it.
fn refusal(operation: &str, status: http::StatusCode, code: Option<String>, answer: &[u8]) -> ClientError {
    let body: Value = serde_json::from_slice(answer).unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let Some(code) = code.or_else(|| text("__type")).or_else(|| text("code")) else {
        let start: String = String::from_utf8_lossy(answer).chars().filter(|c| !c.is_control()).take(80).collect();
        let problem = format!("status {status}, \"{start}\"");
        return ClientError::Unreadable { operation: operation.to_owned(), problem };
    };
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default().to_owned();
    let message = text("message").or_else(|| text("Message")).unwrap_or_default();
    ClientError::Refused { operation: operation.to_owned(), status, code, message }
}

#[cfg(test)]
pub mod fake;
#[cfg(test)]
mod tests;
