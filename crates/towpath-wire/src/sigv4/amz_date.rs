//! The two spellings of time in a signed request.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A time to the second, `20261120T093000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AmzDate(DateTime);

impl AmzDate {
    /// The second that `instant` is in.
    pub(crate) fn at(instant: Timestamp) -> Self {
        let second = Timestamp::from_second(instant.as_second()).unwrap_or(instant);
        Self(TimeZone::UTC.to_datetime(second))
    }

    /// Reads exactly `YYYYMMDDThhmmssZ`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0i16, |n, b| b.is_ascii_digit().then(|| n * 10 + i16::from(b - b'0')))
        };
        let small = |from: usize| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
        DateTime::new(number(0, 4)?, small(4)?, small(6)?, small(9)?, small(11)?, small(13)?, 0).ok().map(Self)
    }

    /// Reads the form of a `Date` header, `Fri, 20 Nov 2026 09:30:00 GMT`.
    pub(crate) fn parse_http(text: &str) -> Option<Self> {
        jiff::fmt::rfc2822::parse(text).ok().map(|zoned| Self::at(zoned.timestamp()))
    }

    /// The day as a credential scope writes it, `20261120`.
    pub(crate) fn day(self) -> String {
        self.0.strftime("%Y%m%d").to_string()
    }

    pub(crate) fn instant(self) -> Option<Timestamp> {
        self.0.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    }
}

impl fmt::Display for AmzDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("%Y%m%dT%H%M%SZ").fmt(f)
    }
}
