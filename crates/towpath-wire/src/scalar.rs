//! Scalars that JSON has no type for: points in time and bytes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, on the wire a JSON number of seconds since 1970 (AWS JSON 1.1).
///
/// Answers carry milliseconds at most, and no fraction when there is none. Callers may send fractions, and ISO 8601
/// text as some SDKs do; text without an offset is UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub jiff::Timestamp);

impl Timestamp {
    /// Reads seconds since 1970, rounded to the millisecond as AWS does. `None` outside the years -9999 to 9999.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let millis = (seconds * 1e3).round();
        if !millis.is_finite() || millis.abs() > 1e15 {
            return None;
        }
        jiff::Timestamp::from_millisecond(millis as i64).ok().map(Self)
    }

    /// Reads ISO 8601 text or a number written as text.
    pub fn from_text(text: &str) -> Option<Self> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Some(Self(instant));
        }
        if let Ok(seconds) = text.parse::<f64>() {
            return Self::from_seconds(seconds);
        }
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(Self(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()))
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(instant: jiff::Timestamp) -> Self {
        Self(instant)
    }
}

impl From<Timestamp> for jiff::Timestamp {
    fn from(instant: Timestamp) -> Self {
        instant.0
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.0.as_millisecond();
        if millis % 1000 == 0 {
            return serializer.serialize_i64(millis / 1000);
        }
        serializer.serialize_f64(millis as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimestampVisitor)
    }
}

struct TimestampVisitor;

impl Visitor<'_> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since 1970 or ISO 8601 text")
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Timestamp, E> {
        jiff::Timestamp::from_second(seconds).map(Timestamp).map_err(|_| E::custom("time out of range"))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Timestamp, E> {
        self.visit_i64(i64::try_from(seconds).map_err(|_| E::custom("time out of range"))?)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Timestamp, E> {
        Timestamp::from_seconds(seconds).ok_or_else(|| E::custom("time out of range"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Timestamp, E> {
        Timestamp::from_text(text).ok_or_else(|| E::custom("not a time"))
    }
}

/// Bytes, on the wire base64 text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(|_| D::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Option<Timestamp> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn a_time_is_read_from_whole_seconds_fractions_exponents_and_text() {
        let instant: jiff::Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let half: jiff::Timestamp = "2026-11-20T00:00:00.5Z".parse().unwrap();
        for (json, expected) in [
            ("1795132800", instant),
            ("1795132800.5", half),
            ("1.7951328E9", instant),
            ("\"2026-11-20T00:00:00Z\"", instant),
            ("\"2026-11-20T01:00:00+01:00\"", instant),
            ("\"2026-11-20T00:00:00\"", instant),
            ("\"1795132800.5\"", half),
        ] {
            assert_eq!(read(json), Some(Timestamp(expected)), "{json}");
        }
    }

    #[test]
    fn a_time_that_no_calendar_holds_is_refused() {
        for json in ["1e300", "-1e300", "9223372036854775807", "18446744073709551615", "\"soon\"", "\"NaN\"", "true"] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn an_answer_carries_milliseconds_only_where_there_are_any() {
        let write = |text: &str| serde_json::to_string(&Timestamp(text.parse().unwrap())).unwrap();
        assert_eq!(write("2026-11-20T00:00:00Z"), "1795132800");
        assert_eq!(write("2026-11-20T00:00:00.123456Z"), "1795132800.123");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_time_in_milliseconds_survives_the_wire(millis in -62_000_000_000_000i64..253_000_000_000_000) {
            let instant = Timestamp(jiff::Timestamp::from_millisecond(millis).unwrap());
            prop_assert_eq!(read(&serde_json::to_string(&instant).unwrap()), Some(instant));
        }
    }
}
