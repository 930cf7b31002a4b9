//! Entries of a PutAuditEvents call, from the text received to the record that is stored.
//!
//! Each stage is a type: an [`AuditEntry`] is what came; a [`ParsedEntry`] is JSON with its fields found; a
//! [`CheckedEntry`] obeys every rule of the API and can be made an [`Event`]. The JSON is scanned once and never built
//! into a tree.
//!
//! Decisions where the API's documentation is silent:
//! - Sizes of objects are counted over the bytes of the member's JSON text as sent, white space included; 1 kB is
//!   1,024 bytes. Lengths of texts are counted in characters after decoding escapes.
//! - `null` stands for an absent field. An empty text is a text.
//! - A field that the API defines may occur once. Elsewhere repeated keys are kept as sent.
//! - Fields that the API does not define are kept.
//! - An event source that ends in `.amazonaws.com` is the name of an AWS service and refused.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use smallvec::SmallVec;
use uuid::Uuid;

use towpath_model::{AccountId, Arn, Category, Event, EventTime, Region};

use crate::identity::ContentDigest;
use crate::json::{Flaw, Raw, Scan};
use crate::refusal::{CallRefusal, JsonFlaw, Refusal};

/// The longest `eventData`, in bytes: 256 KB.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// The most entries in a call.
pub const MAX_ENTRIES: usize = 100;
/// The request must be shorter than this many bytes: 1 MB.
pub const MAX_CALL_BYTES: usize = 1024 * 1024;
/// The deepest nesting of `eventData`.
pub const MAX_EVENT_DEPTH: u32 = 64;

/// The most bytes of requestParameters, and of responseElements.
const MAX_PARAMETERS: usize = 100 * 1024;
/// The most characters of most texts.
const MAX_TEXT: usize = 1024;
/// The most characters of errorCode, and of errorMessage.
const MAX_ERROR: usize = 256;
/// The most characters of a caller's type.
const MAX_TYPE: usize = 128;

/// An entry of a call, as received.
#[derive(Clone, Copy, Debug)]
pub struct AuditEntry<'a> {
    /// The sender's name for the entry, echoed in the answer.
    pub id: &'a str,
    /// The text that should hold a JSON object.
    pub event_data: &'a str,
    /// `eventDataChecksum`, if sent.
    pub checksum: Option<&'a str>,
}

