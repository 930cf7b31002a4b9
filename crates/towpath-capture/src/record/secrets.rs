//! What was hidden must not come back by another way.
//!
//! Services repeat what they were sent: "Value 'hunter2' at 'password' failed to satisfy constraint". Everything that was
//! left out or replaced, and the credentials of the request's headers and query string, are looked for in the messages of
//! errors, and replaced there.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use towpath_admit::HIDDEN;

use crate::Value;

/// The shortest text that is looked for: a shorter one would hit by chance.
const MIN_BYTES: usize = 4;
/// The most texts that are looked for.
const MAX_TEXTS: usize = 256;
/// What stands for itself in an address (RFC 3986, 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
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
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    texts: Vec<String>,
    /// True if there were more than are looked for.
    too_many: bool,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} texts)", self.texts.len())
    }
}

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
        if text.len() < MIN_BYTES || self.texts.iter().any(|known| known == text) {
            return;
        }
        match self.texts.len() < MAX_TEXTS {
            true => self.texts.push(text.to_owned()),
            false => self.too_many = true,
        }
    }

    /// Adds the texts in a value; blobs as texts and in base64.
    pub(crate) fn add_all(&mut self, value: &Value) {
        match value {
            Value::Text(text) => {
                self.add(text);
                // A document in a text, such as a secret of several parts: each of them is one.
                if text.starts_with(['{', '['])
                    && let Ok(json) = serde_json::from_str(text)
                {
                    self.add_document(&json);
                }
                // A text that members such as user data have in base64.
                if let Some(text) = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                    self.add(&text);
                }
            }
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

    /// The text without any of them, as they are and in the forms that bodies and addresses have them in. Nothing is left of
    /// a text where not all of them can be looked for.
    pub(crate) fn removed_from(&mut self, text: &str) -> String {
        if self.too_many {
            return HIDDEN.to_owned();
        }
        // A text that holds another goes first.
        self.texts.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut text = text.to_owned();
        for secret in &self.texts {
            // No form is shorter than the text itself.
            if secret.len() > text.len() {
                continue;
            }
            for form in std::iter::once(secret.clone()).chain(written(secret)) {
                if text.contains(&form) {
                    text = text.replace(&form, HIDDEN);
                }
            }
        }
        text
    }
}

/// What a text looks like where others quote it: in JSON, in XML, in an address or form, in base64. Forms that do not differ
/// from it are left out.
fn written(text: &str) -> impl Iterator<Item = String> {
    let json = Json::String(text.to_owned()).to_string();
    let json = &json[1..json.len() - 1];
    let percent = utf8_percent_encode(text, UNRESERVED).to_string();
    let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let quoted = xml.replace('"', "&quot;");
    let forms = [
        json.to_owned(),
        ascii(json),
        percent.replace("%20", "+"),
        percent.to_ascii_lowercase(),
        percent,
        quoted.replace('\'', "&#39;"),
        quoted.replace('\'', "&apos;"),
        quoted,
        xml,
        STANDARD.encode(text),
    ];
    let own = text.to_owned();
    forms.into_iter().filter(move |form| *form != own)
}

/// JSON text with all but ASCII escaped, as many writers have it.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter.is_ascii() {
            true => out.push(letter),
            false => letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
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
    fn a_secret_is_known_in_the_forms_that_others_quote_it_in() {
        let mut secrets = Secrets::default();
        secrets.add("p\"& <'\u{fc}\\/");
        for quoted in [
            "p\"& <'\u{fc}\\/",
            r#"{"password":"p\"& <'\u{fc}\\/"}"#.replace("\\u{fc}", "\u{fc}").as_str(),
            "<p>p&quot;&amp; &lt;&apos;\u{fc}\\/</p>",
            "<p>p&quot;&amp; &lt;&#39;\u{fc}\\/</p>",
            "<p>p\"&amp; &lt;'\u{fc}\\/</p>",
            "/?p%22%26%20%3C%27%C3%BC%5C%2F&",
            "p%22%26+%3C%27%C3%BC%5C%2F",
            "p%22%26%20%3c%27%c3%bc%5c%2f",
            r#"{"password":"p\"& <'\u00fc\\/"}"#,
            STANDARD.encode("p\"& <'\u{fc}\\/").as_str(),
        ] {
            let cleaned = secrets.removed_from(quoted);
            assert!(cleaned.contains(HIDDEN), "{quoted}: {cleaned}");
        }
        assert_eq!(secrets.removed_from("p& and so on"), "p& and so on");
    }

    #[test]
    fn of_a_text_in_which_not_all_can_be_looked_for_nothing_is_left() {
        let mut secrets = Secrets::default();
        (0..MAX_TEXTS).for_each(|number| secrets.add(&format!("secret-{number}")));
        assert_eq!(secrets.removed_from("a secret-7 b"), format!("a {HIDDEN} b"));
        secrets.add("secret-7");
        assert_eq!(secrets.removed_from("a"), "a");
        secrets.add("one more");
        assert_eq!(secrets.removed_from("a one more b"), HIDDEN);
    }

    #[test]
    fn a_text_in_base64_is_a_secret_as_it_reads_too() {
        let mut secrets = Secrets::default();
        secrets.add_all(&Value::Text(STANDARD.encode("#!/bin/sh\nlogin hunter2")));
        assert_eq!(secrets.removed_from("line: #!/bin/sh\nlogin hunter2"), format!("line: {HIDDEN}"));
    }

    #[test]
    fn parts_of_a_document_in_a_text_are_secrets_too() {
        let mut secrets = Secrets::default();
        secrets.add_all(&Value::Text(r#"{"user":"admin","password":["hunter2"]}"#.to_owned()));
        assert_eq!(secrets.removed_from("hunter2 of admin is bad"), format!("{HIDDEN} of {HIDDEN} is bad"));
    }

    #[test]
    fn short_texts_are_left_alone() {
        let mut secrets = Secrets::default();
        secrets.add("on");
        assert_eq!(secrets.removed_from("on and on"), "on and on");
    }
}
