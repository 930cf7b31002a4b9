//! Proving a signature: the time, the service, the body, and last the signature itself.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::amz_date::AmzDate;
use super::canonical::string_to_sign;
use super::error::AuthError;
use super::key::SigningKeys;
use super::parse::SignedRequest;

/// How far a caller's clock may be off: five minutes, as at AWS.
pub const DEFAULT_SKEW: SignedDuration = SignedDuration::from_secs(300);

/// Most bytes of the canonical request that an error repeats.
const MAX_ECHO: usize = 4096;

/// The SHA-256 of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyHash([u8; 32]);

impl BodyHash {
    /// Hashes a body.
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }

    /// Takes a hash that was made while the body came in.
    pub fn finished(hash: Sha256) -> Self {
        Self(hash.finalize().into())
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(Self(bytes))
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What a request is held against.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The service the request must be signed for, from [`crate::Route::signing_name`].
    pub service: &'a str,
    /// The time now.
    pub now: Timestamp,
    /// How far the caller's clock may be off, see [`DEFAULT_SKEW`].
    pub skew: SignedDuration,
}

/// A proven request: whoever holds the secret of this access key sent it, with this body.
///
/// Only [`SignedRequest::verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    access_key_id: String,
    region: String,
    service: String,
}

impl Verified {
    /// The access key.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The region the request is for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The service the request is for.
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl SignedRequest {
    /// Proves the request with the secret of [`SignedRequest::access_key_id`].
    ///
    /// The time is read from `expect`, never from the system. The comparison takes the same time wherever the
    /// signatures differ.
    pub fn verify(
        &self,
        secret: &[u8],
        body: &BodyHash,
        expect: &Expect<'_>,
        keys: &SigningKeys,
    ) -> Result<Verified, AuthError> {
        if self.scope.service != expect.service {
            return Err(AuthError::WrongService { wanted: expect.service.to_owned() });
        }
        self.check_time(expect)?;
        if self.claimed_body.is_some_and(|claimed| claimed != *body) {
            return Err(AuthError::Body("the body does not have the SHA-256 that x-amz-content-sha256 says"));
        }

        self.prove(secret, &body.to_string(), keys)
    }

    /// Proves a request that passes by ([`SignedRequest::parse_passing`]) by its head: that whoever holds the secret sent it
    /// with a body of the hash that it states, or with any body if it states that none is signed.
    ///
    /// # Errors
    /// As [`SignedRequest::verify`]; and where the head does not say what the body must be
    /// ([`SignedRequest::is_proven_by_head`]).
    pub fn verify_head(&self, secret: &[u8], expect: &Expect<'_>, keys: &SigningKeys) -> Result<Verified, AuthError> {
        if self.scope.service != expect.service {
            return Err(AuthError::WrongService { wanted: expect.service.to_owned() });
        }
        self.check_time(expect)?;
        match (&self.stated, &self.claimed_body) {
            (Some(stated), _) => self.prove(secret, stated, keys),
            (None, Some(claimed)) => self.prove(secret, &claimed.to_string(), keys),
            (None, None) => Err(AuthError::Body("the signature covers a body that its head does not tell the hash of")),
        }
    }

    /// `body`: the last line of the canonical request.
    fn prove(&self, secret: &[u8], body: &str, keys: &SigningKeys) -> Result<Verified, AuthError> {
        let string_to_sign = self.string_to_sign(body);
        let key = keys.get(&self.access_key_id, secret, &self.scope);
        if !bool::from(key.sign(&string_to_sign).ct_eq(&self.signature)) {
            return Err(AuthError::Mismatch(self.explain(body, &string_to_sign)));
        }
        Ok(Verified {
            access_key_id: self.access_key_id.clone(),
            region: self.scope.region.clone(),
            service: self.scope.service.clone(),
        })
    }

    fn string_to_sign(&self, body: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.canonical);
        hash.update(body);
        string_to_sign(&self.signed_at.to_string(), &self.scope.to_string(), &hash.finalize())
    }

    fn check_time(&self, expect: &Expect<'_>) -> Result<(), AuthError> {
        let (now, skew) = (AmzDate::at(expect.now), expect.skew);
        let minutes = skew.as_secs() / 60;
        let beyond = || AuthError::Skewed("the time of the signature is beyond what a clock can show".to_owned());
        let signed_at = self.signed_at.instant().ok_or_else(beyond)?;
        let latest = expect.now.checked_add(skew).map_err(|_| beyond())?;
        if signed_at > latest {
            return Err(AuthError::Skewed(format!(
                "Signature not yet current: {} is still later than {} ({now} + {minutes} min.)",
                self.signed_at,
                AmzDate::at(latest),
            )));
        }
        if let Some(expires) = self.expires {
            let end = signed_at.checked_add(SignedDuration::from_secs(expires)).map_err(|_| beyond())?;
            return if expect.now > end { Err(AuthError::Expired(AmzDate::at(end).to_string())) } else { Ok(()) };
        }
        let earliest = expect.now.checked_sub(skew).map_err(|_| beyond())?;
        // A signature carries whole seconds, so the second that `earliest` is in still counts.
        if self.signed_at < AmzDate::at(earliest) {
            return Err(AuthError::Skewed(format!(
                "Signature expired: {} is now earlier than {} ({now} - {minutes} min.)",
                self.signed_at,
                AmzDate::at(earliest),
            )));
        }
        Ok(())
    }

    /// What the signature should have been made of, so that a caller can find the difference. The session token is
    /// left out: it is the caller's own, but errors get logged.
    fn explain(&self, body: &str, string_to_sign: &str) -> String {
        if self.session_token.is_some() && self.is_presigned() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&self.canonical);
        let lines = text.split('\n').map(|line| match line.split_once(':') {
            Some(("x-amz-security-token", _)) => "x-amz-security-token:...",
            _ => line,
        });
        let mut canonical = lines.collect::<Vec<_>>().join("\n");
        let cut = canonical.char_indices().nth(MAX_ECHO).map_or(canonical.len(), |(end, _)| end);
        canonical.truncate(cut);
        format!(
            "\n\nThe Canonical String for this request should have been\n'{canonical}{body}'\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
        )
    }
}
