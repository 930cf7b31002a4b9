//! Secrets in memory: redacted in every message, wiped when dropped, made by the operating system's generator.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::TryRngCore;
use rand::rngs::OsRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret access key.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("cannot get random bytes from the operating system")]
pub struct RandomError(#[source] rand::rand_core::OsError);

/// Why a text is not a secret access key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret access key has 1 to 128 printable ASCII characters")]
pub struct SecretError;

impl Secret {
    /// Takes a secret chosen by someone else: 1-128 printable ASCII characters.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if printable && (1..=128).contains(&text.len()) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(SecretError)
        }
    }

    /// Makes a secret of 40 characters (240 random bits), as AWS does.
    pub(crate) fn generate() -> Result<Self, RandomError> {
        let mut bytes = Zeroizing::new([0; 30]);
        fill_random(&mut *bytes)?;
        Ok(Self(Zeroizing::new(STANDARD.encode(bytes.as_slice()))))
    }

    /// Returns the text. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    /// Compares in time that depends on the lengths alone.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Fills `bytes` with random bytes of the operating system.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), RandomError> {
    OsRng.try_fill_bytes(bytes).map_err(RandomError)
}

/// Makes an identifier as AWS does: a prefix such as `AIDA` and `length` random characters of upper-case base32.
pub(crate) fn unique_id(prefix: &str, length: usize) -> Result<String, RandomError> {
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bytes = vec![0; length];
    fill_random(&mut bytes)?;
    let characters = bytes.iter().map(|byte| char::from(BASE32[usize::from(byte & 31)]));
    Ok(prefix.chars().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_forty_characters_and_is_never_shown() {
        let secret = Secret::generate().unwrap();
        assert_eq!(secret.expose().len(), 40);
        assert_ne!(secret, Secret::generate().unwrap());
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
    }

    #[test]
    fn ids_look_as_those_of_aws() {
        let id = unique_id("AKIA", 16).unwrap();
        assert_eq!(id.len(), 20);
        assert!(id.starts_with("AKIA"));
        assert!(id.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)));
    }

    #[test]
    fn a_chosen_secret_is_printable() {
        assert!(Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").is_ok());
        for text in ["", "a b", "ä", &"s".repeat(129)] {
            assert_eq!(Secret::new(text), Err(SecretError));
        }
    }
}
