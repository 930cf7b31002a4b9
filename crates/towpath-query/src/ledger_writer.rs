//! What goes into the ledger, many changes in one commit.
//!
//! A commit costs an fsync, however little it writes. A query that was accepted is written at once, since its caller
//! waits for that; the end of a query, for which nobody waits, goes along with the next query or after a moment. While
//! a commit runs the next one gathers, so commits grow with the load.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use towpath_meta::MetaError;

use crate::QueryRecord;
use crate::ledger::{Entry, Ledger};

/// How long the end of a query may wait for company.
const LINGER: Duration = Duration::from_millis(50);

/// Most changes in one commit.
const MOST: usize = 256;

/// Hands changes to the task that writes them. Dropping it lets the task write what it has and end.
pub(crate) struct LedgerWriter {
    jobs: mpsc::UnboundedSender<Job>,
}

/// A change, or a question, and who waits for it.
enum Job {
    Write(Entry, oneshot::Sender<Result<(), MetaError>>),
    Flush(oneshot::Sender<()>),
}

impl Job {
    /// False when it may wait for company.
    fn is_urgent(&self) -> bool {
        !matches!(self, Self::Write(Entry::Ended(_), _))
    }
}

impl LedgerWriter {
    /// Starts the task on the runtime of the caller.
    pub(crate) fn start(ledger: Ledger) -> Self {
        // Each live query has at most two changes here, and their number is bounded.
        let (jobs, queue) = mpsc::unbounded_channel();
        tokio::spawn(write_in_turn(ledger, queue));
        Self { jobs }
    }

    /// Keeps a query that was accepted. What is handed over first is written first.
    pub(crate) fn add(&self, record: Arc<QueryRecord>) -> impl Future<Output = Result<(), MetaError>> + use<> {
        self.hand_over(Entry::Accepted(record))
    }

    /// Keeps how a query ended.
    pub(crate) fn close(&self, record: Arc<QueryRecord>) -> impl Future<Output = Result<(), MetaError>> + use<> {
        self.hand_over(Entry::Ended(record))
    }

    /// Returns when what was handed over before is written, or cannot be.
    pub(crate) async fn flush(&self) {
        let (told, done) = oneshot::channel();
        let _ = self.jobs.send(Job::Flush(told));
        let _ = done.await;
    }

    fn hand_over(&self, entry: Entry) -> impl Future<Output = Result<(), MetaError>> + use<> {
        let (told, outcome) = oneshot::channel();
        let _ = self.jobs.send(Job::Write(entry, told));
        // Without an answer the task is gone, and with it the process.
        async move { outcome.await.unwrap_or(Err(MetaError::Stopped)) }
    }
}

async fn write_in_turn(ledger: Ledger, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let until = Instant::now() + LINGER;
        let mut group = vec![first];
        while group.len() < MOST {
            match jobs.try_recv() {
                Ok(job) => group.push(job),
                Err(_) if group.iter().any(Job::is_urgent) => break,
                Err(_) => match timeout_at(until, jobs.recv()).await {
                    Ok(Some(job)) => group.push(job),
                    Ok(None) | Err(_) => break,
                },
            }
        }
        write(&ledger, group).await;
    }
}

