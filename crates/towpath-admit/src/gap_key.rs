//! The key that signs gap records: Ed25519, made at the first start and kept in a file that only its owner may read.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

/// What stands before the 32 bytes of an Ed25519 public key in a SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Why there is no key to sign gap records with.
#[derive(Debug, thiserror::Error)]
pub enum GapKeyError {
    /// No key could be made.
    #[error("cannot make a key for gap records")]
    Random,
    /// The file cannot be read or written.
    #[error("cannot keep the key for gap records in {}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file holds no such key.
    #[error("{} holds no Ed25519 key in PEM form", .0.display())]
    NoKey(PathBuf),
}

/// The key that signs gap records.
pub struct GapKey(Ed25519KeyPair);

impl GapKey {
    /// Reads the key in `file` (PEM, PKCS #8), or makes one there (mode 0600).
    ///
    /// # Errors
    /// See [`GapKeyError`].
    pub fn open(file: &Path) -> Result<Self, GapKeyError> {
        let failed = |cause| GapKeyError::File { file: file.to_owned(), cause };
        match fs::read_to_string(file) {
            Ok(text) => Self::of_pem(&text).ok_or_else(|| GapKeyError::NoKey(file.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (key, der) = generate()?;
                // Under another name first, so that a crash leaves no half of a key.
                let made = file.with_extension("tmp");
                let _ = fs::remove_file(&made);
                let mut options = OpenOptions::new();
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut out = options.open(&made).map_err(failed)?;
                let text = format!("{BEGIN}\n{}\n{END}\n", BASE64.encode(&der));
                out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(failed)?;
                fs::rename(&made, file).map_err(failed)?;
                Ok(key)
            }
            Err(cause) => Err(failed(cause)),
        }
    }

    /// Makes a key that ends with the process.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn ephemeral() -> Result<Self, GapKeyError> {
        generate().map(|(key, _)| key)
    }

    fn of_pem(text: &str) -> Option<Self> {
        let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
        let body: String = body.split_ascii_whitespace().collect();
        let der = BASE64.decode(body).ok()?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok().map(Self)
    }

    /// The 32 bytes of the public key.
    pub fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The public key in PEM form (SubjectPublicKeyInfo), as `openssl pkeyutl -verify` takes it.
    pub fn public_key_pem(&self) -> String {
        let der = [&SPKI_PREFIX, self.public_key()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der))
    }

    /// The signature of a text: 64 bytes.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }
}

impl fmt::Debug for GapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GapKey(..)")
    }
}

fn generate() -> Result<(GapKey, Vec<u8>), GapKeyError> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| GapKeyError::Random)?;
    let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| GapKeyError::Random)?;
    Ok((GapKey(key), document.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gap.key");
        let made = GapKey::open(&file).unwrap();
        let read = GapKey::open(&file).unwrap();
        assert_eq!(made.public_key(), read.public_key());
        assert!(made.public_key_pem().contains("MCowBQYDK2VwAyEA"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&file, "no key").unwrap();
        assert!(matches!(GapKey::open(&file), Err(GapKeyError::NoKey(_))));
    }
}
