//! The queries as the metadata store keeps them, for as long as they are kept.
//!
//! A query is written twice: when it is accepted and when it has ended. That it runs is known to the process alone,
//! because a restart ends a running query just as it ends a waiting one.

mod keys;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_meta::{Expect, Key, MetaError, MetaStore, MetaStoreExt, Write};
use towpath_model::StoreId;

use self::keys::{
    age_key, age_number, created_of, id_key, key, newest_first, number_key, number_of, open_key, query_of, store_key,
    store_prefix, timestamp,
};
use crate::{QueryId, QueryRecord, QueryStatus};

/// Entries of a store's index that one call of [`Ledger::list`] looks at, at most: bounds the work of a rare filter.
const MAX_LOOKED_AT: usize = 20_000;
const INDEX_PAGE: usize = 1000;

/// Keeps the queries.
#[derive(Clone)]
pub(crate) struct Ledger {
    meta: Arc<dyn MetaStore>,
}

/// What the list of a store's queries shows of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedQuery {
    /// The query.
    pub id: QueryId,
    /// Its status.
    pub status: QueryStatus,
    /// When it was started.
    pub created: Timestamp,
}

/// A change of what is kept.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A query was accepted.
    Accepted(Arc<QueryRecord>),
    /// A query has ended.
    Ended(Arc<QueryRecord>),
}

impl Entry {
    fn record(&self) -> &QueryRecord {
        match self {
            Self::Accepted(record) | Self::Ended(record) => record,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct IndexEntry {
    status: QueryStatus,
}

/// Which queries of a store to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListFilter {
    /// Created at or after, in milliseconds since 1970.
    pub(crate) from: Option<i64>,
    /// Created at or before.
    pub(crate) to: Option<i64>,
    pub(crate) status: Option<QueryStatus>,
}

/// Where in a store's list a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListPosition {
    created: i64,
    id: QueryId,
}

impl ListPosition {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [&self.created.to_be_bytes()[..], self.id.as_bytes()].concat()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (created, id) = bytes.split_first_chunk()?;
        Some(Self { created: i64::from_be_bytes(*created), id: QueryId::from_bytes(id.try_into().ok()?) })
    }
}

impl Ledger {
    pub(crate) fn new(meta: Arc<dyn MetaStore>) -> Self {
        Self { meta }
    }

