//! The root access key of the first account, as the file `credentials` holds it.
//!
//! The key is chosen once: from the environment, else from a `credentials` file that a crashed first start left, else
//! at random. The file is written before the key is put into the metadata store, so that no crash can leave a key that
//! nobody knows.

use rand::Rng;
use rand::distr::slice::Choose;

use crate::config::Secret;
use crate::profile::Profiles;

use super::data_dir::{DataDir, DataDirError};

/// The file in the data directory.
pub const FILE: &str = "credentials";

/// The profile in the file.
pub const PROFILE: &str = "towpath";

/// The variables that choose the key.
pub const KEY_VARIABLE: &str = "TOWPATH_ROOT_ACCESS_KEY_ID";
/// See [`KEY_VARIABLE`].
pub const SECRET_VARIABLE: &str = "TOWPATH_ROOT_SECRET_ACCESS_KEY";

/// A root access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKey {
    /// 16 to 128 letters, digits and underscores, as AWS's model has it.
    pub access_key_id: String,
    /// At least 8 visible characters when chosen, 40 when drawn.
    pub secret_access_key: Secret,
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// One variable is set, the other is not.
    #[error("{set} is set and {missing} is not; set both, or neither to have a key generated")]
    Half {
        /// The one that is set.
        set: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A value cannot be half of an access key.
    #[error("{variable} must have {must}")]
    Value {
        /// Where the value came from.
        variable: &'static str,
        /// What would work.
        must: &'static str,
    },
    /// The file of a crashed first start, or one that somebody put there, cannot be read.
    #[error(
        "the file credentials in the data directory holds no complete profile [{PROFILE}]; remove the file, or set \
         {KEY_VARIABLE} and {SECRET_VARIABLE}"
    )]
    Incomplete,
    /// The file cannot be read or written.
    #[error(transparent)]
    Directory(#[from] DataDirError),
}

