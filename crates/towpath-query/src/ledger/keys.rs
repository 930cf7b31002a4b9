//! Under which keys the queries are kept.
//!
//! ```text
//! query/id/<query>                          the record
//! query/store/<store>/<age>/<query>         one for each store it reads, newest first: created, status
//! query/open/<query>                        while it is queued or running: what a restart must close
//! query/age/<created>/<query>               oldest first: what the sweeper removes
//! ```

use jiff::Timestamp;
use towpath_meta::{Key, MetaError};
use towpath_model::StoreId;

use crate::QueryId;

/// Turns milliseconds since 1970 into a number that falls as time goes on.
pub(super) fn newest_first(millis: i64) -> u64 {
    u64::MAX - ascending(millis)
}

/// Keeps the order of times, those before 1970 included.
fn ascending(millis: i64) -> u64 {
    (millis as u64) ^ (1 << 63)
}

pub(super) fn age_number(instant: Timestamp) -> u64 {
    ascending(instant.as_millisecond())
}

pub(super) fn key(text: &str) -> Key {
    Key::new(text).expect("keys of queries are plain text")
}

pub(super) fn number_key(prefix: &Key, number: u64) -> Key {
    prefix.child_number(number).expect("keys of queries are short")
}

pub(super) fn id_key(id: QueryId) -> Key {
    key(&format!("query/id/{id}"))
}

pub(super) fn open_key(id: QueryId) -> Key {
    key(&format!("query/open/{id}"))
}

pub(super) fn age_key(created: Timestamp, id: QueryId) -> Key {
    key(&format!("query/age/{:020}/{id}", age_number(created)))
}

pub(super) fn store_prefix(store: StoreId) -> Key {
    key(&format!("query/store/{store}"))
}

pub(super) fn store_key(store: StoreId, created: i64, id: QueryId) -> Key {
    key(&format!("query/store/{store}/{:020}/{id}", newest_first(created)))
}

pub(super) fn query_of(key: &Key) -> Result<QueryId, MetaError> {
    key.last_part().parse().map_err(|_| MetaError::Damaged(format!("{key} names no query")))
}

/// The number in the last part but one.
pub(super) fn number_of(key: &Key) -> Result<u64, MetaError> {
    let number = key.parts().rev().nth(1).and_then(|part| part.parse().ok());
    number.ok_or_else(|| MetaError::Damaged(format!("{key} has no time")))
}

pub(super) fn created_of(key: &Key) -> Result<(i64, QueryId), MetaError> {
    let ascending = u64::MAX - number_of(key)?;
    Ok(((ascending ^ (1 << 63)) as i64, query_of(key)?))
}

pub(super) fn timestamp(millis: i64) -> Result<Timestamp, MetaError> {
    Timestamp::from_millisecond(millis).map_err(|_| MetaError::Damaged(format!("{millis} is no time of a query")))
}
