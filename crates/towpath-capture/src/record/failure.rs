//! How a call failed, as records say it.

use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::xml;
use crate::{Response, StreamFailure, Value, event_stream, json};

/// The header in which AWS services tell an error's code.
const ERROR_TYPE: &str = "x-amzn-errortype";
/// The longest text that is taken for a code.
const MAX_CODE: usize = 128;

/// errorCode and errorMessage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: Option<String>,
}

impl Failure {
    /// No answer came, or not all of it. `ConnectionBroken` is Towpath's own: no service uses the name.
    pub(crate) fn broken(reason: &str) -> Self {
        Self { code: "ConnectionBroken".to_owned(), message: Some(reason.to_owned()) }
    }

    /// What an answer that no model explains says of its error in the ways that AWS services have; an empty code if it
    /// says nothing.
    pub(crate) fn without_model(response: &Response) -> Self {
        let header = response.head.headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self::said(header, None, &response.body.kept)
    }

    /// What an answer that no model explains, and that says of itself that it is a stream of events, says of how the stream
    /// failed, if it did.
    pub(crate) fn of_stream(response: &Response) -> Option<Self> {
        let kind = response.head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(event_stream::CONTENT_TYPE)) {
            return None;
        }
        let StreamFailure { code, message, payload } = response.body.said().failure?;
        Some(Self::said(Some(code).filter(|code| !code.is_empty()), message, &payload))
    }

    fn said(code: Option<String>, message: Option<String>, body: &[u8]) -> Self {
        let said = json::read_object(body).or_else(|| xml::read(body).map(|(_, value)| value));
        let find = |names: &[&str]| said.as_ref().and_then(|said| find(said, names, 0)).map(str::to_owned);
        let code = code.or_else(|| find(&["__type", "Code", "code"])).unwrap_or_default();
        // `aws.protocols#NotFound:http://..` is NotFound.
        let code = code.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        let is_code = code.len() <= MAX_CODE && code.chars().all(plain);
        let message = message.or_else(|| find(&["message", "Message"]));
        Self { code: if is_code { code.to_owned() } else { String::new() }, message }
    }
}

/// The first text under one of these names, at the top or in what is there.
fn find<'a>(value: &'a Value, names: &[&str], depth: usize) -> Option<&'a str> {
    let Value::Map(entries) = value else { return None };
    let here = entries.iter().find(|(key, _)| names.contains(&key.as_str())).and_then(|(_, value)| value.text());
    let inside = || entries.iter().find_map(|(_, value)| find(value, names, depth + 1));
    if depth < 3 { here.or_else(inside) } else { here }
}

/// What a status says of an answer that says nothing else: `NotFound` for 404.
pub(crate) fn status_words(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(words) => words.chars().filter(char::is_ascii_alphanumeric).collect(),
        None => format!("Status{}", status.as_u16()),
    }
}
