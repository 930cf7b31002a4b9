//! What became of a trail's deliveries; the facts behind GetTrailStatus.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The latest outcomes of a trail's deliveries, by kind. Kept by the delivery, shown by GetTrailStatus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrailStatus {
    /// Log files put into the bucket.
    pub delivery: DeliveryStatus,
    /// Digests put into the bucket.
    pub digest: DeliveryStatus,
    /// Messages to the topic.
    pub notification: DeliveryStatus,
    /// Events to the log group.
    pub cloud_watch_logs: DeliveryStatus,
    /// Files that were given up after the longest time of trying.
    pub dropped_files: u64,
    /// Events in those files.
    pub dropped_events: u64,
}

/// The latest outcomes of one kind of delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryStatus {
    /// When one last succeeded.
    pub succeeded: Option<Timestamp>,
    /// When one was last tried.
    pub attempted: Option<Timestamp>,
    /// The code of the latest failure, such as `AccessDenied` or `NoSuchBucket`; none after a success, and none for a
    /// failure without an answer, such as a timeout.
    pub error: Option<String>,
    /// True while the latest attempt failed.
    pub failing: bool,
}

impl DeliveryStatus {
    /// Notes a success.
    pub fn success(&mut self, at: Timestamp) {
        *self = Self { succeeded: Some(at), attempted: Some(at), error: None, failing: false };
    }

    /// Notes a failure, with the code that the other side answered if it did.
    pub fn failure(&mut self, at: Timestamp, code: Option<&str>) {
        self.attempted = Some(at);
        self.error = code.map(str::to_owned);
        self.failing = true;
    }
}
