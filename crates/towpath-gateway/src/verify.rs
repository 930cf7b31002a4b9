//! Verifying signatures before a call is passed on, with the secrets of Towpath's own accounts.
//!
//! What the head proves is decided at once: the key, the time, the signature over a body of a stated hash, or over none
//! (`UNSIGNED-PAYLOAD`). The body is then held against its hash as it passes: its last bytes are held back until the hash is
//! right, so that no upstream ever has the whole of a forged request. Of a body that is signed in chunks each is proven at
//! its end.
//!
//! A head that proves nothing without its body does not pass before it is proven: an upstream might act on the head and not
//! wait for the rest. So a body without a stated hash is taken in whole, up to a bound, and of a form the fields.
//!
//! A call without a signature passes; it is nobody's, and its upstream decides. A signature of another kind than Version 4
//! cannot be verified and is refused.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, header};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use towpath_wire::sigv4::{AuthError, BodyHash, DEFAULT_SKEW, Expect, Secret, SignedRequest, SigningKeys};

use crate::chunks::{ChunkError, ChunkProof};
use crate::form::{self, Opened};
use crate::identity::{Identities, KeyDirectory, Presented};

/// Secrets' signing keys that are remembered.
const SIGNING_KEYS: usize = 10_000;

/// The length of a body without its `aws-chunked` coding.
const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// The longest body that is taken in before its head passes, in bytes: what a call of the JSON and query protocols may have.
const MAX_TAKEN_IN: usize = 16 << 20;
/// What all such bodies may take together, in KiB.
const ROOM: usize = 256 << 10;
/// The first bytes of a form that are looked at; further ones when there are twice as many.
const FIRST_LOOK: usize = 1 << 10;

/// Why a call is refused: what its caller is told. Its record says AccessDenied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Forged(pub String);

/// Verifies signatures.
pub struct Verifier {
    directory: Arc<dyn KeyDirectory>,
    keys: Arc<SigningKeys>,
    room: Arc<Semaphore>,
}

/// What is left to prove when the head is read.
pub enum Left {
    /// Nothing.
    Nothing,
    /// The body, as it passes. The head may pass.
    Body(BodyProof),
    /// The head itself, by what the body begins with.
    Opening(Opening),
}

impl Verifier {
    /// Verifies with the secrets of the directory of `identities`; `None` if it has none.
    pub fn new(identities: &Identities) -> Option<Self> {
        let directory = identities.directory()?.clone();
        Some(Self { directory, keys: Arc::new(SigningKeys::new(SIGNING_KEYS)), room: Arc::new(Semaphore::new(ROOM)) })
    }

