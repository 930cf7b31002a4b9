//! An event as it goes into the log: its text, and what routing and partitioning need to know about it.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::{AccountId, Category, Region, StoreId, TrailId};

/// The identity of an event within a store: two events with the same key are one event.
///
/// It is the record's `eventID` where that is a UUID. Other ids (`...`, `string`, `EXAMPLE-1` in samples made by hand) are
/// given to several events, and some records have none: there the first half of a SHA-256 over the whole record is the
/// key, so that a record sent again is still one event and records that differ are all kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey([u8; 16]);

impl EventKey {
    /// The key of a record with this text and `eventID`.
    pub fn of(event_id: Option<&str>, record: &[u8]) -> Self {
        event_id.and_then(Self::of_event_id).unwrap_or_else(|| Self::digest(b"record", record))
    }

    /// The key of every record with this `eventID`: a UUID of 36 characters, in capital or small letters. `None` for any
    /// other text, which does not say which event is meant.
    pub fn of_event_id(event_id: &str) -> Option<Self> {
        // Forms without hyphens, in braces or with a prefix are not how CloudTrail writes an id.
        Uuid::try_parse(event_id).ok().filter(|_| event_id.len() == 36).map(Self::from)
    }

    fn digest(domain: &[u8], bytes: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(domain).chain_update([0]).chain_update(bytes).finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }

    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<Uuid> for EventKey {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.into_bytes())
    }
}

/// When an event occurred: milliseconds since 1970-01-01T00:00:00Z, within the years 0001 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventTime(i64);

/// The text is no time of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event time has the form yyyy-MM-ddTHH:mm:ssZ")]
pub struct EventTimeError;

impl EventTime {
    /// The time `millis` milliseconds after 1970 began; refuses what lies outside the years 0001 to 9999.
    pub fn from_millis(millis: i64) -> Result<Self, EventTimeError> {
        const FIRST: i64 = -62_135_596_800_000;
        const LAST: i64 = 253_402_207_199_999;
        if (FIRST..=LAST).contains(&millis) { Ok(Self(millis)) } else { Err(EventTimeError) }
    }

    /// Milliseconds since 1970 began.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Days since 1970-01-01, negative before: the partition that the event belongs to.
    pub const fn day(self) -> i32 {
        self.0.div_euclid(86_400_000) as i32
    }

    /// Parses `yyyy-MM-ddTHH:mm:ss` with an optional fraction and an optional `Z` or offset (UTC if none).
    ///
    /// Fractions finer than a millisecond are cut. A blank instead of the `T` is accepted, because records that passed
    /// through other tools carry it.
    pub fn parse(text: &str) -> Result<Self, EventTimeError> {
        if text.len() > 64 || text.len() < 19 {
            return Err(EventTimeError);
        }
        if let Some(time) = parse_plain(text.as_bytes()) {
            return Self::from_millis(time);
        }
        let millis = match text.parse::<Timestamp>() {
            Ok(instant) => instant.as_millisecond(),
            Err(_) => {
                let local: jiff::civil::DateTime = text.parse().map_err(|_| EventTimeError)?;
                let zoned = local.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| EventTimeError)?;
                zoned.timestamp().as_millisecond()
            }
        };
        Self::from_millis(millis)
    }

    /// The instant.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).expect("an EventTime lies within the years that jiff knows")
    }
}

impl From<Timestamp> for EventTime {
    fn from(instant: Timestamp) -> Self {
        let millis = instant.as_millisecond();
        Self::from_millis(millis).unwrap_or(Self(if millis < 0 { -62_135_596_800_000 } else { 253_402_207_199_999 }))
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&eventtime_text(self.timestamp()))
    }
}

