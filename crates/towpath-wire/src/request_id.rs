//! Request identifiers: the name of one request in answers, logs and events.

use std::fmt;

use http::HeaderValue;
use uuid::Uuid;

/// The identifier of one request, a random UUID; answers carry it as `x-amzn-RequestId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// Draws a new identifier.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The identifier as a header value.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.to_string()).expect("a UUID is visible ASCII")
    }
}

impl From<Uuid> for RequestId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}
