//! Records found in a log file, and the events they become.
//!
//! Of a record only what routing and partitioning need is looked at; the rest is checked to be JSON and kept byte for
//! byte. Nothing but a missing or unreadable `eventTime` keeps a record from being an event: any other field of an
//! unexpected type counts as absent.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use smallvec::smallvec;

use towpath_model::{AccountId, Category, Destination, Event, EventKey, EventTime, Region};

use crate::json::{Raw, Scan};
use crate::log_file::Foreign;

/// A record that can become an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedRecord {
    number: u64,
    offset: u64,
    text: Bytes,
    time: EventTime,
    key: EventKey,
    category: Category,
    account: Option<AccountId>,
    region: Option<Region>,
}

/// Something in a log file that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordProblem {
    /// Its number among the file's records; the first is 1.
    pub number: u64,
    /// Where it begins: byte offset in the decompressed text.
    pub offset: u64,
    /// Why it is no event.
    pub reason: Reason,
}

impl fmt::Display for RecordProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} at byte {}: {}", self.number, self.offset, self.reason)
    }
}

/// Why something in a log file is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The record has no `eventTime`.
    #[error("not an event: no eventTime")]
    NoTime,
    /// `eventTime` is no time.
    #[error("not an event: eventTime is not a time")]
    BadTime,
    /// The record belongs to another kind of store.
    #[error("not an event of the AWS API: its category is {0}")]
    Category(&'static str),
    /// The object belongs to another kind of file.
    #[error("not an event: {0}")]
    Foreign(Foreign),
    /// The object is a notification of S3.
    #[error("not an event: an S3 notification")]
    Notification,
    /// The value is no object.
    #[error("not an event: not a JSON object")]
    NotAnObject,
    /// The text is not JSON; says what and where.
    #[error("malformed JSON: {0}")]
    Malformed(String),
    /// The record is not UTF-8.
    #[error("not UTF-8 at byte {at} of the record")]
    NotUtf8 {
        /// Byte offset within the record.
        at: usize,
    },
    /// The record is too long.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The most bytes accepted.
        limit: usize,
    },
    /// The file ends inside the record.
    #[error("the file ends inside the record")]
    Cut,
}

/// What stands in for members that a record lacks.
#[derive(Clone, Debug)]
pub struct Fallback {
    /// The account of a record that names none: the owner of the store.
    pub account: AccountId,
    /// The region of a record that names none: the region of the store.
    pub region: Region,
}

/// The members of a record that decide about it. A repeated key counts with its last value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'a> {
    time: Option<Raw<'a>>,
    id: Option<Raw<'a>>,
    category: Option<Raw<'a>>,
    event_type: Option<Raw<'a>>,
    management: Option<Raw<'a>>,
    recipient: Option<Raw<'a>>,
    identity: Option<Raw<'a>>,
    region: Option<Raw<'a>>,
    source: Option<Raw<'a>>,
    lookup: Option<Raw<'a>>,
    detail: Option<Raw<'a>>,
    detail_type: Option<Raw<'a>>,
}

impl<'a> Fields<'a> {
    /// Keeps the value if the key is one that matters.
    pub(crate) fn keep(&mut self, key: &[u8], value: Raw<'a>) {
        let place = match key {
            b"eventTime" => &mut self.time,
            b"eventID" => &mut self.id,
            b"eventCategory" => &mut self.category,
            b"eventType" => &mut self.event_type,
            b"managementEvent" => &mut self.management,
            b"recipientAccountId" => &mut self.recipient,
            b"userIdentity" => &mut self.identity,
            b"awsRegion" => &mut self.region,
            b"eventSource" => &mut self.source,
            b"CloudTrailEvent" => &mut self.lookup,
            b"detail" => &mut self.detail,
            b"detail-type" => &mut self.detail_type,
            _ => return,
        };
        *place = Some(value);
    }

    /// Collects the fields of a checked object.
    fn of(record: Raw<'a>) -> Self {
        let mut fields = Self::default();
        record.members(|key, value| fields.keep(&key.bytes(), value));
        fields
    }

    fn category(&self) -> Result<Category, Reason> {
        let (category, event_type) = (text(self.category), text(self.event_type));
        match (category.as_deref(), event_type.as_deref()) {
            (Some("Aggregated"), _) | (_, Some("AwsAggregatedEvent")) => Err(Reason::Category("Aggregated")),
            (_, Some("AwsCloudTrailInsight")) => Err(Reason::Category("Insight")),
            (Some(known), event_type) => match Category::parse(known) {
                Some(kind @ (Category::Management | Category::Data | Category::NetworkActivity)) => Ok(kind),
                Some(other) => Err(Reason::Category(other.as_str())),
                None => Ok(self.guess(event_type)),
            },
            (None, event_type) => Ok(self.guess(event_type)),
        }
    }

