//! Sealing: AES-256-GCM under keys derived from the one secret key of the installation.
//!
//! The secret key lives outside the database, in a file of mode 0600 or in the environment. Two keys are derived from
//! it, one for secrets at rest and one for session tokens, so that neither can be mistaken for the other. What is
//! sealed is bound to a name (the access key id): moved to another record, it does not open.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::{RandomError, fill_random};

/// The environment variable that may hold the secret key, as base64 or hexadecimal of 32 bytes.
pub const SECRET_KEY_VARIABLE: &str = "TOWPATH_SECRET_KEY";

/// The first byte of everything sealed: the format.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The secret key of an installation: 32 bytes that open every secret in the database.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

/// Why there is no secret key.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// The text is not 32 bytes in base64 or hexadecimal.
    #[error("{0} does not hold 32 bytes in base64 or hexadecimal")]
    Form(String),
    /// Others than the owner may read the file.
    #[error("secret key file {} has mode {mode:o} and may be read by others; run: chmod 600 {}", path.display(), path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is no file, and secrets are sealed with a key already.
    #[error(
        "there is no secret key file {}, and the database was made with a secret key; restore the file from a backup, or \
         set {SECRET_KEY_VARIABLE} to the key", path.display()
    )]
    Gone {
        /// Where the file should be.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read secret key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot create secret key file {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// No key could be made.
    #[error("cannot make a secret key")]
    Random(#[from] RandomError),
}

impl SecretKey {
    /// Returns the key of an installation: `environment` (the value of [`SECRET_KEY_VARIABLE`]) if given, else that in
    /// the file. Where there is neither, a key and its file are made for a new installation; for one that `sealed`
    /// secrets before, another key would be of no use, and nothing is made.
    pub fn load(file: &Path, environment: Option<&str>, sealed: bool) -> Result<Self, SecretKeyError> {
        if let Some(text) = environment {
            return Self::parse(text).ok_or_else(|| SecretKeyError::Form(SECRET_KEY_VARIABLE.to_owned()));
        }
        match File::open(file) {
            Ok(open) => Self::read(file, &open),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SecretKeyError::Read { path: file.to_owned(), cause: error })
            }
            Err(_) if sealed => Err(SecretKeyError::Gone { path: file.to_owned() }),
            Err(_) => Self::create(file),
        }
    }

    /// Makes a key that is not kept anywhere; for tests and for data that does not outlive the process.
    pub fn generate() -> Result<Self, RandomError> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// Parses base64 or hexadecimal of exactly 32 bytes.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = Zeroizing::new(hex::decode(text).or_else(|_| STANDARD.decode(text)).ok()?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    fn read(path: &Path, file: &File) -> Result<Self, SecretKeyError> {
        let read_error = |cause| SecretKeyError::Read { path: path.to_owned(), cause };
        let metadata = file.metadata().map_err(read_error)?;
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
            if mode & 0o077 != 0 {
                return Err(SecretKeyError::Mode { path: path.to_owned(), mode });
            }
        }
        let form_error = || SecretKeyError::Form(format!("secret key file {}", path.display()));
        if metadata.len() > 1024 {
            return Err(form_error());
        }
        let text = Zeroizing::new(fs::read(path).map_err(read_error)?);
        std::str::from_utf8(&text).ok().and_then(Self::parse).ok_or_else(form_error)
    }

    /// Makes a key and its file. A crash leaves a whole key or none.
    fn create(path: &Path) -> Result<Self, SecretKeyError> {
        let key = Self::generate()?;
        let text = Zeroizing::new(hex::encode(*key.0) + "\n");
        persist(path, text.as_bytes()).map_err(|cause| SecretKeyError::Create { path: path.to_owned(), cause })?;
        Ok(key)
    }

    /// Derives the sealer for one purpose.
    pub fn sealer(&self, purpose: &str) -> Sealer {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&*self.0).expect("HMAC takes keys of any length");
        mac.update(b"towpath ");
        mac.update(purpose.as_bytes());
        let derived = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        Sealer { cipher: Aes256Gcm::new_from_slice(&*derived).expect("a derived key has 32 bytes") }
    }
}

