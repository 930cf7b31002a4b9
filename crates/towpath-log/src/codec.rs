//! Events as bytes: the body of a frame.
//!
//! A body is written once, on the time of the caller who appends, and read without copying: the text of a decoded event
//! is a slice of the body. Regions and destinations repeat from event to event, so they stand once, at the end.
//!
//! ```text
//! body  = version u8 = 1 | events u32 | tables offset u32 | event* | regions u32, (len u8, text)* |
//!         destination lists u32, (count u32, (store 16, kind u8)*)*
//! event = key 16 | time i64 ms | admitted i64 s, u32 ns | category u8 | account 12 | region u32 | destinations u32 |
//!         json length u32 | json
//! ```
//! All numbers are little-endian. Codes of categories and kinds are part of the format and never change. A trail that
//! wants the event stands in its destination list as well, behind the stores, with its id and a kind of its own.

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use towpath_model::{
    AccountId, Category, Destination, Event, EventKey, EventTime, Region, StoreId, StoreKind, TrailId,
};

/// The largest body, in bytes.
pub(crate) const MAX_BODY: usize = 64 << 20;

const VERSION: u8 = 1;
const PREFIX: usize = 9;
const ROW: usize = 16 + 8 + 8 + 4 + 1 + 12 + 4 + 4 + 4;
const DESTINATION: usize = 17;
// The kind of a row that names a trail; stores have other kinds.
const TRAIL: u8 = 7;
// How far back a repeated region or destination list is looked for, so that encoding stays linear.
const LOOK_BACK: usize = 64;

/// The bytes are no body that this version wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// Written by another version.
    #[error("event encoding version {0} is unknown")]
    Version(u8),
    /// A length, code or index is impossible.
    #[error("{0} is not possible")]
    Invalid(&'static str),
}

/// The bytes that `events` take at most when encoded.
pub(crate) fn encoded_size(events: &[Event]) -> usize {
    let row = |event: &Event| {
        ROW + event.json.len()
            + 1
            + event.region.as_str().len()
            + 4
            + (event.destinations.len() + event.trails.len()) * DESTINATION
    };
    PREFIX + 8 + events.iter().map(row).sum::<usize>()
}

/// Encodes `events` and points their texts at the encoding, so that the caller's buffers are free.
pub(crate) fn encode(events: &mut [Event]) -> Bytes {
    let rows: usize = events.iter().map(|event| ROW + event.json.len()).sum();
    let mut body = Vec::with_capacity(PREFIX + rows + 256);
    let mut regions: Vec<&Region> = Vec::new();
    let mut lists: Vec<(&[Destination], &[TrailId])> = Vec::new();

    body.push(VERSION);
    body.extend_from_slice(&(events.len() as u32).to_le_bytes());
    body.extend_from_slice(&((PREFIX + rows) as u32).to_le_bytes());
    for event in events.iter() {
        body.extend_from_slice(event.key.as_bytes());
        body.extend_from_slice(&event.time.as_millis().to_le_bytes());
        let (seconds, nanos) = whole_seconds(event.admitted);
        body.extend_from_slice(&seconds.to_le_bytes());
        body.extend_from_slice(&nanos.to_le_bytes());
        body.push(category_code(event.category));
        body.extend_from_slice(event.account.as_str().as_bytes());
        body.extend_from_slice(&index_of(&mut regions, &event.region).to_le_bytes());
        body.extend_from_slice(
            &index_of(&mut lists, (event.destinations.as_slice(), event.trails.as_slice())).to_le_bytes(),
        );
        body.extend_from_slice(&(event.json.len() as u32).to_le_bytes());
        body.extend_from_slice(&event.json);
    }
    body.extend_from_slice(&(regions.len() as u32).to_le_bytes());
    for region in regions {
        body.push(region.as_str().len() as u8);
        body.extend_from_slice(region.as_str().as_bytes());
    }
    body.extend_from_slice(&(lists.len() as u32).to_le_bytes());
    for (stores, trails) in lists {
        body.extend_from_slice(&((stores.len() + trails.len()) as u32).to_le_bytes());
        for destination in stores {
            body.extend_from_slice(destination.store.uuid().as_bytes());
            body.push(kind_code(destination.kind));
        }
        for trail in trails {
            body.extend_from_slice(trail.uuid().as_bytes());
            body.push(TRAIL);
        }
    }

    let body = Bytes::from(body);
    let mut at = PREFIX;
    for event in events {
        let text = at + ROW..at + ROW + event.json.len();
        at = text.end;
        event.json = body.slice(text);
    }
    body
}

fn index_of<T: PartialEq + Copy>(table: &mut Vec<T>, value: T) -> u32 {
    if let Some(back) = table.iter().rev().take(LOOK_BACK).position(|known| *known == value) {
        return (table.len() - 1 - back) as u32;
    }
    table.push(value);
    (table.len() - 1) as u32
}

