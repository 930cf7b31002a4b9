//! Buckets kept in the data directory, and served over the S3 protocol.
//!
//! [`Buckets`] is the whole of it: buckets with owners, policies and object lock, and objects whose content is in files
//! and whose records are in the metadata store, ordered by key. Three things use it: [`S3Server`] answers S3 requests
//! with it, [`BucketStore`] is one of its buckets as an [`object_store::ObjectStore`], and trails ask it whether
//! CloudTrail may deliver to a bucket ([`Buckets::check_delivery`]).
//!
//! A change of an object is one commit of its record. Content is durable before the commit and is removed after it, so
//! that a crash at any moment leaves either the old object or the new one; what is left over is collected after the next
//! start ([`Buckets::sweep`]).

mod access;
mod api;
mod buckets;
mod checksum;
mod delivery;
mod error;
mod files;
mod key_space;
mod listing;
mod lock;
mod name;
mod object;
mod observe;
mod order;
mod record;
mod server;
mod store;
mod upload;

pub use access::Caller;
pub use buckets::{Buckets, MAX_BUCKETS, NewBucket};
pub use checksum::{Algorithm, Checksum, Scope};
pub use delivery::DeliveryRefusal;
pub use error::BucketError;
pub use files::ContentWriter;
pub use listing::{ListRequest, Page};
pub use lock::{Bypass, DefaultRetention, Lock, LockMode, Period, Retention};
pub use name::{BucketName, BucketNameError, MAX_KEY_BYTES, ObjectKey, ObjectKeyError};
pub use object::{Conditions, Expected, Found, Put, Tag};
pub use observe::{Encryption, S3Call, S3Observer};
pub use record::{Bucket, Headers, Listed, Object, ObjectLock, Part, Upload};
pub use server::{S3Limits, S3Server};
pub use store::BucketStore;
pub use upload::{MAX_PARTS, MIN_PART_BYTES, NamedPart};

/// Largest object that is stored in one request, and largest part, in bytes; S3's own limit.
pub const MAX_PUT_BYTES: u64 = 5 << 30;

#[cfg(test)]
mod tests;