impl RootKey {
    /// Reads the key from variables; `None` if neither is set.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, RootKeyError> {
        let value = |name| variable(name).filter(|value| !value.is_empty());
        match (value(KEY_VARIABLE), value(SECRET_VARIABLE)) {
            (None, None) => Ok(None),
            (Some(id), Some(secret)) => Self::checked(id, secret).map(Some),
            (Some(_), None) => Err(RootKeyError::Half { set: KEY_VARIABLE, missing: SECRET_VARIABLE }),
            (None, Some(_)) => Err(RootKeyError::Half { set: SECRET_VARIABLE, missing: KEY_VARIABLE }),
        }
    }

    /// Chooses the key of a first start and writes the file.
    pub fn choose(data: &DataDir, variable: impl Fn(&str) -> Option<String>) -> Result<Self, RootKeyError> {
        let key = match (Self::from_environment(variable)?, data.read(FILE)?) {
            (Some(key), _) => key,
            (None, Some(text)) => Self::from_file(&text)?,
            (None, None) => Self::draw(),
        };
        data.write_private(FILE, key.file().as_bytes())?;
        Ok(key)
    }

    fn from_file(text: &str) -> Result<Self, RootKeyError> {
        let profiles = Profiles::parse(text);
        let value = |key| profiles.get(PROFILE, key).map(str::to_owned).ok_or(RootKeyError::Incomplete);
        Self::checked(value("aws_access_key_id")?, value("aws_secret_access_key")?)
    }

    fn checked(access_key_id: String, secret: String) -> Result<Self, RootKeyError> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !(16..=128).contains(&access_key_id.len()) || !access_key_id.chars().all(word) {
            let must = "16 to 128 letters, digits or underscores, such as AKIA and 16 more";
            return Err(RootKeyError::Value { variable: KEY_VARIABLE, must });
        }
        if !(8..=128).contains(&secret.len()) || !secret.chars().all(|c| c.is_ascii_graphic()) {
            let must = "8 to 128 visible ASCII characters";
            return Err(RootKeyError::Value { variable: SECRET_VARIABLE, must });
        }
        Ok(Self { access_key_id, secret_access_key: Secret::new(secret) })
    }

    fn draw() -> Self {
        // As long and of the same letters as keys of AWS, so that every tool that checks the form accepts them.
        let mut random = rand::rng();
        let mut pick = |letters: &'static [u8], count: usize| -> String {
            let letters = Choose::new(letters).expect("there are letters");
            (0..count).map(|_| char::from(*random.sample(letters))).collect()
        };
        Self {
            access_key_id: format!("AKIA{}", pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
            secret_access_key: Secret::new(pick(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                40,
            )),
        }
    }

    fn file(&self) -> String {
        format!(
            "# Root access key of this data directory. Keep it secret; use it with --profile {PROFILE}.\n\
             [{PROFILE}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            self.access_key_id,
            self.secret_access_key.expose()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn no_variables(_: &str) -> Option<String> {
        None
    }

    fn data() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        (folder, data)
    }

    #[test]
    fn a_first_start_draws_a_key_and_a_start_after_a_crash_finds_it_again() {
        let (_folder, data) = data();
        let key = RootKey::choose(&data, no_variables).unwrap();
        assert_eq!(key.access_key_id.len(), 20);
        assert_eq!(key.secret_access_key.expose().len(), 40);
        let mode = std::fs::metadata(data.join(FILE)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(RootKey::choose(&data, no_variables).unwrap(), key);
        let (_folder, other) = self::data();
        assert_ne!(RootKey::choose(&other, no_variables).unwrap(), key);
    }

    #[test]
    fn the_file_is_in_the_format_of_aws() {
        let (_folder, data) = data();
        let key = RootKey::choose(&data, no_variables).unwrap();
        let profiles = Profiles::parse(&data.read(FILE).unwrap().unwrap());
        assert_eq!(profiles.get("towpath", "aws_access_key_id"), Some(key.access_key_id.as_str()));
        assert_eq!(profiles.get("towpath", "aws_secret_access_key"), Some(key.secret_access_key.expose()));
    }

    #[test]
    fn variables_choose_the_key() {
        let (_folder, data) = data();
        let variable = |name: &str| match name {
            KEY_VARIABLE => Some("AKIATOWPATHEXAMPLE00".to_owned()),
            SECRET_VARIABLE => Some("not-much-of-a-secret".to_owned()),
            _ => None,
        };
        let key = RootKey::choose(&data, variable).unwrap();
        assert_eq!(key.access_key_id, "AKIATOWPATHEXAMPLE00");
        assert_eq!(RootKey::choose(&data, no_variables).unwrap(), key);
        assert!(!format!("{key:?}").contains("not-much"));
    }

    #[test]
    fn half_a_key_and_an_impossible_one_are_refused() {
        let refusal = |id: &'static str, secret: &'static str| {
            RootKey::from_environment(|name| Some(if name == KEY_VARIABLE { id } else { secret }.to_owned()))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refusal("AKIATOWPATHEXAMPLE00", ""),
            "TOWPATH_ROOT_ACCESS_KEY_ID is set and TOWPATH_ROOT_SECRET_ACCESS_KEY is not; set both, or neither to have \
             a key generated"
        );
        assert!(refusal("short", "long-enough").starts_with("TOWPATH_ROOT_ACCESS_KEY_ID must have"));
        let secret = refusal("AKIATOWPATHEXAMPLE00", "with blanks");
        assert!(secret.starts_with("TOWPATH_ROOT_SECRET_ACCESS_KEY must have") && !secret.contains("blanks"));
    }

    #[test]
    fn a_broken_file_is_refused() {
        let (_folder, data) = data();
        data.write_private(FILE, b"[towpath]\naws_access_key_id = AKIATOWPATHEXAMPLE00\n").unwrap();
        assert!(matches!(RootKey::choose(&data, no_variables), Err(RootKeyError::Incomplete)));
    }
}
