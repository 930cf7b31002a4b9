//! The way to Towpath's first-party endpoint: PutRecords, signed.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use towpath_model::{AccountId, Region};
use towpath_wire::client::{failure, towpath_request};
use towpath_wire::sigv4::{self, Credentials};

use crate::connection::{Authorities, Connection, network};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Why records were not sent.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address is none.
    #[error("{0} is not of the form http://host:port or https://host:port")]
    Address(String),
    /// The file of authorities is not there, or holds no certificate.
    #[error("{} is not there or holds no certificate in PEM form", .0.display())]
    Authorities(PathBuf),
    /// The request cannot be signed.
    #[error("cannot sign the request")]
    Sign(#[source] sigv4::SignError),
    /// The server cannot be reached; it was sent nothing.
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
    /// The conversation broke off. The server may have taken what was sent.
    #[error("cannot talk to the server: {0}")]
    Network(String),
    /// The server refuses the call.
    #[error("the server refuses the call: {code}: {message}")]
    Refused {
        /// Such as 403.
        status: StatusCode,
        /// Such as `AccessDeniedException`.
        code: String,
        /// What it says.
        message: String,
    },
}

impl EndpointError {
    /// True if the server has taken nothing for sure.
    pub(crate) fn took_nothing(&self) -> bool {
        match self {
            Self::Network(_) => false,
            Self::Refused { status, .. } => status.is_client_error(),
            Self::Address(_) | Self::Authorities(_) | Self::Sign(_) | Self::Unreachable(_) => true,
        }
    }
}

/// A record that the server will never take: its place among those that were sent, and why.
pub(crate) type Never = (usize, String);

/// A Towpath server, in whose name events are sent, and whose they are.
#[derive(Clone)]
pub struct Endpoint {
    url: String,
    credentials: Credentials,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) source: String,
    connection: Arc<Connection>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Verdicts {
    failed: Vec<Verdict>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Verdict {
    index: usize,
    error_code: String,
    error_message: String,
}

impl Endpoint {
    /// A server at `url` (`http://127.0.0.1:4747`, `https://towpath.example.org`), where `credentials` may
    /// `towpath:PutRecords`. Events are those of `account` in `region`, and their `eventSource` is `source`, such as
    /// `orders.example.org`. Certificates of the public web are trusted; see [`Endpoint::trusting`].
    ///
    /// # Errors
    /// The URL is none. Nothing is connected yet.
    pub fn new(
        url: &str,
        credentials: Credentials,
        account: AccountId,
        region: Region,
        source: &str,
    ) -> Result<Self, EndpointError> {
        if towpath_request(url, "PutRecords", &Value::Null).is_err() {
            return Err(EndpointError::Address(url.to_owned()));
        }
        let connection = Arc::new(Connection::to(url, &Authorities::default())?);
        Ok(Self { url: url.to_owned(), credentials, account, region, source: source.to_owned(), connection })
    }

    /// The same server, whose certificate is from one of these authorities.
    ///
    /// # Errors
    /// The file of authorities is not there, or holds none.
    pub fn trusting(self, authorities: &Authorities) -> Result<Self, EndpointError> {
        let connection = Arc::new(Connection::to(&self.url, authorities)?);
        Ok(Self { connection, ..self })
    }

    /// Sends records; answers those that the server will never take.
    pub(crate) async fn put(&self, records: impl Iterator<Item = &Bytes>) -> Result<Vec<Never>, EndpointError> {
        let request = towpath_request(&self.url, "PutRecords", &Value::Null);
        let (mut parts, _) = request.map_err(|_| EndpointError::Address(self.url.clone()))?.into_parts();
        let body = body_of(records);
        sigv4::sign(&mut parts, &body, &self.credentials, self.region.as_str(), "towpath", Timestamp::now())
            .map_err(EndpointError::Sign)?;
        let (head, body) = self.connection.send(Request::from_parts(parts, body)).await?.into_parts();
        let read = Limited::new(body, MAX_ANSWER).collect().await;
        let body = read.map_err(|error| EndpointError::Network(error.to_string()))?.to_bytes();
        if head.status != StatusCode::OK {
            let error = failure(head.status, &head.headers, &body);
            let (code, message) = (error.code().to_owned(), error.message().to_owned());
            return Err(EndpointError::Refused { status: head.status, code, message });
        }
        let verdicts: Verdicts = serde_json::from_slice(&body).map_err(network)?;
        let never = |it: Verdict| (it.index, format!("{}: {}", it.error_code, it.error_message));
        Ok(verdicts.failed.into_iter().map(never).collect())
    }
}

fn body_of<'a>(records: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut body = BytesMut::with_capacity(4096);
    body.put_slice(b"{\"Records\":[");
    for (number, record) in records.enumerate() {
        if number > 0 {
            body.put_u8(b',');
        }
        body.put_slice(record);
    }
    body.put_slice(b"]}");
    body.freeze()
}
