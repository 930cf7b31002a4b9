//! Verifying signatures before a call is passed on, with the secrets of Towpath's own accounts.
//!
//! What the head proves is decided at once: the key, the time, the signature over a body of a stated hash, or over none
//! (`UNSIGNED-PAYLOAD`). What depends on the body is decided as its last bytes come: they are held back until the hash is
//! right, so that no upstream ever has the whole of a forged request. Of a body that is signed in chunks each is proven at
//! its end.
//!
//! A call without a signature passes; it is nobody's, and its upstream decides. A signature of another kind than Version 4
//! cannot be verified and is refused.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, header};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use towpath_wire::sigv4::{AuthError, BodyHash, DEFAULT_SKEW, Expect, Secret, SignedRequest, SigningKeys};

use crate::chunks::{ChunkError, ChunkProof};
use crate::identity::{Identities, KeyDirectory};

/// Secrets' signing keys that are remembered.
const SIGNING_KEYS: usize = 10_000;

/// The length of a body without its `aws-chunked` coding.
const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// Why a call is refused: what its caller is told. Its record says AccessDenied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Forged(pub String);

/// Verifies signatures.
pub struct Verifier {
    directory: Arc<dyn KeyDirectory>,
    keys: Arc<SigningKeys>,
}

impl Verifier {
    /// Verifies with the secrets of the directory of `identities`; `None` if it has none.
    pub fn new(identities: &Identities) -> Option<Self> {
        let directory = identities.directory()?.clone();
        Some(Self { directory, keys: Arc::new(SigningKeys::new(SIGNING_KEYS)) })
    }

    /// Verifies what the head of a request proves. What is left for the body to prove is the answer, if there is any.
    ///
    /// # Errors
    /// The request is not from the holder of the key that it names, or nobody here has that key.
    pub fn head(&self, head: &Parts, now: Timestamp) -> Result<Option<BodyProof>, Forged> {
        let signed = match SignedRequest::parse_passing(&head.method, &head.uri, &head.headers) {
            Ok(signed) => signed,
            Err(AuthError::Missing) if !names_a_key(head) => return Ok(None),
            Err(error) => return Err(told(&error)),
        };
        let secret = self.directory.secret(signed.access_key_id(), signed.session_token());
        let secret = secret.ok_or_else(|| told(&AuthError::UnknownKey))?;
        if !signed.is_proven_by_head() {
            let open = Open::Signature { signed: Box::new(signed), secret, keys: self.keys.clone(), now };
            return Ok(Some(BodyProof::Whole { hash: Sha256::new(), open }));
        }
        let service = signed.service().to_owned();
        let expect = Expect { service: &service, now, skew: DEFAULT_SKEW };
        let secret = secret.expose().as_bytes();
        signed.verify_head(secret, &expect, &self.keys).map_err(|error| told(&error))?;
        if let Some(signatures) = signed.chunks(secret, &self.keys) {
            let announced = head.headers.get(DECODED_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
            return Ok(Some(BodyProof::Chunks(Box::new(ChunkProof::new(signatures, announced)))));
        }
        Ok(signed.claimed_body().map(|claimed| BodyProof::Whole { hash: Sha256::new(), open: Open::Hash(claimed) }))
    }
}

/// What a body has still to prove.
pub enum BodyProof {
    /// Something about all of it.
    Whole {
        /// Over what has come.
        hash: Sha256,
        /// What.
        open: Open,
    },
    /// That each of its chunks has its signature.
    Chunks(Box<ChunkProof>),
}

/// What a whole body proves.
pub enum Open {
    /// That it has the hash that was signed.
    Hash(BodyHash),
    /// That the signature is over its hash.
    Signature { signed: Box<SignedRequest>, secret: Secret, keys: Arc<SigningKeys>, now: Timestamp },
}

impl BodyProof {
    /// Takes a part of the body.
    ///
    /// # Errors
    /// The body is not the one that was signed, which its first part already tells.
    pub fn pass(&mut self, part: &[u8]) -> Result<(), Forged> {
        match self {
            Self::Whole { hash, .. } => hash.update(part),
            Self::Chunks(chunks) => chunks.pass(part)?,
        }
        Ok(())
    }

