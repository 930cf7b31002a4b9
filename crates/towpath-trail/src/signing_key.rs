//! The RSA keys that digests are signed with: one at a time per region, with validity periods that overlap.
//!
//! A digest is signed with the key that is in force at its end, so that a digest made late carries a key that a verifier
//! finds when it asks for the keys of that time. Private keys are sealed before they are stored. Public keys are kept for
//! ever: a chain must stay verifiable.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use md5::Md5;
use parking_lot::Mutex;
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey, EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs1v15::{Signature, SigningKey as RsaSigningKey, VerifyingKey};
use rsa::signature::{SignatureEncoding, Signer, Verifier};
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use towpath_meta::{Expect, Key, MetaError, MetaStore, MetaStoreExt, Write};
use towpath_model::Region;
use tracing::info;
use zeroize::Zeroizing;

use crate::settings::TrailSettings;

const BITS: usize = 2048;
const AREA: &str = "trail/signing-key";

/// Seals private keys at rest. What is sealed opens for its name alone.
pub trait Sealer: Send + Sync + 'static {
    /// Seals `plain` for `name`.
    fn seal(&self, name: &str, plain: &[u8]) -> Result<String, SealError>;
    /// Opens what was sealed for `name`.
    fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError>;
}

/// A secret cannot be sealed or does not open.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SealError(pub String);

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The metadata store failed.
    #[error("cannot read or keep signing keys")]
    Meta(#[source] MetaError),
    /// No key could be made.
    #[error("cannot make an RSA key")]
    Make(#[source] rsa::Error),
    /// The private key cannot be sealed or opened.
    #[error("cannot open the private key {fingerprint}")]
    Seal {
        /// Which key.
        fingerprint: String,
        /// Why.
        #[source]
        cause: SealError,
    },
    /// A stored key is damaged.
    #[error("the stored key {0} is damaged")]
    Damaged(String),
    /// The runtime stops.
    #[error("the process stops")]
    Stopping,
}

/// A public key as ListPublicKeys answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublicKey {
    /// DER of a PKCS#1 `RSAPublicKey`; base64 in JSON.
    #[serde(with = "base64_text")]
    pub value: Vec<u8>,
    /// Hexadecimal MD5 of `value`.
    pub fingerprint: String,
    /// First instant of validity.
    pub validity_start_time: Timestamp,
    /// Last instant of validity.
    pub validity_end_time: Timestamp,
}

mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

/// The stored form of a key.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    public: String,
    sealed: String,
    start: Timestamp,
    end: Timestamp,
}

/// A key that signs.
pub(crate) struct SigningKey {
    pub(crate) fingerprint: String,
    start: Timestamp,
    end: Timestamp,
    key: RsaSigningKey<Sha256>,
}

impl SigningKey {
    /// The hexadecimal signature of a text.
    pub(crate) fn sign(&self, text: &[u8]) -> String {
        hex::encode(self.key.sign(text).to_bytes())
    }
}

/// Keeps the keys of all regions.
pub struct SigningKeys {
    meta: Arc<dyn MetaStore>,
    sealer: Arc<dyn Sealer>,
    validity: SignedDuration,
    overlap: SignedDuration,
    loaded: Mutex<HashMap<Region, Vec<Arc<SigningKey>>>>,
    // Held while a region's keys are read or one is made, so that one is made.
    making: tokio::sync::Mutex<()>,
}

