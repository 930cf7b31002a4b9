//! What the delivery keeps in the metadata store, all below `trail/delivery/`.
//!
//! ```text
//! progress                                   where reading goes on, number of the next staged file
//! known/<trail>                              the trail as the delivery last saw it
//! staged/<trail>/<l|d><number>               a file on disk that is to be put
//! delivered/<trail>/<account>/<region>/<key> a log file that was put and is in no digest yet
//! chain/<trail>/<account>/<region>           where the digests of a trail, account and region stand
//! status/<trail>                             latest outcomes
//! notice/<target>/<trail>/<number>           a message that is to be sent; dead/... those that were given up
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_meta::Key;
use towpath_model::{AccountId, EventTime, Position, Region, Trail, TrailId};

/// Where reading goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Every event before it is in a staged or delivered file of each trail that wants it.
    pub(crate) position: Position,
    /// Number of the next staged log file.
    pub(crate) next: u64,
    /// Number of the file with counts of data events before the position that are not delivered yet, if there are any.
    #[serde(default)]
    pub(crate) aggregates: Option<u64>,
}

/// A trail as the delivery last saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) trail: Trail,
    /// When validation was switched on, where that was after logging had started.
    #[serde(default)]
    pub(crate) since: Option<Timestamp>,
    /// When it was noticed that the last session of logging with digests had ended.
    pub(crate) ended: Option<Timestamp>,
    /// The trail was deleted.
    #[serde(default)]
    pub(crate) deleted: bool,
}

impl Known {
    /// The session of logging that asks for digests, by its start: what was delivered before is in no digest.
    pub(crate) fn session(&self) -> Option<Timestamp> {
        let trail = &self.trail;
        let started = trail.started.unwrap_or(trail.created);
        asks_for_digests(trail).then(|| self.since.map_or(started, |since| since.max(started)))
    }

    /// The trail after a change; notes the beginning and the end of a session.
    pub(crate) fn changed_to(&self, trail: Trail, now: Timestamp) -> Self {
        let goes_on = self.trail.logging && self.trail.started == trail.started;
        let since = match (asks_for_digests(&self.trail), asks_for_digests(&trail)) {
            (true, true) if goes_on => self.since,
            (false, true) if goes_on => Some(trail.updated),
            _ => None,
        };
        let changed = Self { trail, since, ended: self.ended, deleted: false };
        let (before, after) = (self.session(), changed.session());
        if before.is_some() && before != after { Self { ended: Some(now), ..changed } } else { changed }
    }
}

fn asks_for_digests(trail: &Trail) -> bool {
    trail.logging && trail.log_file_validation
}

/// A file on disk that is to be put into a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Staged {
    pub(crate) trail: TrailId,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    /// Name of the file on disk.
    pub(crate) file: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// When it was staged.
    pub(crate) staged: Timestamp,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    LogFile(LogFileFacts),
    Digest { signature: String, backfill: Option<Timestamp> },
}

/// What digests, notifications and reports say about a log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogFileFacts {
    /// SHA-256 of the text, in lower-case hexadecimal.
    pub(crate) hash: String,
    pub(crate) oldest: EventTime,
    pub(crate) newest: EventTime,
    pub(crate) events: u64,
    /// Bytes of the text.
    pub(crate) bytes: u64,
    /// A digest is to name it.
    pub(crate) validated: bool,
}

/// A log file that was put and is in no digest yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivered {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) facts: LogFileFacts,
    pub(crate) staged: Timestamp,
    pub(crate) delivered: Timestamp,
}

/// The digests of one trail, account and source region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ChainId {
    pub(crate) trail: TrailId,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
}

/// Where a chain stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    pub(crate) id: ChainId,
    /// Start of the next digest, which is the end of the last.
    pub(crate) start: Timestamp,
    /// The session of logging that the chain belongs to, by its start; none when the chain has ended.
    pub(crate) session: Option<Timestamp>,
    /// What the next digest continues; none at the beginning of a session.
    pub(crate) previous: Option<Link>,
    /// The newest digest, also after the session that it ended.
    #[serde(default)]
    pub(crate) last: Option<Link>,
    /// What the next backfill digest continues.
    pub(crate) backfill: Option<Link>,
    /// End of the last backfill digest.
    pub(crate) backfilled: Option<Timestamp>,
    /// Number of the next digest's file on disk.
    pub(crate) next: u64,
}

/// A digest as the next one names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) hash: String,
    pub(crate) signature: String,
}

const ROOT: &str = "trail/delivery";

fn key(parts: &[&str]) -> Key {
    let root = Key::new(ROOT).expect("plain words");
    parts.iter().fold(root, |key, part| key.child(part).expect("ids, regions and hashes are shorter than a key may be"))
}

pub(crate) fn progress_key() -> Key {
    key(&["progress"])
}

pub(crate) fn known_area() -> Key {
    key(&["known"])
}

pub(crate) fn known_key(trail: TrailId) -> Key {
    key(&["known", &trail.to_string()])
}

pub(crate) fn staged_area() -> Key {
    key(&["staged"])
}

pub(crate) fn staged_of(trail: TrailId) -> Key {
    key(&["staged", &trail.to_string()])
}

pub(crate) fn staged_key(trail: TrailId, file: &str) -> Key {
    key(&["staged", &trail.to_string(), file])
}

pub(crate) fn delivered_area() -> Key {
    key(&["delivered"])
}

pub(crate) fn delivered_of(chain: &ChainId) -> Key {
    key(&["delivered", &chain.trail.to_string(), chain.account.as_str(), chain.region.as_str()])
}

pub(crate) fn delivered_key(chain: &ChainId, file: &str) -> Key {
    key(&["delivered", &chain.trail.to_string(), chain.account.as_str(), chain.region.as_str(), file])
}

pub(crate) fn chain_area() -> Key {
    key(&["chain"])
}

pub(crate) fn chain_area_of(trail: TrailId) -> Key {
    key(&["chain", &trail.to_string()])
}

pub(crate) fn chain_key(chain: &ChainId) -> Key {
    key(&["chain", &chain.trail.to_string(), chain.account.as_str(), chain.region.as_str()])
}

pub(crate) fn status_area() -> Key {
    key(&["status"])
}

pub(crate) fn status_key(trail: TrailId) -> Key {
    key(&["status", &trail.to_string()])
}

pub(crate) fn notice_area(target: &str) -> Key {
    key(&["notice", target])
}

pub(crate) fn notice_key(target: &str, trail: TrailId, name: &str) -> Key {
    key(&["notice", target, &trail.to_string(), name])
}

pub(crate) fn dead_area() -> Key {
    key(&["dead"])
}

pub(crate) fn dead_key(target: &str, trail: TrailId, name: &str) -> Key {
    key(&["dead", target, &trail.to_string(), name])
}

impl ChainId {
    /// The chain whose files lie below a `delivered` key.
    pub(crate) fn of_delivered(key: &Key) -> Option<Self> {
        let mut parts = key.parts().skip(3);
        let trail = parts.next()?.parse().ok()?;
        let account = parts.next()?.parse().ok()?;
        let region = parts.next()?.parse().ok()?;
        Some(Self { trail, account, region })
    }
}
