//! Single values that arrive as text: in URIs, headers, forms and XML.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use jiff::{Timestamp, civil, fmt::rfc2822, tz::TimeZone};
use serde_json::Number;

use crate::{Value, model::Kind};

/// Longer texts are no times.
const TIME_TEXT: usize = 64;

/// Standard base64, padded or not: some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Reads a text as what the model says it is. A text that is not stays the text it is: the service has refused it, and
/// the record shows what was asked. `None` for shapes that cannot be a text.
pub(super) fn value(kind: &Kind, text: &str) -> Option<Value> {
    Some(match kind {
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Integer | Kind::Float => match number(text) {
            Some(number) => Value::Number(number),
            None => Value::Text(text.to_owned()),
        },
        Kind::Bool if text.eq_ignore_ascii_case("true") => Value::Bool(true),
        Kind::Bool if text.eq_ignore_ascii_case("false") => Value::Bool(false),
        Kind::Bool => Value::Text(text.to_owned()),
        Kind::Time => match time(text) {
            Some(time) => Value::Time(time),
            None => Value::Text(text.to_owned()),
        },
        Kind::Blob => Value::Blob(blob(text)),
        Kind::Document => Value::Document(serde_json::from_str(text).unwrap_or_else(|_| text.into())),
        Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. } | Kind::Unknown => return None,
    })
}

/// A number, if JSON can hold it.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    // `inf` and `infinity` are numbers to Rust but not to JSON, and digits beyond 2^64 would be rounded.
    let digits = text.trim_start_matches(['+', '-']);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        || digits.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

/// Bytes of base64; the text itself if it is none.
pub(super) fn blob(text: &str) -> Bytes {
    match BASE64.decode(text.trim()) {
        Ok(bytes) => Bytes::from(bytes),
        Err(_) => Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// A moment in any of the forms that AWS's protocols have: ISO 8601, RFC 822, seconds since 1970.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > TIME_TEXT {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'))
        && let Some(time) = seconds(text)
    {
        return Some(time);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    if text.contains(',') {
        return rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    }
    if let Ok(time) = text.parse::<civil::DateTime>() {
        return time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    }
    None
}

/// A number of seconds since 1970, exact for as many digits as it was printed with.
pub(super) fn seconds_of(number: &Number) -> Option<Timestamp> {
    seconds(&number.to_string())
}

fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if text.contains(['e', 'E']) {
        let seconds: f64 = text.parse().ok()?;
        // Far beyond year 9999, where seconds in a float are whole anyway.
        if seconds.is_nan() || seconds.abs() >= 1e12 {
            return None;
        }
        return Timestamp::from_nanosecond((seconds * 1e6).round() as i128 * 1000).ok();
    }
    let negative = whole.starts_with('-');
    let whole: i64 = if matches!(whole, "" | "-" | "+") { 0 } else { whole.parse().ok()? };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit())
        || (text.len() == 1 && fraction.is_empty() && !text.as_bytes()[0].is_ascii_digit())
    {
        return None;
    }
    let mut nanoseconds: i32 = 0;
    for at in 0..9 {
        let digit = fraction.as_bytes().get(at).map_or(0, |digit| i32::from(digit - b'0'));
        nanoseconds = nanoseconds * 10 + digit;
    }
    Timestamp::new(whole, if negative { -nanoseconds } else { nanoseconds }).ok()
}