impl SigningKeys {
    /// Keeps keys in `meta`, sealed by `sealer`, valid as the settings say.
    pub fn new(meta: Arc<dyn MetaStore>, sealer: Arc<dyn Sealer>, settings: &TrailSettings) -> Self {
        let days = |days: u64| SignedDuration::from_hours(24 * i64::try_from(days.min(3_650)).expect("3650 at most"));
        Self {
            meta,
            sealer,
            validity: days(settings.key_validity_days),
            overlap: days(settings.key_overlap_days),
            loaded: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// Every public key of a region whose validity touches `from..=to`, oldest first.
    pub async fn public_keys(
        &self,
        region: &Region,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<PublicKey>, SigningKeyError> {
        let stored = self.meta.list_all_json::<Stored>(&area(region)).await.map_err(SigningKeyError::Meta)?;
        let mut keys = Vec::new();
        for record in stored {
            let fingerprint = record.key.last_part().into_owned();
            let Ok(value) = STANDARD.decode(&record.value.public) else {
                return Err(SigningKeyError::Damaged(fingerprint));
            };
            let (start, end) = (record.value.start, record.value.end);
            if start <= to && end >= from {
                keys.push(PublicKey { value, fingerprint, validity_start_time: start, validity_end_time: end });
            }
        }
        keys.sort_by(|a, b| (a.validity_start_time, &a.fingerprint).cmp(&(b.validity_start_time, &b.fingerprint)));
        Ok(keys)
    }

    /// The key in force in a region at an instant; makes one if there is none or the last one is about to end.
    pub(crate) async fn at(&self, region: &Region, at: Timestamp) -> Result<Arc<SigningKey>, SigningKeyError> {
        if let Some(key) = self.loaded.lock().get(region).and_then(|keys| self.in_force(keys, at)) {
            return Ok(key);
        }
        let _making = self.making.lock().await;
        let mut keys = self.load(region).await?;
        if let Some(key) = self.in_force(&keys, at) {
            self.loaded.lock().insert(region.clone(), keys);
            return Ok(key);
        }
        let key = self.make(region, at).await?;
        keys.push(key.clone());
        self.loaded.lock().insert(region.clone(), keys);
        Ok(key)
    }

    /// The newest key that covers the instant and has more than the overlap left.
    fn in_force(&self, keys: &[Arc<SigningKey>], at: Timestamp) -> Option<Arc<SigningKey>> {
        let covers = |key: &&Arc<SigningKey>| key.start <= at && later(at, self.overlap) < key.end;
        keys.iter().filter(covers).max_by_key(|key| key.start).cloned()
    }

    async fn load(&self, region: &Region) -> Result<Vec<Arc<SigningKey>>, SigningKeyError> {
        let stored = self.meta.list_all_json::<Stored>(&area(region)).await.map_err(SigningKeyError::Meta)?;
        let mut keys = Vec::with_capacity(stored.len());
        for record in stored {
            let fingerprint = record.key.last_part().into_owned();
            let Stored { sealed, start, end, .. } = record.value;
            let opened = self.sealer.open(&fingerprint, &sealed);
            let private = opened.map_err(|cause| SigningKeyError::Seal { fingerprint: fingerprint.clone(), cause })?;
            let Ok(key) = RsaPrivateKey::from_pkcs1_der(&private) else {
                return Err(SigningKeyError::Damaged(fingerprint));
            };
            keys.push(Arc::new(SigningKey { fingerprint, start, end, key: RsaSigningKey::new(key) }));
        }
        Ok(keys)
    }

    async fn make(&self, region: &Region, start: Timestamp) -> Result<Arc<SigningKey>, SigningKeyError> {
        let made = tokio::task::spawn_blocking(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, BITS));
        let key = made.await.map_err(|_| SigningKeyError::Stopping)?.map_err(SigningKeyError::Make)?;
        self.keep(region, key, start, later(start, self.validity)).await
    }

    /// Stores a key.
    pub(crate) async fn keep(
        &self,
        region: &Region,
        key: RsaPrivateKey,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Arc<SigningKey>, SigningKeyError> {
        let damaged = || SigningKeyError::Damaged("that was just made".to_owned());
        let public = key.to_public_key().to_pkcs1_der().map_err(|_| damaged())?.as_bytes().to_vec();
        let private = key.to_pkcs1_der().map_err(|_| damaged())?;
        let fingerprint = fingerprint_of(&public);
        let sealed = self.sealer.seal(&fingerprint, private.as_bytes());
        let sealed = sealed.map_err(|cause| SigningKeyError::Seal { fingerprint: fingerprint.clone(), cause })?;
        let stored = Stored { public: STANDARD.encode(&public), sealed, start, end };
        let place = area(region).child(&fingerprint).expect("a region and a fingerprint are short");
        let write = Write::json(place.clone(), &stored).map_err(SigningKeyError::Meta)?;
        self.meta.commit(&[Expect::Absent(place)], &[write]).await.map_err(SigningKeyError::Meta)?;
        info!(%region, fingerprint, %start, %end, "signing key made");
        Ok(Arc::new(SigningKey { fingerprint, start, end, key: RsaSigningKey::new(key) }))
    }
}

fn area(region: &Region) -> Key {
    Key::new(AREA).and_then(|area| area.child(region.as_str())).expect("a region is shorter than a key may be")
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The `Fingerprint` of a public key: hexadecimal MD5 of its DER.
pub(crate) fn fingerprint_of(der: &[u8]) -> String {
    hex::encode(Md5::digest(der))
}

/// A public key that checks signatures.
pub(crate) struct Checker(VerifyingKey<Sha256>);

impl Checker {
    /// Reads the DER of a PKCS#1 public key.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        RsaPublicKey::from_pkcs1_der(der).ok().map(|key| Self(VerifyingKey::new(key)))
    }

    /// True when the hexadecimal signature is one of the text.
    pub(crate) fn verifies(&self, text: &[u8], signature: &str) -> bool {
        let Ok(bytes) = hex::decode(signature) else { return false };
        Signature::try_from(bytes.as_slice()).is_ok_and(|signature| self.0.verify(text, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use towpath_meta::MemoryMetaStore;

    use super::*;
    use crate::testing::{PlainSealer, test_key};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn keys_overlap_and_each_instant_has_one_in_force() {
        let meta = Arc::new(MemoryMetaStore::new());
        let keys = SigningKeys::new(meta.clone(), Arc::new(PlainSealer), &TrailSettings::default());
        let region: Region = "eu-central-1".parse().unwrap();
        let (first, second) = (at("2026-01-01T00:00:00Z"), at("2026-01-24T12:00:00Z"));
        let one = keys.keep(&region, test_key(0), first, later(first, keys.validity)).await.unwrap();
        keys.loaded.lock().clear();
        assert_eq!(keys.at(&region, at("2026-01-23T00:00:00Z")).await.unwrap().fingerprint, one.fingerprint);
        assert!(keys.in_force(std::slice::from_ref(&one), second).is_none(), "the next key takes over before the end");
        let two = keys.keep(&region, test_key(1), second, later(second, keys.validity)).await.unwrap();
        keys.loaded.lock().clear();
        assert_eq!(keys.at(&region, second).await.unwrap().fingerprint, two.fingerprint);

        let listed = |from, to| keys.public_keys(&region, at(from), at(to));
        assert_eq!(listed("2026-01-25T00:00:00Z", "2026-01-25T00:00:00Z").await.unwrap().len(), 2);
        assert_eq!(listed("2026-02-10T00:00:00Z", "2026-02-11T00:00:00Z").await.unwrap().len(), 1);
        assert_eq!(listed("2025-02-10T00:00:00Z", "2025-02-11T00:00:00Z").await.unwrap().len(), 0);
        let other = "us-east-1".parse().unwrap();
        assert!(keys.public_keys(&other, Timestamp::MIN, Timestamp::MAX).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_signature_is_checked_with_the_listed_key() {
        let meta = Arc::new(MemoryMetaStore::new());
        let keys = SigningKeys::new(meta, Arc::new(PlainSealer), &TrailSettings::default());
        let region: Region = "eu-central-1".parse().unwrap();
        let start = at("2026-01-01T00:00:00Z");
        let key = keys.keep(&region, test_key(0), start, later(start, keys.validity)).await.unwrap();
        let public = keys.public_keys(&region, start, start).await.unwrap().remove(0);
        assert_eq!(public.fingerprint, fingerprint_of(&public.value));
        let checker = Checker::read(&public.value).unwrap();
        let signature = key.sign(b"text");
        assert_eq!(signature.len(), 512);
        assert!(checker.verifies(b"text", &signature));
        assert!(!checker.verifies(b"texT", &signature));
        assert!(!checker.verifies(b"text", "zz"));
        assert!(Checker::read(b"no key").is_none());
        let json = serde_json::to_string(&public).unwrap();
        assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), public);
    }
}
