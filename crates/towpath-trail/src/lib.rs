//! Trails: the log becomes signed log files in buckets.
//!
//! [`Delivery`] is one more reader of the log. What each step leaves behind is durable before the next begins, so that a
//! crash anywhere loses nothing and repeats nothing but puts of the same bytes to the same key:
//!
//! ```text
//! log --window [p0, p1)--> gzip files on disk --one commit: position p1, list of files--> staged
//!                                                                                           | put, per trail
//! digests of the hour <--one commit: digest, files taken off the list-- delivered <---------+
//!        |
//!        +--> staged like a log file, put with its signature as metadata
//! ```
//!
//! Data events of trails that aggregate are counted on the way; the counts are part of the same commits (`aggregate`).
//!
//! Which trails want an event was decided when it was admitted ([`towpath_model::Event::trails`]). A bucket that cannot
//! be reached keeps its own staged files waiting and nothing else.
//!
//! [`verify`] checks what lies in a bucket, or in a copy of it, without trusting any of the above.

mod aggregate;
mod buckets;
mod chain;
mod delivery;
mod destinations;
mod digest;
mod error;
mod gzip;
mod log_file;
pub mod notify;
mod object_key;
mod record;
mod recorded;
mod settings;
mod sign_file;
mod signing_key;
mod stager;
mod upload;
pub mod verify;
mod window;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use buckets::{BucketError, Buckets, TrailSource, error_code};
pub use delivery::{Delivery, DeliveryBuilder};
pub use destinations::{DestinationError, Destinations, Key, Topic};
pub use digest::{Digest, DigestFile, SIGNATURE_ALGORITHM, SignedDigest, string_to_sign};
pub use error::{DeliveryError, OpenError, RunError};
pub use object_key::{Folder, KeyError, KeyPlace, digest_key, digest_prefix, log_file_key};
pub use recorded::{Continues, RecordedChain, RecordedDigest};
pub use settings::{SettingsError, TrailSettings};
pub use sign_file::{ResultFile, SIGN_FILE, SignFile, SignFileError};
pub use signing_key::{PublicKey, SealError, Sealer, SigningKeyError, SigningKeys};
