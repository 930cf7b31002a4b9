//! Names and paths of identities, with the rules of the IAM API.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not the name it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: {rule}")]
pub struct NameError {
    what: &'static str,
    rule: &'static str,
    text: String,
}

fn is_word(text: &str, lengths: std::ops::RangeInclusive<usize>, marks: &[u8]) -> bool {
    lengths.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || marks.contains(&byte))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    // Long input is cut: the message may be logged.
                    Err(NameError { what: $what, rule: $rule, text: text.chars().take(128).collect() })
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The name of a user or role: 1-64 of letters, digits and `_+=,.@-`. Two names of one account may not differ in
    /// case alone.
    EntityName,
    "name",
    "1 to 64 letters, digits or _+=,.@-",
    |text| is_word(text, 1..=64, b"+=,.@-")
);

name!(
    /// The path of a user or role: `/`, or up to 512 printable ASCII characters that begin and end with `/`.
    EntityPath,
    "path",
    "up to 512 printable ASCII characters that begin and end with /",
    |text| {
        text == "/"
            || (text.len() <= 512
                && text.len() > 2
                && text.starts_with('/')
                && text.ends_with('/')
                && !text.contains("//")
                && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte)))
    }
);

name!(
    /// The name of an inline policy: 1-128 of letters, digits and `_+=,.@-`.
    PolicyName,
    "policy name",
    "1 to 128 letters, digits or _+=,.@-",
    |text| is_word(text, 1..=128, b"+=,.@-")
);

name!(
    /// The name of a role session, or a source identity: 2-64 of letters, digits and `_+=,.@-`.
    SessionName,
    "role session name",
    "2 to 64 letters, digits or _+=,.@-",
    |text| is_word(text, 2..=64, b"+=,.@-")
);

name!(
    /// The id of an access key: 3-128 letters, digits and `_`. Those made here are 20 characters long.
    AccessKeyId,
    "access key id",
    "3 to 128 letters, digits or _",
    |text| is_word(text, 3..=128, b"")
);

impl Default for EntityPath {
    fn default() -> Self {
        Self("/".into())
    }
}

impl EntityName {
    /// The form under which a name is unique in its account.
    pub(crate) fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_iam() {
        for text in ["a", "Jane.Doe@example.com", "a+=,.@-_9", &"n".repeat(64)] {
            assert!(text.parse::<EntityName>().is_ok(), "{text}");
        }
        for text in ["", "a b", "a/b", "ü", "a:b", &"n".repeat(65)] {
            assert!(text.parse::<EntityName>().is_err(), "{text}");
        }
        assert!("x".parse::<SessionName>().is_err());
        assert!("n".repeat(128).parse::<PolicyName>().is_ok());
    }

    #[test]
    fn paths_begin_and_end_with_a_slash() {
        for text in ["/", "/a/", "/division_abc/sub!division/", &format!("/{}/", "p".repeat(510))] {
            assert!(text.parse::<EntityPath>().is_ok(), "{text}");
        }
        for text in ["", "a", "/a", "a/", "//", "/a//b/", "/a b/", &format!("/{}/", "p".repeat(511))] {
            assert!(text.parse::<EntityPath>().is_err(), "{text}");
        }
    }
}