    /// Decides, the body being whole.
    ///
    /// # Errors
    /// The body is not the one that was signed.
    pub fn finish(self) -> Result<(), Forged> {
        let (hash, open) = match self {
            Self::Chunks(chunks) => return Ok(chunks.finish()?),
            Self::Whole { hash, open } => (BodyHash::finished(hash), open),
        };
        match open {
            Open::Hash(claimed) if claimed == hash => Ok(()),
            Open::Hash(_) => {
                Err(Forged("the body does not have the SHA-256 that x-amz-content-sha256 says".to_owned()))
            }
            Open::Signature { signed, secret, keys, now } => {
                let expect = Expect { service: signed.service(), now, skew: DEFAULT_SKEW };
                let verified = signed.verify(secret.expose().as_bytes(), &hash, &expect, &keys);
                verified.map(drop).map_err(|error| told(&error))
            }
        }
    }
}

impl From<ChunkError> for Forged {
    fn from(error: ChunkError) -> Self {
        Self(error.to_string())
    }
}

/// What a caller is told. What the signature should have been made of is left out: it repeats headers.
fn told(error: &AuthError) -> Forged {
    let text = error.to_string();
    Forged(text.lines().next().unwrap_or_default().to_owned())
}

/// True if a request carries credentials of any kind.
fn names_a_key(head: &Parts) -> bool {
    let in_headers = |headers: &HeaderMap| headers.contains_key(header::AUTHORIZATION);
    in_headers(&head.headers) || head.uri.query().is_some_and(|query| query.contains("AWSAccessKeyId="))
}

#[cfg(test)]
mod tests {
    use towpath_admit::UserIdentity;
    use towpath_wire::sigv4::{Credentials, sign};

    use super::*;

    struct Own;

    impl KeyDirectory for Own {
        fn owner(&self, _: &str, _: Option<&str>) -> Option<UserIdentity> {
            None
        }

        fn secret(&self, id: &str, _: Option<&str>) -> Option<Secret> {
            (id == "AKIAOWN").then(|| Secret::new("secret"))
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T05:00:00Z".parse().unwrap()
    }

    fn signed(key: &str, secret: &str, hash: bool, body: &[u8]) -> Parts {
        let mut request = http::Request::post("http://up.test/?a=b").header("x-amz-target", "T.Op");
        if hash {
            request = request.header("x-amz-content-sha256", BodyHash::of(body).to_string());
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let credentials =
            Credentials { access_key_id: key.to_owned(), secret_access_key: Secret::new(secret), session_token: None };
        sign(&mut parts, body, &credentials, "us-east-1", "dynamodb", now()).unwrap();
        parts
    }

    fn verify(head: &Parts, body: &[u8]) -> Result<(), Forged> {
        let identities = Identities::default().with_directory(Arc::new(Own));
        let proof = Verifier::new(&identities).unwrap().head(head, now())?;
        let Some(mut proof) = proof else { return Ok(()) };
        body.chunks(2).try_for_each(|part| proof.pass(part))?;
        proof.finish()
    }

    #[test]
    fn the_holder_of_a_key_passes_with_the_body_that_was_signed_and_with_no_other() {
        for hash in [false, true] {
            let head = signed("AKIAOWN", "secret", hash, b"body");
            assert_eq!(verify(&head, b"body"), Ok(()));
            assert!(verify(&head, b"b0dy").is_err());
            assert!(verify(&head, b"").is_err());
        }
    }

    #[test]
    fn a_wrong_secret_an_unknown_key_a_changed_head_and_an_old_request_are_refused() {
        for hash in [false, true] {
            assert!(verify(&signed("AKIAOWN", "guess", hash, b"body"), b"body").is_err());
            assert!(verify(&signed("AKIAOTHER", "secret", hash, b"body"), b"body").is_err());
            let mut head = signed("AKIAOWN", "secret", hash, b"body");
            head.headers.insert("x-amz-target", "T.Other".parse().unwrap());
            let refused = verify(&head, b"body").unwrap_err();
            assert!(!refused.0.contains('\n'), "{refused}");
        }
        let head = signed("AKIAOWN", "secret", true, b"");
        let identities = Identities::default().with_directory(Arc::new(Own));
        let late = now() + jiff::SignedDuration::from_mins(6);
        assert!(Verifier::new(&identities).unwrap().head(&head, late).is_err());
    }

    #[test]
    fn no_signature_is_nobodys_and_another_kind_of_signature_is_refused() {
        let head =
            |name: &str, value: &str| http::Request::get("/").header(name, value).body(()).unwrap().into_parts().0;
        assert_eq!(verify(&head("x-other", "1"), b""), Ok(()));
        for other in ["AWS AKIAOWN:c2ln", "Bearer x", "AWS4-ECDSA-P256-SHA256 Credential=AKIAOWN/x"] {
            assert!(verify(&head("authorization", other), b"").is_err(), "{other}");
        }
        assert!(Verifier::new(&Identities::default()).is_none());
    }
}
