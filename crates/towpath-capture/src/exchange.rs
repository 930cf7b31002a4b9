//! One call as a proxy saw it: a request, its answer, and what of their bodies was kept.

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;

use crate::event_stream::{EventStream, StreamSaid};

/// What was kept of a body that streamed by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The first bytes, up to the bound of what is kept; all of them if `total` says so.
    pub kept: Bytes,
    /// How many bytes passed, transfer coding taken off, content coding (gzip) still on.
    pub total: u64,
    /// True if the sender ended the body as announced. False for a connection that broke.
    pub whole: bool,
    /// True if it was the sender who did not go on to the end, and not its receiver who left.
    pub short: bool,
    /// What a stream of events said in all of its length, if it was read along as it passed. Without it what is kept tells.
    pub stream: Option<Box<StreamSaid>>,
}

impl Body {
    /// A body that was kept whole.
    pub fn of(bytes: impl Into<Bytes>) -> Self {
        let kept = bytes.into();
        Self { total: kept.len() as u64, kept, whole: true, short: false, stream: None }
    }

    /// What a body that is a stream of events said.
    pub(crate) fn said(&self) -> StreamSaid {
        self.stream.as_deref().cloned().unwrap_or_else(|| EventStream::read(&self.kept))
    }

    /// True if it came to its end, and more passed than is kept.
    pub fn is_cut(&self) -> bool {
        self.whole && (self.kept.len() as u64) < self.total
    }

    /// True if every byte of it was kept.
    pub fn is_kept(&self) -> bool {
        self.whole && self.kept.len() as u64 == self.total
    }
}

/// A request: method, URI as sent (path not normalised), version and headers, and its body.
#[derive(Debug)]
pub struct Request {
    /// As `http` has it; the URI holds path and query as they were sent.
    pub head: http::request::Parts,
    /// Its body.
    pub body: Body,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Status and headers.
    pub head: http::response::Parts,
    /// Its body.
    pub body: Body,
}

/// The TLS connection that a call came through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Such as `TLSv1.3`.
    pub version: Option<String>,
    /// Such as `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: Option<String>,
    /// The group that keys were exchanged in, such as `x25519` or `X25519MLKEM768`.
    pub key_exchange: Option<String>,
}

/// How a call ended.
#[derive(Debug)]
pub enum Ending {
    /// The upstream answered.
    Answered(Response),
    /// The gateway answered in the upstream's place: code and message as the caller was told.
    Refused {
        /// Such as `AccessDenied`.
        code: String,
        /// What the caller was told.
        message: String,
    },
    /// No answer came: the upstream could not be reached, or either side broke the connection.
    Broken {
        /// What happened, in words that hold no secret.
        reason: String,
    },
}

/// One call, over.
#[derive(Debug)]
pub struct Exchange {
    /// What was asked.
    pub request: Request,
    /// How it ended.
    pub ending: Ending,
    /// When the request's head was complete.
    pub began: Timestamp,
    /// When the answer's last byte had passed.
    pub ended: Timestamp,
    /// The caller's address.
    pub peer: IpAddr,
    /// The caller's connection; `None` where it was plain.
    pub tls: Option<Tls>,
}