/// Writes a file of mode 0600 beside its final name, syncs it and then gives it that name.
fn persist(path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

/// Seals and opens texts for one purpose.
#[derive(Clone)]
pub struct Sealer {
    cipher: Aes256Gcm,
}

/// What was sealed does not open: another key, another name, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed value does not open with this key")]
pub struct OpenSealError;

impl Sealer {
    /// Seals `plain` for `name`: base64 of format, nonce, ciphertext and tag.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<String, RandomError> {
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        let payload = Payload { msg: plain, aad: name.as_bytes() };
        let sealed = self.cipher.encrypt(Nonce::from_slice(&nonce), payload);
        let sealed = sealed.expect("AES-GCM seals every text below 64 GiB");

        let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(STANDARD.encode(bytes))
    }

    /// Opens what was sealed for `name`.
    pub fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, OpenSealError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| OpenSealError)?;
        if bytes.len() < 1 + NONCE_BYTES + TAG_BYTES || bytes[0] != FORMAT {
            return Err(OpenSealError);
        }
        let (nonce, sealed) = bytes[1..].split_at(NONCE_BYTES);
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let plain = self.cipher.decrypt(Nonce::from_slice(nonce), payload).map_err(|_| OpenSealError)?;
        Ok(Zeroizing::new(plain))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_name_and_purpose_alone() {
        let key = SecretKey::generate().unwrap();
        let (sealer, other) = (key.sealer("secrets"), key.sealer("tokens"));
        let sealed = sealer.seal("AKIA1", b"plain").unwrap();

        assert_eq!(&sealer.open("AKIA1", &sealed).unwrap()[..], b"plain");
        assert_eq!(sealer.open("AKIA2", &sealed).unwrap_err(), OpenSealError);
        assert_eq!(other.open("AKIA1", &sealed).unwrap_err(), OpenSealError);
        assert_eq!(SecretKey::generate().unwrap().sealer("secrets").open("AKIA1", &sealed).unwrap_err(), OpenSealError);
        assert_ne!(sealed, sealer.seal("AKIA1", b"plain").unwrap());
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let sealer = SecretKey::generate().unwrap().sealer("secrets");
        let sealed = STANDARD.decode(sealer.seal("AKIA1", b"plain").unwrap()).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open("AKIA1", &STANDARD.encode(changed)).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(sealer.open("AKIA1", &STANDARD.encode(&sealed[..length])).is_err());
        }
        assert!(sealer.open("AKIA1", "not base64!").is_err());
    }

    #[test]
    fn a_key_file_is_made_once_and_read_afterwards() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("secret.key");
        let made = SecretKey::load(&path, None, false).unwrap();
        let read = SecretKey::load(&path, None, false).unwrap();

        assert_eq!(made.0, read.0);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        assert_eq!(format!("{made:?}"), "SecretKey(redacted)");
    }

    #[test]
    fn no_key_is_made_where_secrets_are_sealed_with_another() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("secret.key");
        let error = SecretKey::load(&path, None, true).unwrap_err();

        assert!(matches!(error, SecretKeyError::Gone { .. }), "{error}");
        assert!(error.to_string().contains("restore the file"), "{error}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        let key = SecretKey::load(&path, Some(&hex::encode([7; 32])), true).unwrap();
        assert_eq!(key.0[..], [7; 32]);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let home = TempDir::new().unwrap();
        let path = home.path().join("secret.key");
        SecretKey::load(&path, None, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();

        let error = SecretKey::load(&path, None, false).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn the_environment_wins_over_the_file_and_both_forms_are_read() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("secret.key");
        let bytes = [7; 32];
        for text in [hex::encode(bytes), STANDARD.encode(bytes), format!("  {}\n", hex::encode_upper(bytes))] {
            assert_eq!(SecretKey::load(&path, Some(&text), false).unwrap().0[..], bytes);
        }
        assert!(!path.exists());
        for text in ["", "short", &hex::encode([7; 31]), &STANDARD.encode([7; 33])] {
            assert!(matches!(SecretKey::load(&path, Some(text), false), Err(SecretKeyError::Form(_))), "{text}");
        }
        fs::write(&path, "nonsense").unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert!(matches!(SecretKey::load(&path, None, false), Err(SecretKeyError::Form(_))));
    }
}