    /// Verifies what the head of a request proves, and tells what is left. `bucket_domain` is the name under which the
    /// upstream has buckets as hosts.
    ///
    /// # Errors
    /// The request is not from the holder of the key that it names, or nobody here has that key.
    pub fn head(&self, head: &Parts, bucket_domain: Option<&str>, now: Timestamp) -> Result<Left, Forged> {
        let signed = match SignedRequest::parse_passing(&head.method, &head.uri, &head.headers) {
            Ok(signed) => signed,
            Err(AuthError::Missing) if names_a_key(head) => return Err(told(&AuthError::Missing)),
            Err(AuthError::Missing) if form::may_be_form(head) => {
                let by = By::Form {
                    head: Box::new(head.clone()),
                    bucket_domain: bucket_domain.map(str::to_owned),
                    directory: self.directory.clone(),
                    seen: Vec::new(),
                    look_at: FIRST_LOOK,
                };
                return Ok(Left::Opening(self.opening(by, now)));
            }
            Err(AuthError::Missing) => return Ok(Left::Nothing),
            Err(error) => return Err(told(&error)),
        };
        let secret = self.directory.secret(signed.access_key_id(), signed.session_token());
        let secret = secret.ok_or_else(|| told(&AuthError::UnknownKey))?;
        if !signed.is_proven_by_head() {
            let by = By::Body { signed: Box::new(signed), secret, hash: Sha256::new(), length: 0 };
            return Ok(Left::Opening(self.opening(by, now)));
        }
        let service = signed.service().to_owned();
        let expect = Expect { service: &service, now, skew: DEFAULT_SKEW };
        let secret = secret.expose().as_bytes();
        signed.verify_head(secret, &expect, &self.keys).map_err(|error| told(&error))?;
        if let Some(signatures) = signed.chunks(secret, &self.keys) {
            let announced = head.headers.get(DECODED_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
            return Ok(Left::Body(BodyProof::Chunks(Box::new(ChunkProof::new(signatures, announced)))));
        }
        Ok(match signed.claimed_body() {
            Some(claimed) => Left::Body(BodyProof::Whole { hash: Sha256::new(), claimed }),
            None => Left::Nothing,
        })
    }

    fn opening(&self, by: By, now: Timestamp) -> Opening {
        Opening { by, now, keys: self.keys.clone(), room: self.room.clone(), taken: 0 }
    }
}

/// What a body has still to prove as it passes.
pub enum BodyProof {
    /// That it has the hash that was signed.
    Whole {
        /// Over what has come.
        hash: Sha256,
        /// What was signed.
        claimed: BodyHash,
    },
    /// That each of its chunks has its signature.
    Chunks(Box<ChunkProof>),
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
        match self {
            Self::Chunks(chunks) => Ok(chunks.finish()?),
            Self::Whole { hash, claimed } if BodyHash::finished(hash.clone()) == claimed => Ok(()),
            Self::Whole { .. } => {
                Err(Forged("the body does not have the SHA-256 that x-amz-content-sha256 says".to_owned()))
            }
        }
    }
}

/// What the beginning of a body proves of its head.
pub struct Opening {
    by: By,
    now: Timestamp,
    keys: Arc<SigningKeys>,
    room: Arc<Semaphore>,
    // Bytes that room was asked for.
    taken: usize,
}

/// What a head is proven by.
enum By {
    /// All of the body.
    Body { signed: Box<SignedRequest>, secret: Secret, hash: Sha256, length: usize },
    /// The fields of a form.
    Form {
        head: Box<Parts>,
        bucket_domain: Option<String>,
        directory: Arc<dyn KeyDirectory>,
        seen: Vec<u8>,
        // How much is to be seen before it is looked at again.
        look_at: usize,
    },
}

impl Opening {
    /// Takes a part of the body; true if no more is needed, and the request may pass.
    ///
    /// # Errors
    /// The request is not from the holder of the key that it names, as far as that is decided by now.
    pub fn pass(&mut self, part: &[u8]) -> Result<bool, Forged> {
        match &mut self.by {
            By::Body { hash, length, .. } => {
                hash.update(part);
                *length += part.len();
                if *length > MAX_TAKEN_IN {
                    return Err(Forged(
                        "a body of more than 16 MiB must have its hash in x-amz-content-sha256".to_owned(),
                    ));
                }
                Ok(false)
            }
            By::Form { seen, look_at, .. } => {
                seen.extend_from_slice(part);
                if seen.len() < *look_at {
                    return Ok(false);
                }
                *look_at = seen.len() * 2;
                self.look(false)
            }
        }
    }

    /// Decides, the body being whole.
    ///
    /// # Errors
    /// The request is not from the holder of the key that it names.
    pub fn finish(self) -> Result<(), Forged> {
        match self.by {
            By::Body { signed, secret, hash, .. } => {
                let expect = Expect { service: signed.service(), now: self.now, skew: DEFAULT_SKEW };
                let hash = BodyHash::finished(hash);
                let verified = signed.verify(secret.expose().as_bytes(), &hash, &expect, &self.keys);
                verified.map(drop).map_err(|error| told(&error))
            }
            By::Form { .. } => self.look(true).map(drop),
        }
    }

