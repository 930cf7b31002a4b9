//! The settings of the parts, from the settings of the server.

use std::time::Duration;

use towpath_lake::LakeSettings;
use towpath_log::{Compression, LogSettings};
use towpath_query::QuerySettings;
use towpath_service::{AuditReads, ServiceSettings, ThrottlePreset, ThrottleSettings};
use towpath_trail::TrailSettings;

use crate::config::{self, Settings};

/// The log's.
pub fn log(settings: &Settings) -> LogSettings {
    LogSettings {
        segment_bytes: settings.log.segment_size,
        queue_bytes: in_memory(settings.log.queue_bytes),
        ring_bytes: in_memory(settings.log.ring_bytes),
        compression: match settings.log.compression {
            config::LogCompression::None => Compression::None,
            config::LogCompression::Lz4 => Compression::Lz4,
        },
        ..LogSettings::default()
    }
}

/// The lake's.
pub fn lake(settings: &Settings) -> LakeSettings {
    LakeSettings {
        hot_bytes: in_memory(settings.lake.hot_bytes),
        flush_seconds: seconds(settings.lake.flush_interval),
        maintain_seconds: seconds(settings.lake.maintenance_interval),
        file_bytes: settings.lake.file_size,
        ..LakeSettings::default()
    }
}

/// The query engine's.
pub fn query(settings: &Settings) -> QuerySettings {
    let query = &settings.query;
    QuerySettings {
        running_at_once: query.concurrency,
        memory_bytes: in_memory(query.memory),
        memory_bytes_per_query: in_memory(query.memory_per_query.min(query.memory)),
        spill_bytes: query.spill,
        time_limit: query.time_limit,
        keep: query.result_retention,
        ..QuerySettings::default()
    }
}

/// The service's.
pub fn service(settings: &Settings) -> ServiceSettings {
    ServiceSettings {
        quotas: settings.quotas.clone(),
        throttles: ThrottleSettings {
            preset: match settings.throttles.preset {
                config::ThrottlePreset::Off => ThrottlePreset::Off,
                config::ThrottlePreset::Aws => ThrottlePreset::Aws,
            },
            operations: settings.throttles.operations.clone(),
        },
        pending_deletion: settings.pending_deletion,
        retry_window: settings.retry_window,
        audit_reads: match settings.audit.reads {
            config::AuditReads::Queued => AuditReads::Queued,
            config::AuditReads::Durable => AuditReads::Durable,
        },
        result_file_bytes: in_memory(settings.query.result_file_size),
    }
}

/// The delivery's.
pub fn trail(settings: &Settings) -> TrailSettings {
    let trail = &settings.trail;
    TrailSettings {
        cadence_seconds: seconds(trail.delivery_interval),
        digest_seconds: seconds(trail.digest_interval),
        aggregation_seconds: seconds(trail.aggregation_delay),
        file_bytes: trail.file_size,
        give_up_days: seconds(trail.give_up).div_ceil(86_400),
        regions: trail.regions.clone(),
        ..TrailSettings::default()
    }
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Whole seconds, at least one.
fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_check_of_settings_lets_through_the_parts_accept() {
        let settings = Settings::default();
        log(&settings).check().unwrap();
        lake(&settings).check().unwrap();
        query(&settings).check().unwrap();
        trail(&settings).check().unwrap();
        let mut small = Settings::default();
        small.query.memory = 16 << 20;
        small.log.queue_bytes = 16 << 20;
        small.lake.hot_bytes = 1 << 20;
        small.lake.flush_interval = Duration::from_millis(100);
        small.trail.delivery_interval = Duration::from_secs(1);
        small.trail.digest_interval = Duration::from_secs(1);
        small.trail.file_size = 64 << 10;
        assert!(config::check::problems(&small).is_empty());
        log(&small).check().unwrap();
        lake(&small).check().unwrap();
        query(&small).check().unwrap();
        trail(&small).check().unwrap();
        assert_eq!(query(&small).memory_bytes_per_query, 16 << 20);
    }
}
