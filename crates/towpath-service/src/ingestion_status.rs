//! What happened last on each channel, as GetChannel shows it.
//!
//! Kept in memory and written to the metadata store about once a second and when the server stops: a crash can set the
//! status back by a second, never the events.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use towpath_meta::{Key, MetaError, MetaStore, MetaStoreExt, Write};
use uuid::Uuid;

/// The latest ingestion of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestionStatus {
    /// The last event that was stored: when, and its id.
    pub success: Option<(Timestamp, Uuid)>,
    /// The last event that was sent, stored or refused: when, and its id if it got one.
    pub attempt: Option<(Timestamp, Option<Uuid>)>,
    /// The code of the last attempt if it was refused.
    pub error_code: Option<String>,
}

/// The ingestion status of every channel.
pub struct IngestionStatuses {
    meta: Arc<dyn MetaStore>,
    // Held for a few lines, never across an await.
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    statuses: HashMap<Uuid, IngestionStatus>,
    changed: HashSet<Uuid>,
}

impl IngestionStatuses {
    /// Reads what was written last.
    pub async fn open(meta: Arc<dyn MetaStore>) -> Result<Self, MetaError> {
        let mut latest = Latest::default();
        for record in meta.list_all_json::<IngestionStatus>(&area()).await? {
            if let Ok(channel) = Uuid::try_parse(&record.key.last_part()) {
                latest.statuses.insert(channel, record.value);
            }
        }
        Ok(Self { meta, latest: Mutex::new(latest) })
    }

    /// The status of a channel; `None` if nothing was ever sent through it.
    pub fn get(&self, channel: Uuid) -> Option<IngestionStatus> {
        self.latest.lock().statuses.get(&channel).cloned()
    }

    /// Notes how the entries of a call ended.
    pub fn note(&self, channel: Uuid, now: Timestamp, stored: Option<Uuid>, refused: Option<&str>) {
        let mut latest = self.latest.lock();
        let status = latest.statuses.entry(channel).or_default();
        if let Some(event_id) = stored {
            status.success = Some((now, event_id));
        }
        status.attempt = Some((now, stored));
        status.error_code = refused.map(str::to_owned);
        latest.changed.insert(channel);
    }

    /// Forgets a channel that was deleted.
    pub async fn forget(&self, channel: Uuid) -> Result<(), MetaError> {
        {
            let mut latest = self.latest.lock();
            latest.statuses.remove(&channel);
            latest.changed.remove(&channel);
        }
        self.meta.commit(&[], &[Write::Delete(key(channel))]).await.map(drop)
    }

    /// Writes what changed since the last time. After a failure the changes are tried again with the next call.
    pub async fn save(&self) -> Result<(), MetaError> {
        let (changed, writes) = {
            let mut latest = self.latest.lock();
            let changed = std::mem::take(&mut latest.changed);
            let write = |channel: &Uuid| Write::json(key(*channel), latest.statuses.get(channel)?).ok();
            (changed.clone(), changed.iter().filter_map(write).collect::<Vec<_>>())
        };
        if writes.is_empty() {
            return Ok(());
        }
        let saved = self.meta.commit(&[], &writes).await;
        if saved.is_err() {
            self.latest.lock().changed.extend(changed);
        }
        saved.map(drop)
    }
}

fn area() -> Key {
    Key::new("ingestion").expect("a plain word")
}

fn key(channel: Uuid) -> Key {
    area().child(&channel.hyphenated().to_string()).expect("a UUID is short")
}

#[cfg(test)]
mod tests {
    use towpath_meta::MemoryMetaStore;

    use super::*;

    #[tokio::test]
    async fn a_saved_status_is_there_after_a_restart() {
        let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
        let (channel, event) = (Uuid::new_v4(), Uuid::new_v4());
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let statuses = IngestionStatuses::open(Arc::clone(&meta)).await.unwrap();
        statuses.note(channel, now, Some(event), None);
        statuses.note(channel, now, None, Some("InvalidData"));
        statuses.save().await.unwrap();

        let status = IngestionStatuses::open(meta).await.unwrap().get(channel).unwrap();
        assert_eq!(status.success, Some((now, event)));
        assert_eq!(status.attempt, Some((now, None)));
        assert_eq!(status.error_code.as_deref(), Some("InvalidData"));
    }
}
