//! Times on the command line: `2h` ago, a day, or an instant.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::duration;

/// A time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// So long before now.
    Ago(SignedDuration),
    /// An instant.
    At(Timestamp),
}

impl Written {
    /// The instant that is meant.
    pub fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => now.checked_sub(duration).unwrap_or(Timestamp::MIN),
            Self::At(instant) => instant,
        }
    }
}

/// Reads a time; for clap.
pub fn parse(text: &str) -> Result<Written, String> {
    if let Ok(ago) = duration::parse(text) {
        return SignedDuration::try_from(ago).map(Written::Ago).map_err(|error| error.to_string());
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(Written::At(instant));
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(|date| date.to_datetime(jiff::civil::Time::midnight())));
    let instant = civil.ok().and_then(|civil| civil.to_zoned(TimeZone::UTC).ok()).map(|zoned| zoned.timestamp());
    instant.map(Written::At).ok_or_else(|| {
        "write how long ago (30m, 2h, 7d), a day (2026-11-20) or an instant (2026-11-20T10:00:00Z)".to_owned()
    })
}

/// An instant as tables show it: UTC, to the second.
pub fn shown(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time of an answer (seconds since 1970) as tables show it.
pub fn shown_seconds(value: Option<&serde_json::Value>) -> String {
    // Towpath's own operations answer ISO 8601 text.
    if let Some(instant) = value.and_then(serde_json::Value::as_str).and_then(|text| text.parse::<Timestamp>().ok()) {
        return shown(instant);
    }
    let seconds = value.and_then(serde_json::Value::as_f64);
    let instant = seconds.and_then(|seconds| Timestamp::from_millisecond((seconds * 1e3).round() as i64).ok());
    instant.map(shown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_an_age_a_day_or_an_instant() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2h", "2026-11-20T10:00:00Z"),
            ("7d", "2026-11-13T12:00:00Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T05:06", "2026-11-01T05:06:00Z"),
            ("2026-11-01T05:06:07+02:00", "2026-11-01T03:06:07Z"),
        ] {
            assert_eq!(parse(text).unwrap().instant(now), expected.parse::<Timestamp>().unwrap(), "{text}");
        }
        for text in ["", "soon", "5", "2026-13-01", "yesterday"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_of_an_answer_are_shown_as_a_time() {
        assert_eq!(shown_seconds(Some(&serde_json::json!(1795132800.5))), "2026-11-20 00:00:00");
        assert_eq!(shown_seconds(None), "");
        assert_eq!(shown_seconds(Some(&serde_json::json!(1e300))), "");
    }
}
