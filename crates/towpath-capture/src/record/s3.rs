//! Amazon S3's own form of parameters: names of the wire instead of those of the API.
//!
//! `bucketName`, `Host` and `key`, the query parameters and headers that the profile lists, and the request's XML under
//! the name of its root. Answers print headers alone, which profiles list themselves.

use std::borrow::Cow;

use http::header::HOST;

use super::xml;
use crate::profile::Pattern;
use crate::{Request, Value, json};

/// The operation whose body is a policy, printed as an object.
const POLICY: &str = "PutBucketPolicy";
/// The operation whose body is not printed: each object that it names has a record of its own.
pub(crate) const DELETE_OBJECTS: &str = "DeleteObjects";

/// requestParameters of a call: a map, since all its names stay as they are.
///
/// `reads_body` is true if the model says that the body is XML and not an object's content; `fields` are those of the form
/// that the body is.
pub(crate) fn request(
    request: &Request,
    decoded: &Value,
    operation: &str,
    (reads_body, fields): (bool, &[(&str, &str)]),
    names: &[Pattern],
) -> Value {
    let listed = |name: &str| names.iter().any(|pattern| pattern.matches(name));
    let mut entries: Vec<(String, Value)> = Vec::new();
    let mut put = |name: &str, value: Value| match entries.iter_mut().find(|(other, _)| other == name) {
        Some((_, Value::List(items))) => items.push(value),
        Some((_, first)) => {
            let before = std::mem::replace(first, Value::Null);
            *first = Value::List(vec![before, value]);
        }
        None => entries.push((name.to_owned(), value)),
    };
    let text = |text: &str| Value::Text(text.to_owned());
    let body = &request.body.kept;
    if operation == POLICY
        && let Some(policy) = json::read_object(body)
    {
        put("bucketPolicy", policy);
    }
    if let Some(bucket) = decoded.member("Bucket").and_then(Value::text) {
        put("bucketName", text(bucket));
    }
    if let Some(host) = host(request) {
        put("Host", text(&host));
    }
    for (name, value) in form_urlencoded::parse(request.head.uri.query().unwrap_or_default().as_bytes()) {
        if listed(&name) {
            put(&name, text(&value));
        }
    }
    for (name, value) in &request.head.headers {
        if listed(name.as_str()) {
            put(name.as_str(), text(&String::from_utf8_lossy(value.as_bytes())));
        }
    }
    for (name, value) in fields {
        if listed(name) {
            put(name, text(value));
        }
    }
    if reads_body
        && operation != DELETE_OBJECTS
        && request.body.is_kept()
        && let Some((root, value)) = xml::read(body)
    {
        put(&root, value);
    }
    if let Some(key) = decoded.member("Key").and_then(Value::text) {
        put("key", text(key));
    }
    Value::Map(entries)
}

/// responseElements: headers alone, so nothing of the body.
pub(crate) fn response() -> Value {
    Value::empty()
}

fn host(request: &Request) -> Option<Cow<'_, str>> {
    match request.head.headers.get(HOST) {
        Some(host) => Some(String::from_utf8_lossy(host.as_bytes())),
        None => request.head.uri.authority().map(|authority| authority.as_str().into()),
    }
}
