//! Names of buckets and keys of objects, with S3's rules.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest key of an object, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// The name of a bucket: 3-63 lower-case letters, digits, dots and hyphens, as S3 has it for new buckets.
///
/// It is safe as the name of a folder: it has no separator and is neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(Arc<str>);

/// The text is not the name of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a bucket: 3-63 lower-case letters, digits, dots and hyphens, no two dots in a row")]
pub struct BucketNameError(String);

impl BucketName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `arn:aws:s3:::name`.
    pub fn arn(&self) -> String {
        format!("arn:aws:s3:::{self}")
    }

    /// Returns `arn:aws:s3:::name/key`.
    pub fn object_arn(&self, key: &str) -> String {
        format!("arn:aws:s3:::{self}/{key}")
    }
}

impl FromStr for BucketName {
    type Err = BucketNameError;

    fn from_str(text: &str) -> Result<Self, BucketNameError> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let label = |label: &str| {
            let bytes = label.as_bytes();
            matches!((bytes.first(), bytes.last()), (Some(&first), Some(&last)) if word(first) && word(last))
                && bytes.iter().all(|&byte| word(byte) || byte == b'-')
        };
        let reserved = text.starts_with("xn--") || text.ends_with("-s3alias") || text.ends_with("--ol-s3");
        let sound = (3..=63).contains(&text.len()) && text.split('.').all(label) && !reserved;
        if sound && text.parse::<Ipv4Addr>().is_err() {
            Ok(Self(text.into()))
        } else {
            let shown: String = text.chars().take(80).collect();
            Err(BucketNameError(shown))
        }
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for BucketName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BucketName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The key of an object: 1 to [`MAX_KEY_BYTES`] bytes of any UTF-8. It is never used as a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

/// The text is empty or too long for a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of {0} bytes is not between 1 and {MAX_KEY_BYTES} bytes long")]
pub struct ObjectKeyError(usize);

impl ObjectKey {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = ObjectKeyError;

    fn from_str(text: &str) -> Result<Self, ObjectKeyError> {
        if (1..=MAX_KEY_BYTES).contains(&text.len()) { Ok(Self(text.into())) } else { Err(ObjectKeyError(text.len())) }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_s3() {
        for name in ["abc", "my-bucket", "a.b.c", "logs.example.org", "0bucket9", &"b".repeat(63)] {
            assert!(name.parse::<BucketName>().is_ok(), "{name}");
        }
        let wrong = [
            "",
            "ab",
            "My-bucket",
            "a_b",
            "a..b",
            "-abc",
            "abc-",
            "a-.b",
            "a.-b",
            ".abc",
            "abc.",
            "192.168.5.4",
            "a b",
            "../etc",
            "a/b",
            "xn--bucket",
            "abc-s3alias",
            &"b".repeat(64),
            "bück",
        ];
        for name in wrong {
            assert!(name.parse::<BucketName>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_key_has_one_to_1024_bytes() {
        assert!("../../etc/passwd".parse::<ObjectKey>().is_ok());
        assert!("ä".repeat(512).parse::<ObjectKey>().is_ok());
        assert!("ä".repeat(513).parse::<ObjectKey>().is_err());
        assert!("".parse::<ObjectKey>().is_err());
    }
}
