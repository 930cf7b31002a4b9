//! Towpath as a target: PutAuditEvents over kept connections, every call signed.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::net::TcpStream;
use towpath_wire::client;
use towpath_wire::data::PutAuditEventsRequest;
use towpath_wire::sigv4::{Credentials, sign};

use super::load::{Connection, Target};
use crate::api::{Api, REGION};
use crate::generate::audit::Batch;

/// A channel of a server.
pub struct Channel {
    credentials: Credentials,
    uri: Uri,
    address: String,
    batches: Arc<Vec<Batch>>,
}

/// A connection to the server.
pub struct ToChannel {
    sender: SendRequest<Full<Bytes>>,
    credentials: Credentials,
    uri: Uri,
    address: String,
    batches: Arc<Vec<Batch>>,
}

#[derive(Deserialize)]
struct Reply {
    successful: Vec<IgnoredAny>,
    failed: Vec<Failed>,
}

#[derive(Deserialize)]
struct Failed {
    #[serde(rename = "errorCode")]
    code: String,
}

impl Channel {
    /// The channel with this ARN. Batch `n` is `batches[n % len]` with numbers of its own.
    pub fn new(api: &Api, arn: &str, batches: Arc<Vec<Batch>>) -> anyhow::Result<Self> {
        let call = PutAuditEventsRequest { channel_arn: arn.to_owned(), ..PutAuditEventsRequest::default() };
        let uri = client::put_audit_events(api.endpoint(), &call)?.uri().clone();
        let address = uri.authority().context("the endpoint has no host")?.to_string();
        Ok(Self { credentials: api.credentials().clone(), uri, address, batches })
    }
}

impl Target for Channel {
    type Connection = ToChannel;

    async fn connect(&self) -> anyhow::Result<ToChannel> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The task ends with the connection; how it ended shows in the calls.
        tokio::spawn(connection);
        Ok(ToChannel {
            sender,
            credentials: self.credentials.clone(),
            uri: self.uri.clone(),
            address: self.address.clone(),
            batches: self.batches.clone(),
        })
    }
}

impl ToChannel {
    async fn call(&mut self, number: u64) -> anyhow::Result<Result<u64, String>> {
        let batch = &self.batches[number as usize % self.batches.len()];
        let body = Bytes::from(batch.body(number * batch.len() as u64));
        let request = Request::post(self.uri.clone())
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(())?;
        let (mut parts, ()) = request.into_parts();
        sign(&mut parts, &body, &self.credentials, REGION, "cloudtrail-data", Timestamp::now())?;
        // Over a connection only the path is sent.
        parts.uri = parts.uri.path_and_query().context("the address has a path")?.as_str().parse()?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        if !parts.status.is_success() {
            return Ok(Err(client::failure(parts.status, &parts.headers, &body).code().to_owned()));
        }
        let reply: Reply = serde_json::from_slice(&body)?;
        if let Some(failed) = reply.failed.first() {
            return Ok(Err(failed.code.clone()));
        }
        Ok(Ok(reply.successful.len() as u64))
    }
}

impl Connection for ToChannel {
    async fn send(&mut self, number: u64) -> Result<u64, String> {
        self.call(number).await.unwrap_or_else(|error| Err(format!("{error:#}")))
    }
}
