//! Signature Version 4: proof that a request comes from the holder of a secret and arrived as it was sent.
//!
//! [`SignedRequest::parse`] reads the signature out of the headers or, for a presigned request, the query string. Its
//! `verify` needs the secret of the access key it names. [`sign`] is the other side, for Towpath's own clients.
//!
//! What must hold beyond a right signature:
//!
//! - `host` and every `x-amz-*` header are signed. `content-type` need not be, as some SDKs leave it out; the
//!   operation is named by the signed `x-amz-target` or the path, and the body is always covered.
//! - The body's hash is part of the signature in every form. `UNSIGNED-PAYLOAD` and streaming signatures are refused:
//!   no operation here needs them, and over plain HTTP they would leave the body open to anybody on the way.
//! - The time is at most five minutes off; a presigned request is good until its own expiry, at most seven days.

mod amz_date;
mod canonical;
mod chunks;
mod credential;
mod error;
mod form;
mod key;
mod parse;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

pub use chunks::ChunkSignatures;
pub use credential::{Credentials, Scope, Secret};
pub use error::AuthError;
pub use form::SignedPolicy;
pub use key::SigningKeys;
pub use parse::SignedRequest;
pub use sign::{SignError, sign};
pub use verify::{BodyHash, DEFAULT_SKEW, Expect, Verified};

/// The only algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