// Seconds rounded down and the nanoseconds above them, so that both parts have one spelling for each instant.
fn whole_seconds(instant: Timestamp) -> (i64, u32) {
    let nanos = instant.as_nanosecond();
    (nanos.div_euclid(1_000_000_000) as i64, nanos.rem_euclid(1_000_000_000) as u32)
}

/// Decodes a body. Texts of the events are slices of `body`.
pub(crate) fn decode(body: &Bytes) -> Result<Vec<Event>, CodecError> {
    let mut input = Input { body, rest: 0..body.len() };
    let [version] = input.array()?;
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    let count = input.u32()? as usize;
    let tables = input.u32()? as usize;
    if tables < PREFIX || tables > body.len() || count > (tables - PREFIX) / ROW {
        return Err(CodecError::Invalid("the offset of the tables"));
    }
    let (regions, lists) = decode_tables(Input { body, rest: tables..body.len() })?;

    input.rest.end = tables;
    let mut events = Vec::with_capacity(count);
    for _ in 0..count {
        events.push(decode_event(&mut input, &regions, &lists)?);
    }
    if input.rest.is_empty() { Ok(events) } else { Err(CodecError::Invalid("a remainder after the events")) }
}

type Tables = (Vec<Region>, Vec<List>);

/// Where the events of a list go.
#[derive(Default)]
struct List {
    stores: Vec<Destination>,
    trails: Vec<TrailId>,
}

fn decode_tables(mut input: Input<'_>) -> Result<Tables, CodecError> {
    let mut regions = Vec::new();
    for _ in 0..input.u32()? {
        let [len] = input.array()?;
        let text = std::str::from_utf8(input.take(usize::from(len))?).map_err(|_| CodecError::Invalid("a region"))?;
        regions.push(text.parse().map_err(|_| CodecError::Invalid("a region"))?);
    }
    let mut lists = Vec::new();
    for _ in 0..input.u32()? {
        let count = input.u32()? as usize;
        let rows = input.take(count.checked_mul(DESTINATION).ok_or(CodecError::Invalid("a length"))?)?;
        let mut list = List::default();
        for row in rows.chunks_exact(DESTINATION) {
            let (id, kind) = row.split_at(16);
            let id = uuid::Uuid::from_slice(id).map_err(|_| CodecError::Invalid("a store"))?;
            match kind[0] {
                TRAIL => list.trails.push(TrailId::from_uuid(id)),
                kind => list.stores.push(Destination { store: StoreId::from_uuid(id), kind: kind_of(kind)? }),
            }
        }
        lists.push(list);
    }
    if input.rest.is_empty() { Ok((regions, lists)) } else { Err(CodecError::Invalid("a remainder after the tables")) }
}

fn decode_event(input: &mut Input<'_>, regions: &[Region], lists: &[List]) -> Result<Event, CodecError> {
    let key = EventKey::from_bytes(input.array()?);
    let time = EventTime::from_millis(i64::from_le_bytes(input.array()?)).map_err(|_| CodecError::Invalid("a time"))?;
    let (seconds, nanos) = (i64::from_le_bytes(input.array()?), input.u32()?);
    if nanos >= 1_000_000_000 {
        return Err(CodecError::Invalid("an instant"));
    }
    let admitted = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let admitted = Timestamp::from_nanosecond(admitted).map_err(|_| CodecError::Invalid("an instant"))?;
    let [category] = input.array()?;
    let account = std::str::from_utf8(input.take(12)?).map_err(|_| CodecError::Invalid("an account"))?;
    let account: AccountId = account.parse().map_err(|_| CodecError::Invalid("an account"))?;
    let region = regions.get(input.u32()? as usize).ok_or(CodecError::Invalid("a region index"))?;
    let list = lists.get(input.u32()? as usize).ok_or(CodecError::Invalid("a destination index"))?;
    let len = input.u32()? as usize;
    let json = input.range(len)?;
    Ok(Event {
        key,
        time,
        admitted,
        category: category_of(category)?,
        account,
        region: region.clone(),
        destinations: list.stores.iter().copied().collect(),
        trails: list.trails.iter().copied().collect(),
        json: input.body.slice(json),
    })
}

struct Input<'a> {
    body: &'a Bytes,
    rest: Range<usize>,
}

impl<'a> Input<'a> {
    fn range(&mut self, len: usize) -> Result<Range<usize>, CodecError> {
        if len > self.rest.len() {
            return Err(CodecError::Invalid("a length"));
        }
        let start = self.rest.start;
        self.rest.start += len;
        Ok(start..start + len)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let range = self.range(len)?;
        Ok(&self.body[range])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_le_bytes)
    }
}

const fn category_code(category: Category) -> u8 {
    match category {
        Category::Management => 1,
        Category::Data => 2,
        Category::NetworkActivity => 3,
        Category::Insight => 4,
        Category::ConfigurationItem => 5,
        Category::Evidence => 6,
        Category::ActivityAuditLog => 7,
    }
}

