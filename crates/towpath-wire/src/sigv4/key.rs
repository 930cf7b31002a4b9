//! Signing keys: a secret narrowed to one day, region and service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::credential::Scope;

pub(crate) type HmacSha256 = Hmac<Sha256>;

/// A derived key, ready to sign.
#[derive(Clone)]
pub(crate) struct SigningKey(HmacSha256);

impl SigningKey {
    /// Narrows a secret: four keyed hashes, one inside the other.
    pub(crate) fn derive(secret: &[u8], scope: &Scope) -> Self {
        let mut first = Vec::with_capacity(4 + secret.len());
        first.extend_from_slice(b"AWS4");
        first.extend_from_slice(secret);
        let first = zeroize::Zeroizing::new(first);
        let day = keyed(&first, scope.day.as_bytes());
        let region = keyed(&day, scope.region.as_bytes());
        let service = keyed(&region, scope.service.as_bytes());
        Self(mac(&keyed(&service, b"aws4_request")))
    }

    /// The signature of a string to sign.
    pub(crate) fn sign(&self, string_to_sign: &str) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(string_to_sign.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn mac(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn keyed(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = mac(key);
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// Remembers derived keys, so that a busy caller's are made once a day.
///
/// Holds at most twice its capacity: when the young half is full it becomes the old half, and the old half goes. A
/// key is used only for the secret it was derived from, so a secret that changed is noticed.
pub struct SigningKeys {
    capacity: usize,
    // Held for a look-up or an insertion, never while a key is derived.
    halves: Mutex<Halves>,
}

#[derive(Default)]
struct Halves {
    young: HashMap<Name, Entry>,
    old: HashMap<Name, Entry>,
}

type Name = (String, Scope);

#[derive(Clone)]
struct Entry {
    secret_hash: [u8; 32],
    key: SigningKey,
}

impl SigningKeys {
    /// An empty store for about `capacity` to twice as many keys; one key takes about half a kilobyte.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), halves: Mutex::default() }
    }

    /// The number of remembered keys.
    pub fn len(&self) -> usize {
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.young.len() + halves.old.len()
    }

    /// True if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key for this secret and scope, remembered or derived now.
    pub(crate) fn get(&self, access_key_id: &str, secret: &[u8], scope: &Scope) -> SigningKey {
        let secret_hash: [u8; 32] = Sha256::digest(secret).into();
        let name = (access_key_id.to_owned(), scope.clone());
        if let Some(entry) = self.find(&name)
            && bool::from(entry.secret_hash.ct_eq(&secret_hash))
        {
            return entry.key;
        }
        let key = SigningKey::derive(secret, scope);
        self.keep(name, Entry { secret_hash, key: key.clone() });
        key
    }

    fn find(&self, name: &Name) -> Option<Entry> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = halves.young.get(name) {
            return Some(entry.clone());
        }
        let entry = halves.old.remove(name)?;
        halves.keep(self.capacity, name.clone(), entry.clone());
        Some(entry)
    }

    fn keep(&self, name: Name, entry: Entry) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.keep(self.capacity, name, entry);
    }
}

impl Halves {
    fn keep(&mut self, capacity: usize, name: Name, entry: Entry) {
        if self.young.len() >= capacity && !self.young.contains_key(&name) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, entry);
    }
}

impl Default for SigningKeys {
    fn default() -> Self {
        Self::new(1024)
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