    /// Makes changes, in their order, in one commit: all of them or none.
    ///
    /// The end of a query that was removed meanwhile changes nothing: it stays removed. That is found out when the
    /// change is the only one; among others it fails them all.
    pub(crate) async fn write(&self, entries: &[Entry]) -> Result<(), MetaError> {
        let mut expects = BTreeMap::new();
        let mut writes = BTreeMap::new();
        for entry in entries {
            let record = entry.record();
            let id = id_key(record.id);
            match entry {
                Entry::Accepted(_) => {
                    expects.insert(id.clone(), Expect::Absent(id));
                    put(&mut writes, open_key(record.id), Bytes::new());
                    put(&mut writes, age_key(record.created, record.id), Bytes::new());
                }
                Entry::Ended(_) => {
                    // After the change that accepts it the record exists.
                    expects.entry(id.clone()).or_insert(Expect::Exists(id));
                    let open = open_key(record.id);
                    writes.insert(open.clone(), Write::Delete(open));
                }
            }
            for write in self.record_writes(record)? {
                writes.insert(write.key().clone(), write);
            }
        }
        let expects: Vec<_> = expects.into_values().collect();
        let writes: Vec<_> = writes.into_values().collect();
        match self.meta.commit(&expects, &writes).await {
            Err(error) if error.is_conflict() && matches!(entries, [Entry::Ended(_)]) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// The record of a query.
    pub(crate) async fn get(&self, id: QueryId) -> Result<Option<QueryRecord>, MetaError> {
        Ok(self.meta.get_json(&id_key(id)).await?.map(|record| record.value))
    }

    /// Queries that were queued or running when the process ended.
    pub(crate) async fn open_queries(&self) -> Result<Vec<QueryRecord>, MetaError> {
        let mut open = Vec::new();
        for entry in self.meta.list_all(&key("query/open")).await? {
            match self.get(query_of(&entry.key)?).await? {
                Some(record) => open.push(record),
                None => return Err(MetaError::Damaged(format!("{} has no record", entry.key))),
            }
        }
        Ok(open)
    }

    /// One page of the queries of a store, newest first, and where the next begins if there may be one.
    ///
    /// `status_now` tells the status of queries that have not ended. With a filter that few queries pass, a page may
    /// be shorter than `limit` though another follows.
    pub(crate) async fn list(
        &self,
        store: StoreId,
        filter: &ListFilter,
        after: Option<ListPosition>,
        limit: usize,
        status_now: impl Fn(QueryId) -> Option<QueryStatus> + Send,
    ) -> Result<(Vec<ListedQuery>, Option<ListPosition>), MetaError> {
        let prefix = store_prefix(store);
        let mut listed = Vec::new();
        let mut looked_at = 0;
        let mut last = match (after, filter.to) {
            (Some(position), _) => Some(store_key(store, position.created, position.id)),
            (None, Some(to)) => Some(number_key(&prefix, newest_first(to))),
            (None, None) => None,
        };
        loop {
            let page = self.meta.list_json::<IndexEntry>(&prefix, last.as_ref(), INDEX_PAGE).await?;
            let whole = page.len() == INDEX_PAGE;
            for entry in page {
                let (created, id) = created_of(&entry.key)?;
                if filter.from.is_some_and(|from| created < from) {
                    return Ok((listed, None));
                }
                let status = status_now(id).unwrap_or(entry.value.status);
                if filter.status.is_none_or(|wanted| wanted == status) {
                    let created_at = timestamp(created)?;
                    if listed.len() == limit {
                        // One more exists: the page ends with the one before.
                        let end: &ListedQuery = listed.last().expect("limit is at least one");
                        let position = ListPosition { created: end.created.as_millisecond(), id: end.id };
                        return Ok((listed, Some(position)));
                    }
                    listed.push(ListedQuery { id, status, created: created_at });
                }
                looked_at += 1;
                if looked_at >= MAX_LOOKED_AT {
                    return Ok((listed, Some(ListPosition { created, id })));
                }
                last = Some(entry.key);
            }
            if !whole {
                return Ok((listed, None));
            }
        }
    }

    /// Queries created before `limit` that have ended, oldest first; at most `count`.
    pub(crate) async fn older_than(&self, limit: Timestamp, count: usize) -> Result<Vec<QueryRecord>, MetaError> {
        let mut old = Vec::new();
        for entry in self.meta.list(&key("query/age"), None, count).await? {
            let created = number_of(&entry.key)?;
            if created >= age_number(limit) {
                break;
            }
            match self.get(query_of(&entry.key)?).await? {
                Some(record) => old.push(record),
                None => return Err(MetaError::Damaged(format!("{} has no record", entry.key))),
            }
        }
        Ok(old)
    }

    /// Forgets a query.
    pub(crate) async fn remove(&self, record: &QueryRecord) -> Result<(), MetaError> {
        let mut writes = vec![
            Write::Delete(id_key(record.id)),
            Write::Delete(open_key(record.id)),
            Write::Delete(age_key(record.created, record.id)),
        ];
        let created = record.created.as_millisecond();
        writes.extend(record.stores.iter().map(|store| Write::Delete(store_key(*store, created, record.id))));
        self.meta.commit(&[], &writes).await.map(drop)
    }

    fn record_writes(&self, record: &QueryRecord) -> Result<Vec<Write>, MetaError> {
        let mut writes = vec![Write::json(id_key(record.id), record)?];
        let created = record.created.as_millisecond();
        for store in &record.stores {
            writes.push(Write::json(store_key(*store, created, record.id), &IndexEntry { status: record.status })?);
        }
        Ok(writes)
    }
}

fn put(writes: &mut BTreeMap<Key, Write>, key: Key, value: Bytes) {
    writes.insert(key.clone(), Write::Put(key, value));
}

#[cfg(test)]
pub(crate) mod tests {
    use towpath_meta::MemoryMetaStore;

    use super::*;
    use crate::{QueryStatistics, Scope};

    pub(crate) fn record(store: StoreId, created: i64, status: QueryStatus) -> QueryRecord {
        QueryRecord {
            id: QueryId::random(),
            scope: Scope { account: "000000000000".parse().unwrap(), region: "eu-central-1".parse().unwrap() },
            stores: vec![store],
            statement: "SELECT 1".into(),
            status,
            error: None,
            created: Timestamp::from_millisecond(created).unwrap(),
            columns: vec!["_col0".into()],
            statistics: QueryStatistics::default(),
        }
    }

    async fn add(ledger: &Ledger, record: &QueryRecord) {
        ledger.write(&[Entry::Accepted(Arc::new(record.clone()))]).await.unwrap();
    }

    async fn close(ledger: &Ledger, record: &QueryRecord) {
        ledger.write(&[Entry::Ended(Arc::new(record.clone()))]).await.unwrap();
    }

    fn ledger() -> Ledger {
        Ledger::new(Arc::new(MemoryMetaStore::new()))
    }

    async fn pages(ledger: &Ledger, store: StoreId, filter: ListFilter, limit: usize) -> Vec<Vec<i64>> {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let (page, next) = ledger.list(store, &filter, after, limit, |_| None).await.unwrap();
            pages.push(page.iter().map(|query| query.created.as_millisecond()).collect());
            if next.is_none() {
                return pages;
            }
            after = next.map(|position| ListPosition::from_bytes(&position.to_bytes()).unwrap());
        }
    }

    #[tokio::test]
    async fn queries_of_a_store_are_listed_newest_first_in_pages() {
        let (ledger, store) = (ledger(), StoreId::random());
        for created in [5, 1, 4, 2, 3] {
            add(&ledger, &record(store, created, QueryStatus::Queued)).await;
        }
        add(&ledger, &record(StoreId::random(), 9, QueryStatus::Queued)).await;

        assert_eq!(pages(&ledger, store, ListFilter::default(), 2).await, [vec![5, 4], vec![3, 2], vec![1]]);
        assert_eq!(pages(&ledger, store, ListFilter::default(), 5).await, [[5, 4, 3, 2, 1]]);
        let range = ListFilter { from: Some(2), to: Some(4), status: None };
        assert_eq!(pages(&ledger, store, range, 2).await, [vec![4, 3], vec![2]]);
    }

    #[tokio::test]
    async fn a_closed_query_is_listed_with_its_last_status() {
        let (ledger, store) = (ledger(), StoreId::random());
        let mut query = record(store, 1, QueryStatus::Queued);
        add(&ledger, &query).await;
        assert_eq!(ledger.open_queries().await.unwrap(), [query.clone()]);

        query.status = QueryStatus::Finished;
        close(&ledger, &query).await;

        assert!(ledger.open_queries().await.unwrap().is_empty());
        let filter = |status| ListFilter { status: Some(status), ..ListFilter::default() };
        assert_eq!(pages(&ledger, store, filter(QueryStatus::Finished), 9).await, [[1]]);
        assert_eq!(pages(&ledger, store, filter(QueryStatus::Queued), 9).await, [[0i64; 0]]);
    }

    #[tokio::test]
    async fn a_removed_query_leaves_nothing_and_does_not_come_back() {
        let meta = Arc::new(MemoryMetaStore::new());
        let ledger = Ledger::new(meta.clone());
        let query = record(StoreId::random(), 1, QueryStatus::Queued);
        add(&ledger, &query).await;
        ledger.remove(&query).await.unwrap();
        close(&ledger, &query).await;
        assert!(meta.list_all(&key("query")).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn old_queries_are_found_oldest_first() {
        let (ledger, store) = (ledger(), StoreId::random());
        for created in [30, -10, 20] {
            add(&ledger, &record(store, created, QueryStatus::Queued)).await;
        }
        let old = ledger.older_than(Timestamp::from_millisecond(25).unwrap(), 10).await.unwrap();
        assert_eq!(old.iter().map(|query| query.created.as_millisecond()).collect::<Vec<_>>(), [-10, 20]);
    }
}