/// Checks what concerns a call as a whole: the number of entries, the size of the request body and the ids.
pub fn check_call(entries: &[AuditEntry<'_>], body_bytes: usize) -> Result<(), CallRefusal> {
    if entries.is_empty() {
        return Err(CallRefusal::Empty { limit: MAX_ENTRIES });
    }
    if entries.len() > MAX_ENTRIES {
        return Err(CallRefusal::TooMany { entries: entries.len(), limit: MAX_ENTRIES });
    }
    if body_bytes >= MAX_CALL_BYTES {
        return Err(CallRefusal::TooLarge { bytes: body_bytes, limit: MAX_CALL_BYTES });
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    for (index, entry) in entries.iter().enumerate() {
        if !(1..=128).contains(&entry.id.len()) || !entry.id.bytes().all(plain) {
            return Err(CallRefusal::Id { entry: index + 1 });
        }
    }
    let mut order: SmallVec<[(&str, usize); MAX_ENTRIES]> = SmallVec::new();
    order.extend(entries.iter().enumerate().map(|(index, entry)| (entry.id, index + 1)));
    order.sort_unstable();
    let repeats = order.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    match repeats.map(|pair| (pair[1].1, pair[0].1)).min() {
        Some((second, first)) => Err(CallRefusal::Duplicate { first, second }),
        None => Ok(()),
    }
}

/// The channel that an entry came through.
#[derive(Clone, Copy, Debug)]
pub struct ChannelRef<'a> {
    /// Its ARN.
    pub arn: &'a Arn,
    /// The account that owns it.
    pub owner: AccountId,
    /// The region that the call was made to.
    pub region: &'a Region,
}

impl<'a> AuditEntry<'a> {
    /// Checks size, checksum and JSON, and finds the fields.
    pub fn parse(self) -> Result<ParsedEntry<'a>, Refusal> {
        if self.event_data.len() > MAX_EVENT_BYTES {
            return Err(Refusal::TooLarge { bytes: self.event_data.len(), limit: MAX_EVENT_BYTES });
        }
        let content = ContentDigest::of(self.event_data);
        if self.checksum.is_some_and(|checksum| !matches(checksum, &content)) {
            return Err(Refusal::Checksum);
        }
        let data = FieldSet::of(self.event_data.as_bytes(), &DATA)?;
        let identity = match data.get(USER_IDENTITY) {
            Some(raw) if raw.is_object() => FieldSet::of(raw.text(), &IDENTITY)?,
            _ => FieldSet::default(),
        };
        Ok(ParsedEntry { id: self.id, text: self.event_data, content, data, identity })
    }

    /// Parses and checks the entry.
    pub fn check(self, channel: &ChannelRef<'_>) -> Result<CheckedEntry<'a>, Refusal> {
        self.parse()?.check(channel)
    }
}

/// True if `checksum` is the base64 text of the digest.
fn matches(checksum: &str, content: &ContentDigest) -> bool {
    let mut digest = [0; 48];
    match STANDARD.decode_slice(checksum, &mut digest) {
        Ok(length) => digest[..length] == content.0,
        Err(_) => false,
    }
}

/// What the API says about one field.
struct Field {
    name: &'static str,
    path: &'static str,
    required: bool,
    rule: Rule,
}

enum Rule {
    Text { limit: usize },
    Object { limit: usize },
    Time,
    Address,
}

const fn required(path: &'static str, name: &'static str, rule: Rule) -> Field {
    Field { name, path, required: true, rule }
}

const fn optional(path: &'static str, name: &'static str, rule: Rule) -> Field {
    Field { name, path, required: false, rule }
}

const LARGE: Rule = Rule::Object { limit: MAX_PARAMETERS };

/// The fields of `eventData`, in the order in which they are checked.
static DATA: [Field; 14] = [
    required("version", "version", Rule::Text { limit: 256 }),
    required("userIdentity", "userIdentity", Rule::Object { limit: usize::MAX }),
    optional("userAgent", "userAgent", Rule::Text { limit: MAX_TEXT }),
    required("eventSource", "eventSource", Rule::Text { limit: MAX_TEXT }),
    required("eventName", "eventName", Rule::Text { limit: MAX_TEXT }),
    required("eventTime", "eventTime", Rule::Time),
    required("UID", "UID", Rule::Text { limit: MAX_TEXT }),
    optional("requestParameters", "requestParameters", LARGE),
    optional("responseElements", "responseElements", LARGE),
    optional("errorCode", "errorCode", Rule::Text { limit: MAX_ERROR }),
    optional("errorMessage", "errorMessage", Rule::Text { limit: MAX_ERROR }),
    optional("sourceIPAddress", "sourceIPAddress", Rule::Address),
    required("recipientAccountId", "recipientAccountId", Rule::Text { limit: usize::MAX }),
    optional("additionalEventData", "additionalEventData", Rule::Object { limit: 28 * 1024 }),
];

const USER_IDENTITY: usize = 1;
const EVENT_SOURCE: usize = 3;
const EVENT_TIME: usize = 5;
const RECIPIENT: usize = 12;

/// The fields of `userIdentity`.
static IDENTITY: [Field; 3] = [
    required("userIdentity.type", "type", Rule::Text { limit: MAX_TYPE }),
    required("userIdentity.principalId", "principalId", Rule::Text { limit: MAX_TEXT }),
    optional("userIdentity.details", "details", Rule::Object { limit: usize::MAX }),
];

/// The values found for a list of fields.
#[derive(Clone, Debug, Default)]
struct FieldSet<'a> {
    values: [Option<Raw<'a>>; 14],
}

impl<'a> FieldSet<'a> {
    /// Scans an object and keeps the values of `fields`; a repeated one is refused.
    fn of(text: &'a [u8], fields: &'static [Field]) -> Result<Self, Refusal> {
        let (mut set, mut repeated) = (Self::default(), None);
        let mut scan = Scan::new(text).depth(MAX_EVENT_DEPTH);
        scan.blanks();
        if scan.peek().map_err(not_json)? != b'{' {
            // Another kind of value is valid JSON of the wrong kind; anything else is no JSON at all.
            scan.value().and_then(|_| scan.end()).map_err(not_json)?;
            return Err(Refusal::NotAnObject);
        }
        let whole = scan.object(|key, value| {
            if let Some(index) = fields.iter().position(|field| key.is(field.name))
                && set.values[index].replace(value).is_some()
            {
                repeated.get_or_insert(fields[index].path);
            }
            Ok(())
        });
        whole.and_then(|_| scan.end()).map_err(not_json)?;
        repeated.map_or(Ok(set), |path| Err(Refusal::Repeated(path)))
    }

    /// The value of a field; `None` if it is absent or null.
    fn get(&self, index: usize) -> Option<Raw<'a>> {
        self.values[index].filter(|value| !value.is_null())
    }

    fn text(&self, index: usize) -> Cow<'a, str> {
        self.get(index).and_then(Raw::string).map(|string| string.decode()).unwrap_or_default()
    }

    fn check(&self, fields: &'static [Field]) -> Result<(), Refusal> {
        for (index, field) in fields.iter().enumerate() {
            match self.get(index) {
                Some(value) => field.check(value)?,
                None if field.required => return Err(Refusal::Missing(field.path)),
                None => {}
            }
        }
        Ok(())
    }
}