async fn write(ledger: &Ledger, group: Vec<Job>) {
    let (mut entries, mut waiting, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
    for job in group {
        match job {
            Job::Write(entry, told) => {
                entries.push(entry);
                waiting.push(told);
            }
            Job::Flush(told) => flushed.push(told),
        }
    }
    if !entries.is_empty() {
        match ledger.write(&entries).await {
            Ok(()) => waiting.into_iter().for_each(|told| drop(told.send(Ok(())))),
            // Nothing was written, because of one of them or because of none: each on its own, each its own answer.
            Err(_) => {
                for (entry, told) in entries.iter().zip(waiting) {
                    let _ = told.send(ledger.write(std::slice::from_ref(entry)).await);
                }
            }
        }
    }
    for told in flushed {
        let _ = told.send(());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use towpath_meta::{FailingMetaStore, MemoryMetaStore};
    use towpath_model::StoreId;

    use super::*;
    use crate::ledger::tests::record;
    use crate::{QueryId, QueryStatus};

    type Meta = Arc<FailingMetaStore<MemoryMetaStore>>;

    fn writer() -> (LedgerWriter, Ledger, Meta) {
        let meta = Arc::new(FailingMetaStore::new(MemoryMetaStore::new()));
        let ledger = Ledger::new(meta.clone());
        (LedgerWriter::start(ledger.clone()), ledger, meta)
    }

    fn new_record() -> Arc<QueryRecord> {
        Arc::new(record(StoreId::random(), 1, QueryStatus::Queued))
    }

    fn ended(record: &QueryRecord) -> Arc<QueryRecord> {
        Arc::new(QueryRecord { status: QueryStatus::Finished, ..record.clone() })
    }

    async fn status(ledger: &Ledger, id: QueryId) -> Option<QueryStatus> {
        ledger.get(id).await.unwrap().map(|record| record.status)
    }

    #[tokio::test]
    async fn changes_that_wait_together_are_one_commit_and_the_last_of_a_query_counts() {
        let (writer, ledger, meta) = writer();
        let records: Vec<_> = (0..20).map(|_| new_record()).collect();
        let before = meta.calls();
        let changes: Vec<_> = records
            .iter()
            .flat_map(|record| [writer.add(record.clone()).boxed(), writer.close(ended(record)).boxed()])
            .collect();
        for change in changes {
            change.await.unwrap();
        }
        assert_eq!(meta.calls() - before, 1);
        for record in &records {
            assert_eq!(status(&ledger, record.id).await, Some(QueryStatus::Finished));
        }
        assert!(ledger.open_queries().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_end_of_a_query_goes_along_with_the_next_query_or_after_a_moment() {
        let (writer, ledger, meta) = writer();
        let [one, two] = [new_record(), new_record()];
        writer.add(one.clone()).await.unwrap();
        let before = meta.calls();
        let closed = writer.close(ended(&one));
        writer.add(two.clone()).await.unwrap();
        closed.await.unwrap();
        assert_eq!(meta.calls() - before, 1);

        let asked = Instant::now();
        writer.close(ended(&two)).await.unwrap();
        assert!(asked.elapsed() >= LINGER);
        assert_eq!(status(&ledger, two.id).await, Some(QueryStatus::Finished));
    }

    #[tokio::test]
    async fn a_flush_waits_for_no_company() {
        let (writer, ledger, _) = writer();
        let one = new_record();
        writer.add(one.clone()).await.unwrap();
        let _closed = writer.close(ended(&one));
        writer.flush().await;
        assert_eq!(status(&ledger, one.id).await, Some(QueryStatus::Finished));
    }

    #[tokio::test]
    async fn a_change_that_cannot_be_made_holds_back_no_other() {
        let (writer, ledger, _) = writer();
        let [one, two] = [new_record(), new_record()];
        ledger.write(&[Entry::Accepted(one.clone())]).await.unwrap();
        let (again, other) = (writer.add(one.clone()), writer.add(two.clone()));
        assert!(again.await.unwrap_err().is_conflict());
        other.await.unwrap();
        assert!(status(&ledger, two.id).await.is_some());
    }

    #[tokio::test]
    async fn a_failed_commit_is_answered_to_all_who_were_in_it() {
        let (writer, ledger, meta) = writer();
        meta.fail_from(meta.calls());
        let [one, two] = [new_record(), new_record()];
        let (first, second) = (writer.add(one.clone()), writer.add(two));
        assert!(first.await.is_err() && second.await.is_err());
        meta.heal();
        writer.add(one.clone()).await.unwrap();
        assert_eq!(status(&ledger, one.id).await, Some(QueryStatus::Queued));
    }
}