    /// The category of a record that does not say it, as records before version 1.07.
    fn guess(&self, event_type: Option<&str>) -> Category {
        match (event_type, self.management.and_then(Raw::boolean)) {
            (Some("AwsVpceEvent" | "AwsVpceEvents"), _) => Category::NetworkActivity,
            (_, Some(false)) => Category::Data,
            _ => Category::Management,
        }
    }

    fn account(&self) -> Option<AccountId> {
        let account = |value: Option<Raw<'a>>| text(value)?.parse().ok();
        account(self.recipient).or_else(|| account(self.identity?.member("accountId")))
    }
}

fn text(value: Option<Raw<'_>>) -> Option<Cow<'_, str>> {
    value.and_then(Raw::string).map(|string| string.decode())
}

impl ImportedRecord {
    /// Reads the record in an object of a log file: the object itself, or the record that it wraps.
    ///
    /// `text` is the object's text and `whole` the same, checked. `last_region` saves making the same region again.
    pub(crate) fn read(
        number: u64,
        offset: u64,
        text: &Bytes,
        whole: Raw<'_>,
        fields: &Fields<'_>,
        last_region: &mut Option<Region>,
    ) -> Result<Self, Reason> {
        if let Err(error) = std::str::from_utf8(text) {
            return Err(Reason::NotUtf8 { at: error.valid_up_to() });
        }
        if let Some(lookup) = fields.lookup.and_then(Raw::string) {
            // The record is a string inside the object, so that its text has to be made.
            let inner = Bytes::from(lookup.decode().into_owned());
            let mut scan = Scan::new(&inner);
            scan.blanks();
            let record = scan.value().and_then(|record| scan.end().map(|()| record));
            let record = record.map_err(|flaw| Reason::Malformed(format!("CloudTrailEvent: {flaw}")))?;
            if !record.is_object() {
                return Err(Reason::NotAnObject);
            }
            let text = inner.slice_ref(record.text());
            return Self::plain(number, offset, text, &Fields::of(record), last_region);
        }
        if let (Some(detail), Some(_)) = (fields.detail.filter(|detail| detail.is_object()), fields.detail_type) {
            let inner = text.slice_ref(detail.text());
            let within = detail.text().as_ptr() as usize - whole.text().as_ptr() as usize;
            return Self::plain(number, offset + within as u64, inner, &Fields::of(detail), last_region);
        }
        Self::plain(number, offset, text.clone(), fields, last_region)
    }

    fn plain(
        number: u64,
        offset: u64,
        record: Bytes,
        fields: &Fields<'_>,
        last_region: &mut Option<Region>,
    ) -> Result<Self, Reason> {
        let time = fields.time.filter(|time| !time.is_null()).ok_or(Reason::NoTime)?;
        if text(fields.source).as_deref() == Some("aws:s3") {
            return Err(Reason::Notification);
        }
        let time = text(Some(time)).and_then(|time| EventTime::parse(&time).ok()).ok_or(Reason::BadTime)?;
        let category = fields.category()?;
        let key = EventKey::of(text(fields.id).as_deref(), &record);
        let region = text(fields.region).and_then(|name| match last_region {
            Some(last) if last.as_str() == name => Some(last.clone()),
            _ => {
                *last_region = Some(name.parse().ok()?);
                last_region.clone()
            }
        });
        Ok(Self { number, offset, text: record, time, key, category, account: fields.account(), region })
    }

    /// Its number among the file's records; the first is 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Where it begins: byte offset in the decompressed text (for LookupEvents output, that of the object around it).
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The record's text as received.
    pub const fn text(&self) -> &Bytes {
        &self.text
    }

    /// `eventTime`.
    pub const fn time(&self) -> EventTime {
        self.time
    }

    /// The identity within a store.
    pub const fn key(&self) -> EventKey {
        self.key
    }

    /// `eventCategory`, or what the record's other fields say about it.
    pub const fn category(&self) -> Category {
        self.category
    }

    /// Makes the event for one store.
    pub fn into_event(self, destination: Destination, fallback: &Fallback, admitted: Timestamp) -> Event {
        Event {
            key: self.key,
            time: self.time,
            admitted,
            category: self.category,
            account: self.account.unwrap_or(fallback.account),
            region: self.region.unwrap_or_else(|| fallback.region.clone()),
            destinations: smallvec![destination],
            trails: smallvec![],
            json: self.text,
        }
    }
}