fn not_json(flaw: Flaw) -> Refusal {
    Refusal::NotJson(JsonFlaw(flaw))
}

impl Field {
    fn check(&self, value: Raw<'_>) -> Result<(), Refusal> {
        let text = || {
            let string = value.string().ok_or(Refusal::Type { field: self.path, expected: "a string" })?;
            Ok(string.decode())
        };
        match self.rule {
            Rule::Object { .. } if !value.is_object() => Err(Refusal::Type { field: self.path, expected: "an object" }),
            Rule::Object { limit } if value.text().len() > limit => {
                Err(Refusal::ObjectTooLong { field: self.path, limit })
            }
            Rule::Object { .. } => Ok(()),
            Rule::Text { limit } => {
                let text = text()?;
                // Bytes bound characters from above, so that most texts need no count.
                if text.len() > limit && text.chars().count() > limit {
                    return Err(Refusal::TextTooLong { field: self.path, limit });
                }
                Ok(())
            }
            Rule::Time => audit_time(&text()?).map(drop),
            Rule::Address => text()?.parse::<IpAddr>().map(drop).map_err(|_| Refusal::Address),
        }
    }
}

/// Parses the `eventTime` of an audit event: UTC, `yyyy-MM-ddTHH:mm:ss`, then an optional fraction of up to nine
/// digits, then an optional `Z`.
fn audit_time(text: &str) -> Result<EventTime, Refusal> {
    let (plain, rest) = text.split_at_checked(19).ok_or(Refusal::Time)?;
    let rest = rest.strip_suffix('Z').unwrap_or(rest);
    let fraction = rest.is_empty()
        || rest.strip_prefix('.').is_some_and(|digits| {
            (1..=9).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
        });
    if !fraction || plain.as_bytes()[10] != b'T' {
        return Err(Refusal::Time);
    }
    EventTime::parse(text).map_err(|_| Refusal::Time)
}

