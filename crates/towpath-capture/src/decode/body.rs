//! Bodies as their senders meant them: framing and compression taken off, within bounds.

use std::{borrow::Cow, io::Read};

use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};

use super::{DecodeError, limits};
use crate::Body;

/// A body without its codings.
pub(super) struct Plain<'b> {
    /// Its bytes; its first bytes if it is not whole.
    pub(super) bytes: Cow<'b, [u8]>,
    /// False if it was not kept whole.
    pub(super) whole: bool,
}

/// Takes framing (`aws-chunked`) and compression (`gzip`) off a body.
///
/// # Errors
/// A coding that is broken, unknown or exceeds its bound. Of a body that was cut, the readable part is no error.
pub(super) fn plain<'b>(headers: &HeaderMap, body: &'b Body) -> Result<Plain<'b>, DecodeError> {
    let whole = body.is_kept();
    let mut bytes = Cow::Borrowed(&*body.kept);
    if is_chunked(headers) {
        bytes = Cow::Owned(unchunked(&bytes, whole)?);
    }
    for coding in codings(headers).rev() {
        match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => bytes = Cow::Owned(inflated(&bytes, whole)?),
            "" | "identity" | "aws-chunked" | "utf-8" => (),
            _ => return Err(DecodeError::Malformed { format: "body", reason: "unknown content encoding".into() }),
        }
    }
    Ok(Plain { bytes, whole })
}

fn codings(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = &str> {
    headers
        .get(header::CONTENT_ENCODING)
        .and_then(|codings| codings.to_str().ok())
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
}

/// True if a body comes in signed chunks: said by its encoding, or by the hash that stands for its content.
fn is_chunked(headers: &HeaderMap) -> bool {
    let streams = |hash: &http::HeaderValue| hash.as_bytes().starts_with(b"STREAMING-");
    codings(headers).any(|coding| coding.eq_ignore_ascii_case("aws-chunked"))
        || headers.get("x-amz-content-sha256").is_some_and(streams)
}

/// Joins chunks: `hex length;extensions CRLF bytes CRLF`, the last of length 0, followed by trailers.
fn unchunked(mut rest: &[u8], whole: bool) -> Result<Vec<u8>, DecodeError> {
    let broken = |reason: &str| DecodeError::Malformed { format: "aws-chunked", reason: reason.to_owned() };
    let mut bytes = Vec::with_capacity(rest.len());
    loop {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return if whole { Err(broken("no length of a chunk")) } else { Ok(bytes) };
        };
        let line = &rest[..end];
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let length = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok())
            .ok_or_else(|| broken("length of a chunk is no hexadecimal number"))?;
        if length == 0 {
            return Ok(bytes);
        }
        let data = &rest[end + 2..];
        if data.len() < length {
            if whole {
                return Err(broken("a chunk is shorter than its length"));
            }
            bytes.extend_from_slice(data);
            return Ok(bytes);
        }
        bytes.extend_from_slice(&data[..length]);
        rest = data[length..].strip_prefix(b"\r\n").unwrap_or(&data[length..]);
    }
}

fn inflated(bytes: &[u8], whole: bool) -> Result<Vec<u8>, DecodeError> {
    let mut inflated = Vec::new();
    let mut limited = MultiGzDecoder::new(bytes).take(limits::BODY_BYTES as u64 + 1);
    match limited.read_to_end(&mut inflated) {
        Ok(_) if inflated.len() > limits::BODY_BYTES => Err(DecodeError::Bound("the size of an inflated body")),
        Ok(_) => Ok(inflated),
        Err(_) if !whole => Ok(inflated),
        Err(_) => Err(DecodeError::Malformed { format: "gzip", reason: "broken or cut".into() }),
    }
}
