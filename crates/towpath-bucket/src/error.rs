//! What can go wrong with buckets, and the name that S3 has for it.

use std::io;

use towpath_meta::MetaError;

use crate::name::BucketName;

/// Why a bucket did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// There is no bucket of this name.
    #[error("bucket {0} does not exist")]
    NoSuchBucket(String),
    /// There is no object with this key.
    #[error("object {0:?} does not exist")]
    NoSuchKey(String),
    /// There is no such upload.
    #[error("upload {0:?} does not exist; it may have been completed or aborted")]
    NoSuchUpload(String),
    /// Somebody else has a bucket of this name.
    #[error("bucket {0} exists already and is of another account")]
    BucketExists(BucketName),
    /// The caller's account has the bucket already.
    #[error("bucket {0} exists already and is yours")]
    BucketOwned(BucketName),
    /// Objects or uploads are left in it.
    #[error("bucket {0} is not empty; delete its objects and abort its uploads first")]
    NotEmpty(BucketName),
    /// There are as many as there may be.
    #[error("there are {limit} {what} already, and may be no more")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// An object with a lock would be deleted, overwritten or released.
    #[error("object {0:?} is protected by object lock")]
    Locked(String),
    /// `If-Match`, `If-None-Match` or a date did not hold.
    #[error("at least one of the preconditions you specified did not hold: {0}")]
    Precondition(&'static str),
    /// Others kept changing the object.
    #[error("object {0:?} was changed by others at the same time; try again")]
    Conflict(String),
    /// The content is not what its digest says.
    #[error("the {0} you specified did not match the content received")]
    BadDigest(&'static str),
    /// Fewer or more bytes arrived than were announced.
    #[error("{actual} bytes arrived and {announced} were announced")]
    Incomplete {
        /// As announced.
        announced: u64,
        /// As counted.
        actual: u64,
    },
    /// The content is longer than an object, or a part, may be.
    #[error("content is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A part is shorter than parts before the last must be.
    #[error("part {number} of {size} bytes is smaller than the {least} bytes that all parts but the last must have")]
    PartTooSmall {
        /// Its number.
        number: u32,
        /// Its size.
        size: u64,
        /// The least.
        least: u64,
    },
    /// A part that is named was not uploaded, or is another one.
    #[error("part {0} was not found, or its ETag or checksum is not the one given")]
    InvalidPart(u32),
    /// Parts must be named in ascending order.
    #[error("the list of parts is not in ascending order")]
    InvalidPartOrder,
    /// A value is not what the operation takes.
    #[error("{0}")]
    Invalid(String),
    /// The operation does not fit the state of the bucket or the object.
    #[error("{0}")]
    InvalidRequest(String),
    /// The policy is not one.
    #[error("{0}")]
    MalformedPolicy(String),
    /// The body stopped or broke off while it was being read.
    #[error("cannot read the content")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The policies do not allow it.
    #[error("{0}")]
    AccessDenied(String),
    /// The disk.
    #[error("cannot {step}")]
    File {
        /// What was being done.
        step: &'static str,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// The metadata store.
    #[error("cannot reach the records of buckets")]
    Meta(#[from] MetaError),
    /// The process is stopping.
    #[error("interrupted because the process is stopping")]
    Interrupted,
}

impl BucketError {
    /// The code that S3 has for it; what `LatestDeliveryError` of a trail shows. `StorageFull`, of a disk without room, is
    /// Towpath's own.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchBucket(_) => "NoSuchBucket",
            Self::NoSuchKey(_) => "NoSuchKey",
            Self::NoSuchUpload(_) => "NoSuchUpload",
            Self::BucketExists(_) => "BucketAlreadyExists",
            Self::BucketOwned(_) => "BucketAlreadyOwnedByYou",
            Self::NotEmpty(_) => "BucketNotEmpty",
            Self::TooMany { what: "buckets", .. } => "TooManyBuckets",
            Self::TooMany { .. } => "SlowDown",
            Self::Locked(_) | Self::AccessDenied(_) => "AccessDenied",
            Self::Precondition(_) => "PreconditionFailed",
            Self::Conflict(_) => "ConditionalRequestConflict",
            Self::BadDigest(_) => "BadDigest",
            Self::Incomplete { .. } => "IncompleteBody",
            Self::TooLarge { .. } => "EntityTooLarge",
            Self::PartTooSmall { .. } => "EntityTooSmall",
            Self::InvalidPart(_) => "InvalidPart",
            Self::InvalidPartOrder => "InvalidPartOrder",
            Self::Invalid(_) => "InvalidArgument",
            Self::InvalidRequest(_) => "InvalidRequest",
            Self::MalformedPolicy(_) => "MalformedPolicy",
            Self::Body(_) => "IncompleteBody",
            Self::File { cause, .. } if is_full(cause) => "StorageFull",
            Self::File { .. } | Self::Meta(_) => "InternalError",
            Self::Interrupted => "ServiceUnavailable",
        }
    }

    /// True when trying again later may succeed.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Meta(_) | Self::Interrupted | Self::Conflict(_) | Self::TooMany { .. })
    }

    pub(crate) fn file(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::File { step, cause }
    }
}

/// The disk has no room left.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl From<tokio::task::JoinError> for BucketError {
    fn from(_: tokio::task::JoinError) -> Self {
        Self::Interrupted
    }
}
