//! How much may wait, and how long.

use std::time::Duration;

/// How much may wait, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderSettings {
    /// Events that may wait for the server. Further ones are dropped and counted.
    pub queue_events: usize,
    /// Bytes of such events.
    pub queue_bytes: usize,
    /// How long an event may wait for others, so that they go together.
    pub gather: Duration,
    /// How long an answer of the server is waited for.
    pub patience: Duration,
    /// The first pause after the server did not take events; doubles with each further failure.
    pub first_pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
    /// A gap ends, and is told, when nothing was dropped for this long.
    pub gap_quiet: Duration,
    /// A gap that goes on is told in parts of this length.
    pub gap_longest: Duration,
}

impl Default for RecorderSettings {
    fn default() -> Self {
        Self {
            queue_events: 10_000,
            queue_bytes: 16 << 20,
            gather: Duration::from_millis(100),
            patience: Duration::from_secs(10),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            gap_quiet: Duration::from_secs(5),
            gap_longest: Duration::from_secs(60),
        }
    }
}
