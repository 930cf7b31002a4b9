//! Bodies that are signed in chunks (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`): each chunk's signature is over its hash and the
//! signature before it, the first of which is the request's own.

use subtle::ConstantTimeEq;

use super::key::{SigningKey, SigningKeys};
use super::parse::SignedRequest;
use super::verify::BodyHash;

/// What `x-amz-content-sha256` says of such a body, and of one with signed trailers behind it.
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const CHUNKS_AND_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
/// The SHA-256 of nothing, which stands where a chunk could have headers.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The chain of a body's signatures, as far as it has been followed. It holds the signing key and shows nothing of it.
pub struct ChunkSignatures {
    key: SigningKey,
    /// Date and scope, each with a line break behind it.
    when: String,
    previous: [u8; 32],
    has_trailer: bool,
}

impl SignedRequest {
    /// The signatures of the body's chunks, if it is signed in chunks. Only of a request whose head is proven
    /// ([`SignedRequest::verify_head`]).
    pub fn chunks(&self, secret: &[u8], keys: &SigningKeys) -> Option<ChunkSignatures> {
        let has_trailer = match self.stated.as_deref()? {
            CHUNKS => false,
            CHUNKS_AND_TRAILER => true,
            _ => return None,
        };
        Some(ChunkSignatures {
            key: keys.get(&self.access_key_id, secret, &self.scope),
            when: format!("{}\n{}\n", self.signed_at, self.scope),
            previous: self.signature,
            has_trailer,
        })
    }
}

impl ChunkSignatures {
    /// True if signed trailers follow the last chunk.
    pub fn has_trailer(&self) -> bool {
        self.has_trailer
    }

    /// True if a chunk with this hash, next in the body, has this signature. After false nothing can be verified any more.
    pub fn verify(&mut self, hash: &BodyHash, signature: &[u8; 32]) -> bool {
        self.follow(&format!("{OF_NOTHING}\n{hash}"), "AWS4-HMAC-SHA256-PAYLOAD", signature)
    }

    /// True if the trailers have this signature. `hash` is over their lines (`name:value`), each ended by a line feed.
    pub fn verify_trailer(&mut self, hash: &BodyHash, signature: &[u8; 32]) -> bool {
        self.follow(&hash.to_string(), "AWS4-HMAC-SHA256-TRAILER", signature)
    }

    fn follow(&mut self, hashes: &str, kind: &str, signature: &[u8; 32]) -> bool {
        let text = format!("{kind}\n{}{}\n{hashes}", self.when, hex::encode(self.previous));
        self.previous = self.key.sign(&text);
        bool::from(self.previous.ct_eq(signature))
    }
}

impl std::fmt::Debug for ChunkSignatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkSignatures").field("has_trailer", &self.has_trailer).finish_non_exhaustive()
    }
}