fn category_of(code: u8) -> Result<Category, CodecError> {
    let known = Category::ALL.into_iter().find(|category| category_code(*category) == code);
    known.ok_or(CodecError::Invalid("a category"))
}

const fn kind_code(kind: StoreKind) -> u8 {
    match kind {
        StoreKind::CloudTrail => 1,
        StoreKind::Insight => 2,
        StoreKind::ConfigurationItem => 3,
        StoreKind::Evidence => 4,
        StoreKind::Activity => 5,
        StoreKind::History => 6,
    }
}

fn kind_of(code: u8) -> Result<StoreKind, CodecError> {
    StoreKind::ALL.into_iter().find(|kind| kind_code(*kind) == code).ok_or(CodecError::Invalid("a kind of store"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smallvec::SmallVec;

    use super::*;

    fn destination() -> impl Strategy<Value = Destination> {
        let kind = prop::sample::select(vec![StoreKind::CloudTrail, StoreKind::Evidence, StoreKind::History]);
        (any::<u128>(), kind)
            .prop_map(|(id, kind)| Destination { store: StoreId::from_uuid(uuid::Uuid::from_u128(id)), kind })
    }

    fn event() -> impl Strategy<Value = Event> {
        let key = any::<[u8; 16]>().prop_map(EventKey::from_bytes);
        let time = (-62_135_596_800_000i64..=253_402_207_199_999).prop_map(|ms| EventTime::from_millis(ms).unwrap());
        let admitted = (-62_135_596_800_000_000_000i128..253_402_207_199_999_999_999)
            .prop_map(|nanos| Timestamp::from_nanosecond(nanos).unwrap());
        let account = "[0-9]{12}".prop_map(|text| text.parse::<AccountId>().unwrap());
        let region = "[a-z0-9-]{1,64}".prop_map(|text| text.parse::<Region>().unwrap());
        let destinations = prop::collection::vec(destination(), 0..4).prop_map(SmallVec::from_vec);
        let trails = prop::collection::vec(any::<u128>(), 0..3).prop_map(|ids| {
            ids.into_iter().map(|id| TrailId::from_uuid(uuid::Uuid::from_u128(id))).collect::<SmallVec<_>>()
        });
        let json = prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        let category = prop::sample::select(Category::ALL.to_vec());
        (key, time, admitted, category, account, region, destinations, trails, json).prop_map(
            |(key, time, admitted, category, account, region, destinations, trails, json)| Event {
                key,
                time,
                admitted,
                category,
                account,
                region,
                destinations,
                trails,
                json,
            },
        )
    }

    proptest! {
        #[test]
        fn events_decode_to_what_was_encoded(events in prop::collection::vec(event(), 0..8)) {
            let mut held = events.clone();
            let body = encode(&mut held);
            prop_assert_eq!(&held, &events, "pointing texts at the encoding changes no event");
            prop_assert!(body.len() <= encoded_size(&events));
            prop_assert_eq!(decode(&body).unwrap(), events);
        }

        #[test]
        fn changed_bytes_decode_to_something_or_an_error(
            events in prop::collection::vec(event(), 1..4),
            at in any::<prop::sample::Index>(),
            value in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let body = encode(&mut events.clone());
            let mut changed = body.to_vec();
            changed[at.index(body.len())] = value;
            let _ = decode(&Bytes::from(changed.clone()));
            changed.truncate(cut.index(body.len()));
            let _ = decode(&Bytes::from(changed));
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&Bytes::from(bytes.clone()));
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            let _ = decode(&Bytes::from(bytes));
        }
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(decode(&Bytes::from_static(&[9, 0, 0])), Err(CodecError::Version(9)));
    }

    #[test]
    fn the_bytes_of_version_1_never_change() {
        let mut events = vec![Event {
            key: EventKey::from_bytes([7; 16]),
            time: EventTime::from_millis(1_000).unwrap(),
            admitted: Timestamp::from_nanosecond(-1).unwrap(),
            category: Category::Data,
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            destinations: SmallVec::from_slice(&[Destination {
                store: StoreId::from_uuid(uuid::Uuid::from_u128(1)),
                kind: StoreKind::Activity,
            }]),
            trails: SmallVec::new(),
            json: Bytes::from_static(b"{}"),
        }];
        let mut golden = vec![1, 1, 0, 0, 0, 72, 0, 0, 0];
        golden.extend([7; 16]);
        golden.extend([0xe8, 3, 0, 0, 0, 0, 0, 0]);
        golden.extend([0xff; 8]);
        golden.extend(999_999_999u32.to_le_bytes());
        golden.push(2);
        golden.extend(b"123456789012");
        golden.extend([0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
        golden.extend(b"{}");
        golden.extend([1, 0, 0, 0, 9]);
        golden.extend(b"us-east-1");
        golden.extend([1, 0, 0, 0, 1, 0, 0, 0]);
        golden.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 5]);
        assert_eq!(encode(&mut events)[..], golden[..]);
    }
}
