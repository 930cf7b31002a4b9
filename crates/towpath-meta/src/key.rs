//! Keys: validated path-like text such as `lake/store/3f2a.../file/00000000000000000042`.
//!
//! A key is a list of parts joined by `/`. Parts that are not plain text are percent-encoded, so that any name (an
//! ARN, a tag, a path) can be a part and two different names can never become the same key.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Longest key, in bytes of its encoded text.
pub const MAX_KEY_BYTES: usize = 1024;

/// What is encoded inside a part: everything but letters, digits and the marks below. `/` and `%` are encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'+')
    .remove(b'=')
    .remove(b',');

/// The encoded form of the empty part; no other text encodes to it.
const EMPTY_PART: &str = "%";

/// The name of a record: `part/part/...`, 1 to [`MAX_KEY_BYTES`] bytes, every part not empty and in canonical encoding.
///
/// Keys order as their bytes do. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key or one of its parts has no text.
    #[error("key {0:?} has an empty part")]
    EmptyPart(String),
    /// A part has a character that must be encoded, or an encoding that is not the canonical one.
    #[error("part {part:?} of key {key:?} is not encoded canonically")]
    NotCanonical {
        /// The whole text.
        key: String,
        /// The offending part.
        part: String,
    },
    /// The encoded text is longer than [`MAX_KEY_BYTES`].
    #[error("key of {0} bytes is longer than {MAX_KEY_BYTES} bytes")]
    TooLong(usize),
}

impl Key {
    /// Parses `text` as a key whose parts are already encoded.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong(text.len()));
        }
        for part in text.split('/') {
            if part.is_empty() {
                return Err(KeyError::EmptyPart(text.to_owned()));
            }
            let canonical = decode(part).is_some_and(|decoded| encode(&decoded) == part);
            if !canonical {
                return Err(KeyError::NotCanonical { key: text.to_owned(), part: part.to_owned() });
            }
        }
        Ok(Self(text.into()))
    }

    /// Builds a key from plain parts, encoding each.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        let encoded: Vec<_> = parts.into_iter().map(encode).collect();
        Self::bounded(encoded.join("/"))
    }

    /// Adds one part of any text, encoding it.
    pub fn child(&self, part: &str) -> Result<Self, KeyError> {
        Self::bounded(format!("{self}/{}", encode(part)))
    }

    /// Adds a number as a part of 20 digits, so that the order of keys is the order of numbers.
    pub fn child_number(&self, number: u64) -> Result<Self, KeyError> {
        Self::bounded(format!("{self}/{number:020}"))
    }

    /// Returns the encoded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the decoded parts, first to last.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = Cow<'_, str>> {
        self.0.split('/').map(|part| decode(part).expect("a key holds only canonical parts"))
    }

    /// Returns the decoded last part.
    pub fn last_part(&self) -> Cow<'_, str> {
        self.parts().next_back().expect("a key has at least one part")
    }

    /// True when this key is below `prefix`: it has all of its parts and at least one more.
    pub fn is_under(&self, prefix: &Key) -> bool {
        self.0.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The texts between which every key under this one lies, both excluded.
    pub(crate) fn range(&self) -> (String, String) {
        // '0' follows '/' in ASCII, and no key ends with '/'.
        (format!("{self}/"), format!("{self}0"))
    }

    /// Makes a key of text whose parts were encoded here.
    fn bounded(text: String) -> Result<Self, KeyError> {
        if text.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong(text.len()));
        }
        if text.is_empty() {
            return Err(KeyError::EmptyPart(text));
        }
        Ok(Self(text.into()))
    }
}

fn encode(part: &str) -> Cow<'_, str> {
    if part.is_empty() { Cow::Borrowed(EMPTY_PART) } else { utf8_percent_encode(part, ENCODED).into() }
}

fn decode(part: &str) -> Option<Cow<'_, str>> {
    if part == EMPTY_PART { Some(Cow::Borrowed("")) } else { percent_decode_str(part).decode_utf8().ok() }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_parts_joined_by_slashes() {
        let key = Key::new("iam/user").unwrap().child("a/b %").unwrap().child("").unwrap().child_number(7).unwrap();

        assert_eq!(key.as_str(), "iam/user/a%2Fb%20%25/%/00000000000000000007");
        assert_eq!(key.parts().collect::<Vec<_>>(), ["iam", "user", "a/b %", "", "00000000000000000007"]);
        assert_eq!(key.last_part(), "00000000000000000007");
    }

    #[test]
    fn text_that_is_not_canonical_is_refused() {
        for text in ["", "/a", "a/", "a//b"] {
            assert!(matches!(Key::new(text), Err(KeyError::EmptyPart(_))), "{text}");
        }
        for text in ["a b", "a/%2f", "a/%41", "%%", "ü", "a/%FF", "a/%2"] {
            assert!(matches!(Key::new(text), Err(KeyError::NotCanonical { .. })), "{text}");
        }
        assert!(matches!(Key::new(&"k".repeat(1025)), Err(KeyError::TooLong(1025))));
        assert!(Key::new(&"k".repeat(1024)).unwrap().child("x").is_err());
    }

    #[test]
    fn a_prefix_is_whole_parts() {
        let prefix = Key::new("a/b").unwrap();
        assert!(Key::new("a/b/c").unwrap().is_under(&prefix));
        assert!(!Key::new("a/bc/d").unwrap().is_under(&prefix));
        assert!(!prefix.is_under(&prefix));
    }

    proptest! {
        #[test]
        fn any_parts_come_back_and_different_parts_give_different_keys(
            left in prop::collection::vec(".{0,12}", 1..4),
            right in prop::collection::vec(".{0,12}", 1..4),
        ) {
            let key = Key::from_parts(left.iter().map(String::as_str)).unwrap();
            let other = Key::from_parts(right.iter().map(String::as_str)).unwrap();

            prop_assert_eq!(key.parts().collect::<Vec<_>>(), left.clone());
            prop_assert_eq!(Key::new(key.as_str()).unwrap(), key.clone());
            prop_assert_eq!(key == other, left == right);
        }

        #[test]
        fn the_range_of_a_prefix_holds_exactly_the_keys_under_it(
            prefix in prop::collection::vec("[a-c/0.\\-]{0,2}", 1..3),
            key in prop::collection::vec("[a-c/0.\\-]{0,2}", 1..4),
        ) {
            let prefix = Key::from_parts(prefix.iter().map(String::as_str)).unwrap();
            let key = Key::from_parts(key.iter().map(String::as_str)).unwrap();
            let (above, below) = prefix.range();

            let inside = key.as_str() > above.as_str() && key.as_str() < below.as_str();
            prop_assert_eq!(inside, key.is_under(&prefix));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,60}") {
            let _ = Key::new(&text);
        }
    }
}
