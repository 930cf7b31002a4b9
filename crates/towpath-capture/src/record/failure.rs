//! How a call failed, as records say it.

use http::StatusCode;

/// errorCode and errorMessage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: Option<String>,
}

impl Failure {
    /// No answer came. `ConnectionBroken` is Towpath's own: no service uses the name.
    pub(crate) fn broken(reason: &str) -> Self {
        Self { code: "ConnectionBroken".to_owned(), message: Some(reason.to_owned()) }
    }
}

/// What a status says of an answer that says nothing else: `NotFound` for 404.
pub(crate) fn status_words(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(words) => words.chars().filter(char::is_ascii_alphanumeric).collect(),
        None => format!("Status{}", status.as_u16()),
    }
}