/// An entry whose `eventData` is one JSON object and whose checksum, if sent, is right.
#[derive(Clone, Debug)]
pub struct ParsedEntry<'a> {
    id: &'a str,
    text: &'a str,
    content: ContentDigest,
    data: FieldSet<'a>,
    identity: FieldSet<'a>,
}

impl<'a> ParsedEntry<'a> {
    /// Applies every rule of the API, in the order of the API's field table; the first broken one is reported.
    pub fn check(self, channel: &ChannelRef<'_>) -> Result<CheckedEntry<'a>, Refusal> {
        self.data.check(&DATA)?;
        self.identity.check(&IDENTITY)?;
        if self.data.text(RECIPIENT) != channel.owner.as_str() {
            return Err(Refusal::Recipient);
        }
        if names_an_aws_service(&self.data.text(EVENT_SOURCE)) {
            return Err(Refusal::Source);
        }
        let time_text = self.data.text(EVENT_TIME);
        let time = audit_time(&time_text)?;
        Ok(CheckedEntry { id: self.id, text: self.text, content: self.content, time_text, time })
    }
}

/// True for an event source that only AWS's services have: entries with it are refused.
pub fn names_an_aws_service(source: &str) -> bool {
    const SUFFIX: &str = ".amazonaws.com";
    let tail = source.len().checked_sub(SUFFIX.len()).and_then(|at| source.get(at..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(SUFFIX))
}

/// An entry that may be stored.
#[derive(Clone, Debug)]
pub struct CheckedEntry<'a> {
    id: &'a str,
    text: &'a str,
    content: ContentDigest,
    time_text: Cow<'a, str>,
    time: EventTime,
}

impl<'a> CheckedEntry<'a> {
    /// The sender's name for the entry.
    pub const fn id(&self) -> &'a str {
        self.id
    }

    /// When the event occurred; a store whose retention ended before does not want it.
    pub const fn time(&self) -> EventTime {
        self.time
    }

    /// The digest of the content, for [`crate::EventIds::candidates`].
    pub const fn content(&self) -> &ContentDigest {
        &self.content
    }

    /// Builds the event with this id, admitted at `now`. It has no destinations yet.
    ///
    /// The record's text is written into one buffer, with `eventData` as it was received, byte for byte.
    pub fn into_event(self, event_id: Uuid, channel: &ChannelRef<'_>, now: Timestamp) -> Event {
        Event {
            key: event_id.into(),
            time: self.time,
            admitted: now,
            category: Category::ActivityAuditLog,
            account: channel.owner,
            region: channel.region.clone(),
            destinations: SmallVec::new(),
            trails: SmallVec::new(),
            json: self.record(event_id, channel, now),
        }
    }

    fn record(&self, event_id: Uuid, channel: &ChannelRef<'_>, now: Timestamp) -> Bytes {
        // The fixed text, the id and both times have fewer than 330 bytes; an ARN may need escapes, though none that
        // Towpath makes does.
        let arn = serde_json::to_string(channel.arn.as_str()).expect("a string is always written");
        let (region, owner) = (channel.region.as_str(), channel.owner.as_str());
        let mut record = String::with_capacity(330 + self.time_text.len() + region.len() + arn.len() + self.text.len());
        record.push_str(
            r#"{"eventVersion":"1.0","eventCategory":"ActivityAuditLog","eventType":"ActivityLog","eventID":""#,
        );
        record.push_str(event_id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        for part in [
            r#"","eventTime":""#,
            &self.time_text,
            r#"","awsRegion":""#,
            region,
            r#"","recipientAccountId":""#,
            owner,
            r#"","metadata":{"ingestionTime":""#,
            &EventTime::from(now).to_string(),
            r#"","channelARN":"#,
            &arn,
            r#"},"eventData":"#,
            self.text.trim_matches([' ', '\n', '\r', '\t']),
            "}",
        ] {
            record.push_str(part);
        }
        Bytes::from(record)
    }
}

mod activity;
#[cfg(test)]
mod tests;

pub use activity::Activity;