    fn look(&self, ended: bool) -> Result<bool, Forged> {
        let By::Form { head, bucket_domain, directory, seen, .. } = &self.by else { return Ok(true) };
        match form::open(head, seen, ended)? {
            Opened::NotYet => Ok(false),
            Opened::Unsigned => Ok(true),
            Opened::Signed(fields) => {
                let to = (&**head, bucket_domain.as_deref());
                form::verify(&fields, to, &**directory, &self.keys, self.now).map(|()| true)
            }
        }
    }

    /// Room for the next part that is taken in, until what is returned is dropped; `None` if there is none.
    pub fn room_for(&mut self, part: &[u8]) -> Option<OwnedSemaphorePermit> {
        let before = self.taken.div_ceil(1 << 10);
        self.taken += part.len();
        let kib = u32::try_from(self.taken.div_ceil(1 << 10) - before).ok()?;
        self.room.clone().try_acquire_many_owned(kib).ok()
    }
}

impl From<ChunkError> for Forged {
    fn from(error: ChunkError) -> Self {
        Self(error.to_string())
    }
}

/// What a caller is told. What the signature should have been made of is left out: it repeats headers.
pub fn told(error: &AuthError) -> Forged {
    let text = error.to_string();
    Forged(text.lines().next().unwrap_or_default().to_owned())
}

/// True if a request carries credentials of any kind.
fn names_a_key(head: &Parts) -> bool {
    let in_headers = |headers: &HeaderMap| headers.contains_key(header::AUTHORIZATION);
    in_headers(&head.headers) || Presented::of(head) != Presented::Anonymous
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
        match Verifier::new(&identities).unwrap().head(head, None, now())? {
            Left::Nothing => Ok(()),
            Left::Body(mut proof) => {
                body.chunks(2).try_for_each(|part| proof.pass(part))?;
                proof.finish()
            }
            Left::Opening(mut opening) => {
                for part in body.chunks(2) {
                    if opening.pass(part)? {
                        return Ok(());
                    }
                }
                opening.finish()
            }
        }
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
        assert!(Verifier::new(&identities).unwrap().head(&head, None, late).is_err());
    }

    #[test]
    fn no_signature_is_nobodys_and_another_kind_of_signature_is_refused() {
        let head =
            |name: &str, value: &str| http::Request::get("/").header(name, value).body(()).unwrap().into_parts().0;
        assert_eq!(verify(&head("x-other", "1"), b""), Ok(()));
        let queries = ["AWSAccessKeyId=AKIAOWN&Signature=x", "x-amz-credential=AKIAOWN", "X-Amz-Credential=AKIAOWN/x"];
        for query in queries {
            let head = http::Request::get(format!("/?{query}")).body(()).unwrap().into_parts().0;
            assert!(verify(&head, b"").is_err(), "{query}");
        }
        for other in ["AWS AKIAOWN:c2ln", "Bearer x", "AWS4-ECDSA-P256-SHA256 Credential=AKIAOWN/x"] {
            assert!(verify(&head("authorization", other), b"").is_err(), "{other}");
        }
        assert!(Verifier::new(&Identities::default()).is_none());
    }

    #[test]
    fn a_body_that_is_taken_in_is_bounded() {
        let identities = Identities::default().with_directory(Arc::new(Own));
        let verifier = Verifier::new(&identities).unwrap();
        let head = signed("AKIAOWN", "secret", false, b"body");
        let Ok(Left::Opening(mut opening)) = verifier.head(&head, None, now()) else {
            panic!("proven without its body")
        };
        let part = vec![0; 1 << 20];
        let mut room = Vec::new();
        for _ in 0..16 {
            assert_eq!(opening.pass(&part), Ok(false));
            room.push(opening.room_for(&part).unwrap());
        }
        assert!(opening.pass(b"x").is_err());
        room.extend((16..256).map(|_| opening.room_for(&part).unwrap()));
        assert!(opening.room_for(b"x").is_none());
        room.pop();
        assert!(opening.room_for(&part).is_some());
    }
}
