//! Event ids that survive a retry.
//!
//! A sender whose call timed out sends it again, and the second copy must not become a second event. The id of an
//! event is therefore computed, not drawn: a UUID (version 8) from a SHA-256 over the channel, the entry's id, the
//! content and the number of the current *retry window*. Within one window a repeat has the same id, and a store holds
//! an id once. The same entry id with other content is another event, because senders number entries per batch.
//!
//! A repeat shortly after the window's boundary would get a new id. So there are two candidates: the caller asks
//! whether the previous window's id was admitted, and [`Candidates::choose`] keeps it if that is less than a window ago.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The SHA-256 of an entry's `eventData`, computed once for the checksum and for the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest(pub(crate) [u8; 32]);

impl ContentDigest {
    /// Hashes the bytes of `eventData`.
    pub fn of(event_data: &str) -> Self {
        Self(Sha256::digest(event_data.as_bytes()).into())
    }
}

/// Computes event ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventIds {
    window_ms: i64,
}

/// The window is shorter than a second or longer than a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the retry window lasts between one second and 366 days")]
pub struct WindowError;

/// The two ids that an entry can have at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// The id in the current window.
    pub current: Uuid,
    /// The id that the entry had if it was first sent in the previous window.
    pub previous: Uuid,
    now: Timestamp,
    window_ms: i64,
}

impl EventIds {
    /// Uses windows of this length, counted from 1970 on.
    pub fn new(window: Duration) -> Result<Self, WindowError> {
        let window_ms = i64::try_from(window.as_millis()).map_err(|_| WindowError)?;
        if (1_000..=366 * 86_400_000).contains(&window_ms) { Ok(Self { window_ms }) } else { Err(WindowError) }
    }

    /// Computes the ids of an entry that arrives on `channel` (its ARN) at `now`.
    pub fn candidates(&self, channel: &str, entry_id: &str, content: &ContentDigest, now: Timestamp) -> Candidates {
        let window = now.as_millisecond().div_euclid(self.window_ms);
        let common = Sha256::new()
            .chain_update(b"towpath event id 1\0")
            .chain_update((channel.len() as u64).to_le_bytes())
            .chain_update(channel)
            .chain_update((entry_id.len() as u64).to_le_bytes())
            .chain_update(entry_id)
            .chain_update(content.0);
        let id = |window: i64| {
            let digest = common.clone().chain_update(window.to_le_bytes()).finalize();
            let (half, _) = digest.split_first_chunk::<16>().expect("a SHA-256 has 32 bytes");
            Uuid::new_v8(*half)
        };
        Candidates { current: id(window), previous: id(window - 1), now, window_ms: self.window_ms }
    }
}

impl Candidates {
    /// Chooses the entry's id, given when `previous` was admitted, if it was.
    ///
    /// An admission after `now` (the clock went back) counts as within the window.
    pub fn choose(&self, previous_admitted_at: Option<Timestamp>) -> Uuid {
        let since = |at: Timestamp| self.now.as_millisecond().saturating_sub(at.as_millisecond());
        match previous_admitted_at {
            Some(at) if since(at) < self.window_ms => self.previous,
            _ => self.current,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn candidates(channel: &str, entry: &str, data: &str, millis: i64) -> Candidates {
        EventIds::new(HOUR).unwrap().candidates(channel, entry, &ContentDigest::of(data), at(millis))
    }

    #[test]
    fn ids_are_uuids_of_version_8() {
        let ids = candidates("channel", "1", "{}", 0);
        assert_eq!((ids.current.get_version_num(), ids.current.get_variant()), (8, uuid::Variant::RFC4122));
        assert_ne!(ids.current, ids.previous);
    }

    #[test]
    fn ids_never_change_between_versions_of_towpath() {
        assert_eq!(candidates("channel", "1", "{}", 0).current.to_string(), GOLDEN);
    }

    const GOLDEN: &str = "3cdccdc4-0bc1-8f91-8108-564e8d80ea3a";

    #[test]
    fn windows_outside_the_bounds_are_refused() {
        for window in [Duration::ZERO, Duration::from_millis(999), Duration::from_secs(367 * 86_400), Duration::MAX] {
            assert_eq!(EventIds::new(window), Err(WindowError));
        }
    }

    /// A channel's memory of what it admitted, as the lake keeps it.
    #[derive(Default)]
    struct Admitted(std::collections::HashMap<Uuid, Timestamp>);

    impl Admitted {
        fn send(&mut self, entry: &str, data: &str, now: i64) -> Uuid {
            let ids = candidates("channel", entry, data, now);
            let id = ids.choose(self.0.get(&ids.previous).copied());
            self.0.entry(id).or_insert(at(now));
            id
        }
    }

    proptest! {
        #[test]
        fn a_retry_within_the_window_gets_the_same_id(start in 0i64..10_000_000_000_000, after in 0i64..3_600_000) {
            let mut admitted = Admitted::default();
            let first = admitted.send("a", "{}", start);
            prop_assert_eq!(admitted.send("a", "{}", start + after), first);
            prop_assert_eq!(admitted.0.len(), 1);
        }

        #[test]
        fn a_repeat_two_windows_later_is_a_new_event(start in 0i64..10_000_000_000_000, after in 7_200_000i64..100_000_000) {
            let mut admitted = Admitted::default();
            prop_assert_ne!(admitted.send("a", "{}", start), admitted.send("a", "{}", start + after));
        }

        #[test]
        fn another_channel_entry_or_content_has_another_id(
            a in ("[a-c:]{0,3}", "[a-c]{0,3}", "[a-c]{0,3}"), b in ("[a-c:]{0,3}", "[a-c]{0,3}", "[a-c]{0,3}"),
        ) {
            let id = |(channel, entry, data): &(String, String, String)| candidates(channel, entry, data, 0).current;
            prop_assert_eq!(id(&a) == id(&b), a == b);
        }
    }
}
