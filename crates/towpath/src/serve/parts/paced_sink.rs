//! Imports go no faster than the lake follows.
//!
//! The log takes events faster than a busy lake makes files of them, and keeps what the lake has not got yet; and the lake
//! makes small files faster than it joins them. An import has no end in sight and nobody waits for its acknowledgements,
//! so it is the one that waits.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use towpath_import::EventSink;
use towpath_lake::Lake;
use towpath_log::{AppendError, Log};
use towpath_model::{Event, Position};

/// How many events the lake may be behind before an import waits: about as many as the log has in memory, so that the lake
/// need not read them from the disk.
const MOST_BEHIND: u64 = 20_000;

/// How long one append waits before it says that the log is busy, so that its import can be stopped meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);

/// The log of this process, for imports.
pub struct PacedSink {
    log: Log,
    lake: Lake,
    most_behind: u64,
    // Whether the lake was crowded, and when it was asked.
    crowded: Mutex<(bool, Instant)>,
}

impl PacedSink {
    /// Appends to `log` as long as `lake` follows.
    pub fn new(log: Log, lake: Lake) -> Self {
        Self { log, lake, most_behind: MOST_BEHIND, crowded: Mutex::new((false, Instant::now())) }
    }

    fn is_crowded(&self) -> bool {
        let mut known = self.crowded.lock();
        if known.1.elapsed() >= PATIENCE {
            *known = (self.lake.is_crowded(), Instant::now());
        }
        known.0
    }
}

#[async_trait]
impl EventSink for PacedSink {
    async fn append(&self, events: Vec<Event>) -> Result<(), AppendError> {
        let committed = self.log.committed();
        if self.lake.lag(committed) > self.most_behind {
            // Half of the way: then the lake has enough left to do until this import's next events are there.
            let enough = Position::new(committed.as_u64().saturating_sub(self.most_behind / 2));
            let caught_up = tokio::time::timeout(PATIENCE, self.lake.wait_applied(enough)).await;
            if !matches!(caught_up, Ok(Ok(()))) {
                return Err(AppendError::Busy);
            }
        }
        if self.is_crowded() {
            tokio::time::sleep(PATIENCE).await;
            return Err(AppendError::Busy);
        }
        EventSink::append(&self.log, events).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use tokio_util::sync::CancellationToken;
    use towpath_lake::Objects;
    use towpath_log::FileLogStorage;
    use towpath_meta::MemoryMetaStore;
    use towpath_model::{AccountId, Category, EventTime, Region};
    use uuid::Uuid;

    use super::*;

    fn events(count: usize) -> Vec<Event> {
        let event = || Event {
            key: Uuid::new_v4().into(),
            time: EventTime::from(Timestamp::UNIX_EPOCH),
            admitted: Timestamp::UNIX_EPOCH,
            category: Category::Management,
            account: "111122223333".parse::<AccountId>().unwrap(),
            region: "eu-central-1".parse::<Region>().unwrap(),
            destinations: Default::default(),
            trails: Default::default(),
            json: "{}".into(),
        };
        (0..count).map(|_| event()).collect()
    }

    #[tokio::test]
    async fn an_import_waits_for_a_lake_that_is_behind_and_goes_on_once_it_has_caught_up() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::builder(Arc::new(FileLogStorage::open(folder.path().join("log")).unwrap())).open().unwrap();
        let objects = Objects::local(folder.path().join("lake")).unwrap();
        let lake = Lake::builder(Arc::new(MemoryMetaStore::new()), objects).open().await.unwrap();
        let sink = PacedSink { most_behind: 10, ..PacedSink::new(log.clone(), lake.clone()) };

        sink.append(events(10)).await.unwrap();
        sink.append(events(1)).await.unwrap();
        assert!(matches!(sink.append(events(1)).await, Err(AppendError::Busy)));

        let stop = CancellationToken::new();
        let following = tokio::spawn({
            let (lake, log, stop) = (lake.clone(), log.clone(), stop.clone());
            async move { lake.run(log, stop).await }
        });
        lake.wait_applied(log.committed()).await.unwrap();
        sink.append(events(1)).await.unwrap();
        stop.cancel();
        following.await.unwrap().unwrap();
    }
}
