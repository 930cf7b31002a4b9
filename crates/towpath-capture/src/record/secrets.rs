//! What was hidden must not come back by another way.
//!
//! Services repeat what they were sent: "Value 'hunter2' at 'password' failed to satisfy constraint". Everything that was
//! left out or replaced, and the credentials of the request's headers and query string, are looked for in the messages of
//! errors, and replaced there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use serde_json::Value as Json;
use towpath_admit::HIDDEN;

use crate::Value;

/// The shortest text that is looked for: a shorter one would hit by chance.
const MIN_BYTES: usize = 4;
/// The most texts that are looked for.
const MAX_TEXTS: usize = 256;
/// The headers whose values are credentials.
const HEADERS: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-amz-security-token",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-mfa",
    "x-api-key",
    "x-auth-token",
    "x-vault-token",
];
/// The query parameters that are credentials, in small letters.
const QUERY: [&str; 7] = [
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-credential",
    "signature",
    "securitytoken",
    "token",
    "access_token",
];

/// Texts that are not to be recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// The credentials in a request's head.
    pub(crate) fn of_head(head: &Parts) -> Self {
        let mut secrets = Self::default();
        for name in HEADERS {
            for value in head.headers.get_all(name) {
                // Read as whoever repeats it in an error would have to: texts are UTF-8.
                let value = &*String::from_utf8_lossy(value.as_bytes());
                secrets.add(value);
                // A scheme or device and its credentials: `Bearer x`, `Credential=a, Signature=b`, `a=1; b=2`.
                for (at, part) in value.split([' ', ',', ';']).enumerate() {
                    match part.split_once('=') {
                        Some((name, _)) if name == "SignedHeaders" || name == "Credential" => {}
                        Some((_, value)) if !value.is_empty() && !value.starts_with('=') => secrets.add(value),
                        _ if at > 0 => secrets.add(part),
                        _ => {}
                    }
                }
            }
        }
        let query = head.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if QUERY.contains(&&*name.to_ascii_lowercase()) && name != "X-Amz-Credential" {
                secrets.add(&value);
            }
        }
        secrets
    }

    /// Adds a text, if it is long enough to be looked for.
    pub(crate) fn add(&mut self, text: &str) {
        if text.len() >= MIN_BYTES && self.0.len() < MAX_TEXTS && !self.0.iter().any(|known| known == text) {
            self.0.push(text.to_owned());
        }
    }

    /// Adds the texts in a value; blobs as texts and in base64.
    pub(crate) fn add_all(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.add(text),
            Value::Number(number) => self.add(&number.to_string()),
            Value::Blob(bytes) => {
                self.add(&STANDARD.encode(bytes));
                if let Ok(text) = std::str::from_utf8(bytes) {
                    self.add(text);
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.add_all(item)),
            Value::Structure(fields) => fields.iter().for_each(|field| self.add_all(&field.value)),
            Value::Map(entries) => entries.iter().for_each(|(_, value)| self.add_all(value)),
            Value::Document(json) => self.add_document(json),
            Value::Null | Value::Bool(_) | Value::Time(_) => {}
        }
    }

    fn add_document(&mut self, json: &Json) {
        match json {
            Json::String(text) => self.add(text),
            Json::Array(items) => items.iter().for_each(|item| self.add_document(item)),
            Json::Object(members) => members.values().for_each(|value| self.add_document(value)),
            Json::Number(number) => self.add(&number.to_string()),
            Json::Null | Json::Bool(_) => {}
        }
    }

    /// The text without any of them.
    pub(crate) fn removed_from(&mut self, text: &str) -> String {
        // A text that holds another goes first.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_head_do_not_return_in_a_message() {
        let (head, ()) = http::Request::builder()
            .uri("/?X-Amz-Signature=5161&x=y&Signature=abc%2Bdef")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/s3, SignedHeaders=host, Signature=99aa")
            .header("authorization", "Bearer topsecret")
            .header("cookie", "session=biscuit; b=1")
            .header("x-amz-security-token", "IQoJ")
            .body(())
            .unwrap()
            .into_parts();
        let message = "5161 abc+def 99aa topsecret biscuit IQoJ Credential=AKIA/s3 host";
        let cleaned = Secrets::of_head(&head).removed_from(message);
        assert_eq!(cleaned, format!("{} Credential=AKIA/s3 host", [HIDDEN; 6].join(" ")));
    }

    #[test]
    fn short_texts_are_left_alone() {
        let mut secrets = Secrets::default();
        secrets.add("on");
        assert_eq!(secrets.removed_from("on and on"), "on and on");
    }
}
