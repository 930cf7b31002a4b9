//! What an operator may tune about the delivery of trails.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use towpath_model::Region;

/// Tunes the delivery. Memory is about `buffer_bytes`, plus one log file per upload that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrailSettings {
    /// How often log files are delivered, in seconds. Windows end at multiples of it.
    pub cadence_seconds: u64,
    /// Text of a log file before compression, at most; a fuller file is closed and another begun.
    pub file_bytes: u64,
    /// Text of all files of a window, and text read from the log for it, which the log keeps until the window ends; a
    /// window with more of either ends early.
    pub window_bytes: u64,
    /// Files of a window; one with more ends early.
    pub window_files: usize,
    /// Text that waits to be compressed.
    pub buffer_bytes: usize,
    /// gzip level, 1 (fast) to 9 (small). Measured on real records of 1.1 KB: level 1 makes them 6.1 times smaller for
    /// 3.2 microseconds of processor time an event, level 2 7.9 times for 3.8, level 6 8.8 times for 5.0.
    pub gzip_level: u32,
    /// Threads that compress.
    pub workers: usize,
    /// How long after five minutes are over their data events are still counted, in seconds, before the counts are
    /// delivered as aggregated events.
    pub aggregation_seconds: u64,
    /// Memory of counts that are not delivered yet; more are delivered early.
    pub aggregate_bytes: usize,
    /// How often digests are made, in seconds.
    pub digest_seconds: u64,
    /// How long after StopLogging the calls that were under way may still reach the log, in milliseconds.
    pub stop_grace_ms: u64,
    /// Objects of one trail that are put at the same time.
    pub uploads: usize,
    /// A put that takes longer than this many seconds is tried again.
    pub put_seconds: u64,
    /// The pause after the first failure, in milliseconds; doubles up to `longest_pause_seconds`, with jitter.
    pub first_pause_ms: u64,
    /// The longest pause between attempts, in seconds.
    pub longest_pause_seconds: u64,
    /// Days after which a file that cannot be delivered is given up.
    pub give_up_days: u64,
    /// Hours after which a message that cannot be sent becomes a dead letter.
    pub notice_hours: u64,
    /// Days that a signing key is valid.
    pub key_validity_days: u64,
    /// Days before the end of a key's validity when the next key takes over.
    pub key_overlap_days: u64,
    /// Regions of which a multi-region trail writes digests before it has delivered anything from there. Digests of other
    /// regions begin with their first log file.
    pub regions: Vec<Region>,
}

/// A setting has a value that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("trail setting {field} is {value}; it must be {must}")]
pub struct SettingsError {
    /// The field of [`TrailSettings`].
    pub field: &'static str,
    /// The value it has.
    pub value: u64,
    /// What would work.
    pub must: &'static str,
}

impl Default for TrailSettings {
    fn default() -> Self {
        Self {
            cadence_seconds: 300,
            file_bytes: 50_000_000,
            window_bytes: 1 << 30,
            window_files: 20_000,
            buffer_bytes: 32 << 20,
            gzip_level: 2,
            workers: 2,
            aggregation_seconds: 60,
            aggregate_bytes: 16 << 20,
            digest_seconds: 3_600,
            stop_grace_ms: 5_000,
            uploads: 4,
            put_seconds: 60,
            first_pause_ms: 500,
            longest_pause_seconds: 300,
            give_up_days: 30,
            notice_hours: 24,
            key_validity_days: 30,
            key_overlap_days: 7,
            regions: Vec::new(),
        }
    }
}

impl TrailSettings {
    /// Refuses values that cannot work.
    pub fn check(&self) -> Result<(), SettingsError> {
        let rules: [(&'static str, u64, bool, &'static str); 10] = [
            ("cadence_seconds", self.cadence_seconds, (1..=86_400).contains(&self.cadence_seconds), "1 to 86400"),
            ("digest_seconds", self.digest_seconds, (1..=86_400).contains(&self.digest_seconds), "1 to 86400"),
            ("file_bytes", self.file_bytes, (1_024..=2_000_000_000).contains(&self.file_bytes), "1024 to 2000000000"),
            ("gzip_level", self.gzip_level.into(), (1..=9).contains(&self.gzip_level), "1 to 9"),
            ("workers", self.workers as u64, (1..=64).contains(&self.workers), "1 to 64"),
            ("uploads", self.uploads as u64, (1..=64).contains(&self.uploads), "1 to 64"),
            ("window_files", self.window_files as u64, (1..=50_000).contains(&self.window_files), "1 to 50000"),
            ("put_seconds", self.put_seconds, self.put_seconds >= 1, "at least 1"),
            ("give_up_days", self.give_up_days, (1..=3_650).contains(&self.give_up_days), "1 to 3650"),
            (
                "key_overlap_days",
                self.key_overlap_days,
                self.key_overlap_days < self.key_validity_days && self.key_validity_days <= 3_650,
                "less than key_validity_days, which is at most 3650",
            ),
        ];
        match rules.into_iter().find(|(_, _, good, _)| !good) {
            Some((field, value, _, must)) => Err(SettingsError { field, value, must }),
            None => Ok(()),
        }
    }

    pub(crate) fn digest_every(&self) -> Duration {
        Duration::from_secs(self.digest_seconds)
    }

    /// The pause after so many failures in a row: doubling, at most the longest, and by chance up to a quarter shorter.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let doubled = self.first_pause_ms.max(1).saturating_mul(1 << failures.saturating_sub(1).min(24));
        let bounded = doubled.min(self.longest_pause_seconds.saturating_mul(1_000)).max(1);
        Duration::from_millis(bounded - rand::random_range(0..=bounded / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_with_the_name_of_the_field() {
        assert_eq!(TrailSettings::default().check(), Ok(()));
        let wrong = TrailSettings { cadence_seconds: 0, ..TrailSettings::default() };
        assert_eq!(wrong.check().unwrap_err().field, "cadence_seconds");
        let wrong = TrailSettings { key_overlap_days: 30, ..TrailSettings::default() };
        assert_eq!(wrong.check().unwrap_err().field, "key_overlap_days");
    }

    #[test]
    fn pauses_grow_to_the_longest() {
        let settings = TrailSettings::default();
        for (failures, millis) in [(1, 500), (2, 1_000), (8, 64_000), (30, 300_000), (u32::MAX, 300_000)] {
            let pause = settings.pause(failures).as_millis();
            assert!(pause <= millis && pause >= millis * 3 / 4, "{failures}: {pause}");
        }
    }
}
