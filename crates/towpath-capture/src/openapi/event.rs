//! A call to an HTTP API as an event, before it is written in one of its forms.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use towpath_admit::VpcEndpoint;
use uuid::Uuid;

use super::body::is_xml;
use super::caller::Caller;
use super::document::{essence, is_json};
use super::parameters::{header_text, read_body};
use crate::record::read_xml;
use crate::{Ending, Response, Tls, Value};

/// The longest method that is recorded, in bytes.
const MAX_METHOD: usize = 64;

/// A call as an event.
#[derive(Debug)]
pub struct HttpEvent<'a> {
    /// Its id.
    pub id: Uuid,
    /// `eventSource`.
    pub source: Arc<str>,
    /// `eventName`.
    pub name: &'a str,
    /// When it ended.
    pub time: Timestamp,
    /// Who called.
    pub caller: Caller,
    /// From where.
    pub peer: IpAddr,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// The host that the client asked for.
    pub host: Option<String>,
    /// The VPC endpoint that it came through.
    pub vpc_endpoint: Option<&'a VpcEndpoint>,
    /// The client's connection, where it was encrypted.
    pub tls: Option<&'a Tls>,
    /// The method.
    pub method: &'a str,
    /// The path as the document has it, without values; `None` where no operation has it.
    pub path: Option<&'a str>,
    /// What was asked.
    pub parameters: Option<Value>,
    /// What was answered, unless the call only read.
    pub answer: Option<Value>,
    /// How it failed.
    pub error: Option<Failure>,
    /// The status that the caller was answered with.
    pub status: Option<u16>,
    /// The upstream's id of the request.
    pub request_id: Option<String>,
    /// True if it changes nothing.
    pub read_only: bool,
    /// True for a data event.
    pub data: bool,
    /// Resources that it names: type and ARN. A data event that names none has the types, by which it is selected.
    pub resources: Vec<(String, Option<String>)>,
}

/// What both forms say of HTTP in `additionalEventData`.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Http<'a> {
    http_method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status_code: Option<u16>,
}

impl HttpEvent<'_> {
    /// Method, path and status.
    pub fn http(&self) -> Http<'_> {
        let method = &self.method[..self.method.floor_char_boundary(MAX_METHOD)];
        Http { http_method: method, http_path: self.path, http_status_code: self.status }
    }
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `errorCode`.
    pub code: String,
    /// `errorMessage`.
    pub message: Option<String>,
}

impl Failure {
    /// The failure that a call ended in, if it did. An answer with a status of 400 or more is one; what it says of
    /// itself is looked for under the names that APIs use.
    pub fn of(ending: &Ending) -> Option<Self> {
        match ending {
            Ending::Answered(response) if response.head.status.as_u16() < 400 => None,
            Ending::Answered(response) => Some(Self::of_answer(response)),
            Ending::Refused { code, message } => Some(Self { code: code.clone(), message: Some(message.clone()) }),
            Ending::Broken { reason } => {
                Some(Self { code: "ConnectionBroken".to_owned(), message: Some(reason.clone()) })
            }
        }
    }

    fn of_answer(response: &Response) -> Self {
        let body = error_body(response).unwrap_or_default();
        // Some APIs wrap: {"error": {"code": .., "message": ..}}, {"errors": [{..}]}.
        let inner = match (&body["error"], &body["errors"][0]) {
            (inner @ Json::Object(_), _) | (_, inner @ Json::Object(_)) => inner,
            _ => &Json::Null,
        };
        let find =
            |names: &[&str]| [inner, &body].iter().find_map(|node| names.iter().find_map(|name| text(&node[*name])));
        let problem = text(&body["type"]).filter(|kind| kind != "about:blank");
        let problem = problem.map(|kind| kind.rsplit(['/', '#', ':']).next().unwrap_or_default().to_owned());
        let code = find(&["code", "errorCode", "error_code"]).filter(|code| *code != response.head.status.as_str());
        let oauth = || text(&body["error"]).filter(|code| !code.contains(' '));
        let code = code.or(problem).or_else(oauth).filter(|code| !code.is_empty());
        Self {
            code: code.unwrap_or_else(|| reason(response.head.status)),
            message: find(&["message", "detail", "error_description", "title"]).or_else(|| text(&body["error"])),
        }
    }
}

fn error_body(response: &Response) -> Option<Json> {
    let kind = essence(&header_text(&response.head.headers, "content-type")?);
    if !is_json(&kind) && !is_xml(&kind) {
        return None;
    }
    let bytes = read_body(&response.body, &response.head.headers).ok()?;
    if is_json(&kind) {
        return serde_json::from_slice(&bytes).ok();
    }
    let mut text = String::new();
    crate::json::write(&read_xml(&bytes)?.1, &mut text);
    serde_json::from_str(&text).ok()
}

fn text(node: &Json) -> Option<String> {
    match node {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `NotFound` for 404.
fn reason(status: http::StatusCode) -> String {
    match status.canonical_reason() {
        Some(words) => words.chars().filter(char::is_ascii_alphanumeric).collect(),
        None => format!("Status{}", status.as_u16()),
    }
}
