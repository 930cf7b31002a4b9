//! Durations as people write them: `500ms`, `30s`, `5m`, `1h`, `7d`. Used by settings (with serde) and by flags.

use std::time::Duration;

use serde::{Deserializer, Serializer};

use super::written;

/// Units by name, longest first within a family, with their length in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number stands alone.
    #[error("\"{0}\" has no unit; write ms, s, m, h, d or w after the number, such as \"{0}s\"")]
    NoUnit(String),
    /// Anything else.
    #[error("\"{0}\" is not a duration; write a number and a unit, such as \"500ms\", \"5m\" or \"7d\"")]
    Malformed(String),
    /// The duration is longer than a century.
    #[error("\"{0}\" is too long; a century is the most")]
    TooLong(String),
}

/// Reads a duration such as `5m`, or a sum such as `1h30m`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    const CENTURY: u64 = 100 * 366 * 86_400_000;
    let malformed = || DurationError::Malformed(text.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut millis = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if number.is_empty() {
            return Err(malformed());
        }
        if unit.is_empty() && after.is_empty() {
            return Err(DurationError::NoUnit(text.trim().to_owned()));
        }
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        let number: u64 = number.parse().map_err(|_| DurationError::TooLong(text.to_owned()))?;
        millis = number
            .checked_mul(*length)
            .and_then(|part| millis.checked_add(part))
            .filter(|total| *total <= CENTURY)
            .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        rest = after;
    }
    Ok(Duration::from_millis(millis))
}

/// Writes a duration in the largest unit that divides it.
pub fn text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    // Weeks are read but not written: "7d" is what people expect back.
    let (name, length) =
        UNITS[..5].iter().rev().find(|(_, length)| millis.is_multiple_of(*length)).unwrap_or(&UNITS[0]);
    format!("{}{name}", millis / length)
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*duration))
}

/// For `#[serde(with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    written::deserialize(deserializer, parse, DurationError::NoUnit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_and_a_unit_are_a_duration() {
        for (written, seconds) in [("1500ms", 1.5), ("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0), ("7d", 604_800.0)]
        {
            assert_eq!(parse(written).unwrap().as_secs_f64(), seconds, "{written}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_a_proposal() {
        assert_eq!(
            parse("30").unwrap_err().to_string(),
            "\"30\" has no unit; write ms, s, m, h, d or w after the number, such as \"30s\""
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for written in ["", "m", "5 m", "5y", "-5s", "1.5h", "5m3", "99999999999999999999s", "9999999d"] {
            assert!(parse(written).is_err(), "{written}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&text(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_panics(written in "\\PC{0,24}") {
            let _ = parse(&written);
        }
    }
}