/// Parses exactly `yyyy-MM-ddTHH:mm:ssZ`, the form of nearly every record, without the general parser's cost.
fn parse_plain(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T', h1, h2, b':', mi1, mi2, b':', s1, s2, b'Z'] = text else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0i64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let (year, month, day) = (number(&[*y1, *y2, *y3, *y4])?, number(&[*mo1, *mo2])?, number(&[*d1, *d2])?);
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*mi1, *mi2])?, number(&[*s1, *s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = jiff::civil::Date::new(year as i16, month as i8, day as i8).ok()?;
    let epoch = jiff::civil::Date::constant(1970, 1, 1);
    let days = i64::from(epoch.until(date).ok()?.get_days());
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// Writes an instant as records do: `yyyy-MM-ddTHH:mm:ssZ`, whole seconds, UTC.
pub fn eventtime_text(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An admitted and routed event: what the log stores at one position.
///
/// `json` is the record's text byte for byte. The other members repeat what the readers of the log need to know before
/// they parse it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The identity within each store.
    pub key: EventKey,
    /// `eventTime`.
    pub time: EventTime,
    /// When Towpath admitted it.
    pub admitted: Timestamp,
    /// `eventCategory`.
    pub category: Category,
    /// `recipientAccountId`: the account whose event this is.
    pub account: AccountId,
    /// `awsRegion`.
    pub region: Region,
    /// The stores that the event was routed to when it was admitted; empty for an event that only trails want.
    pub destinations: SmallVec<[Destination; 2]>,
    /// The trails that wanted the event when it was admitted. Live events alone have any: what an import brings or
    /// PutAuditEvents sends is not delivered by trails.
    pub trails: SmallVec<[TrailId; 1]>,
    /// The record: one JSON object in UTF-8.
    pub json: Bytes,
}

/// One store that an event goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// The store.
    pub store: StoreId,
    /// Its kind, so that a reader can build the row without asking for the store.
    pub kind: crate::StoreKind,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uuid_is_the_identity_of_an_event_and_no_other_id_is() {
        let id = "5e2676f8-9fce-46ef-8142-3e36a94e6691";
        let key = EventKey::of(Some(id), b"one");
        assert_eq!(key, EventKey::of(Some(&id.to_uppercase()), b"two"));
        assert_eq!(Some(key), EventKey::of_event_id(id));
        assert_eq!(key.as_bytes()[..4], [0x5e, 0x26, 0x76, 0xf8]);

        let braced = format!("{{{id}}}");
        let plain = id.replace('-', "");
        for other in ["", "...", "string", "123aaac1-123d-456a-1k29a4dd2kea", &braced, &plain, &format!("{plain}    ")]
        {
            assert_eq!(EventKey::of_event_id(other), None, "{other}");
            assert_eq!(EventKey::of(Some(other), b"one"), EventKey::of(Some(other), b"one"), "{other}");
            assert_ne!(EventKey::of(Some(other), b"one"), EventKey::of(Some(other), b"two"), "{other}");
        }
        assert_ne!(EventKey::of(None, b"one"), EventKey::of(None, b"two"));
    }

    #[test]
    fn times_of_real_records_parse() {
        let cases = [
            ("2021-07-28T14:02:03Z", 1_627_480_923_000),
            ("2021-07-28T14:02:03.5Z", 1_627_480_923_500),
            ("2021-07-28T14:02:03", 1_627_480_923_000),
            ("2021-07-28 14:02:03", 1_627_480_923_000),
            ("2021-07-28T16:02:03+02:00", 1_627_480_923_000),
            ("1969-12-31T23:59:59Z", -1_000),
        ];
        for (text, millis) in cases {
            assert_eq!(EventTime::parse(text).map(EventTime::as_millis), Ok(millis), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in ["", "string", "2021-07-28", "2021-13-28T14:02:03Z", "2021-02-30T14:02:03Z", "2021-07-28T25:02:03Z"]
        {
            assert_eq!(EventTime::parse(text), Err(EventTimeError), "{text}");
        }
    }

    #[test]
    fn days_before_1970_are_negative() {
        assert_eq!(EventTime::parse("1969-12-31T23:59:59Z").unwrap().day(), -1);
        assert_eq!(EventTime::parse("1970-01-01T00:00:00Z").unwrap().day(), 0);
    }

    proptest! {
        #[test]
        fn the_text_of_a_time_parses_to_the_same_time(seconds in -62_135_596_800i64..=253_402_207_199) {
            let time = EventTime::from_millis(seconds * 1000).unwrap();
            prop_assert_eq!(EventTime::parse(&time.to_string()), Ok(time));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,70}") {
            let _ = EventTime::parse(&text);
        }
    }
}
