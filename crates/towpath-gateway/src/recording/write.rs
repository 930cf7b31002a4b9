//! Writing: batches of records into the log, and into the spill while the log does not take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, mpsc};
use towpath_capture::CapturedRecord;

use super::settings::RecordingSettings;
use super::work::{Group, Waiting};
use crate::sink::{RecordSink, SinkError};

/// Takes the records of finished calls and sees that they become durable.
pub(super) struct Writer {
    place: Arc<Place>,
    batch_records: usize,
    batch_bytes: usize,
    appends: Arc<Semaphore>,
}

/// Where batches go.
struct Place {
    sink: Arc<dyn RecordSink>,
    settings: RecordingSettings,
    stuck: Arc<AtomicBool>,
}

/// Records of several calls, and who waits for which of them.
#[derive(Default)]
struct Batch {
    records: Vec<CapturedRecord>,
    waiting: Vec<(usize, Waiting)>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, group: Group) {
        self.bytes += group.records.iter().map(|record| record.json.len()).sum::<usize>();
        self.waiting.push((group.records.len(), group.waiting));
        self.records.extend(group.records);
    }

    fn durable(self) {
        self.waiting.into_iter().for_each(|(_, waiting)| waiting.durable());
    }

    /// Takes out the groups of which a record was refused, and keeps the others.
    fn without(self, refused: &[(usize, String)]) -> Self {
        let mut rest = Self::default();
        let mut records = self.records.into_iter();
        let mut first = 0;
        for (count, waiting) in self.waiting {
            let own: Vec<_> = records.by_ref().take(count).collect();
            match refused.iter().find(|(index, _)| (first..first + count).contains(index)) {
                Some((_, why)) => {
                    tracing::error!(records = count, %why, "the log refuses the records of a call");
                    waiting.refused();
                }
                None => rest.add(Group { records: own, waiting }),
            }
            first += count;
        }
        rest
    }
}

impl Writer {
    pub(super) fn new(sink: Arc<dyn RecordSink>, settings: &RecordingSettings, stuck: Arc<AtomicBool>) -> Self {
        Self {
            batch_records: settings.batch_records.max(1),
            batch_bytes: settings.batch_bytes,
            appends: Arc::new(Semaphore::new(settings.appends.max(1))),
            place: Arc::new(Place { sink, settings: settings.clone(), stuck }),
        }
    }

    /// Runs until nobody can send groups any more.
    pub(super) async fn run(self, mut groups: mpsc::UnboundedReceiver<Group>) {
        let mut spare = None;
        loop {
            // No batch is gathered before it can go: what waits meanwhile goes together.
            let Ok(permit) = self.appends.clone().acquire_owned().await else { return };
            let first = match spare.take() {
                Some(group) => group,
                None => match groups.recv().await {
                    Some(group) => group,
                    None => return,
                },
            };
            let mut batch = Batch::default();
            batch.add(first);
            while batch.records.len() < self.batch_records {
                let Ok(group) = groups.try_recv() else { break };
                let more: usize = group.records.iter().map(|record| record.json.len()).sum();
                if batch.bytes + more > self.batch_bytes || batch.records.len() + group.records.len() > self.batch_records {
                    spare = Some(group);
                    break;
                }
                batch.add(group);
            }
            let place = self.place.clone();
            tokio::spawn(async move {
                place.make_durable(batch).await;
                drop(permit);
            });
        }
    }
}

impl Place {
    /// Returns when every record of the batch is durable or refused for good.
    async fn make_durable(&self, mut batch: Batch) {
        let mut pause = self.settings.first_pause;
        while !batch.records.is_empty() {
            match self.sink.append(&batch.records).await {
                Ok(()) => {
                    self.stuck.store(false, Ordering::Relaxed);
                    batch.durable();
                    return;
                }
                Err(SinkError::Never(refused)) => {
                    batch = batch.without(&refused);
                    continue;
                }
                Err(SinkError::Later(why)) => tracing::warn!(records = batch.records.len(), %why, "the log does not take records"),
            }
            self.stuck.store(true, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.settings.longest_pause);
        }
    }
}
