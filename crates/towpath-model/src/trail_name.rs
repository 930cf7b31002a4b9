//! Names and ids of trails.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::is_a_text;

/// What tells a trail from every other, for ever: a trail that is deleted and made again with the same name is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrailId(Uuid);

impl TrailId {
    /// Makes a new random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id with these bytes.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for TrailId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for TrailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The name of a trail: 3 to 128 ASCII letters, digits, `.`, `_` and `-`; begins and ends with a letter or digit, has no
/// two of `._-` side by side, and is not formed like an IP address (trails.md, section 1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrailName(String);

/// Why a text is no name of a trail; becomes `InvalidTrailNameException`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrailNameError {
    /// Too short.
    #[error("Trail name too short. Minimum allowed length: 3 characters. Specified name length: {0} characters.")]
    TooShort(usize),
    /// Too long.
    #[error("Trail name too long. Maximum allowed length: 128 characters. Specified name length: {0} characters.")]
    TooLong(usize),
    /// A character that no name has.
    #[error(
        "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens (-), and underscores (_)."
    )]
    Character,
    /// The first character is a mark.
    #[error("Trail name must starts with a letter or number.")]
    Start,
    /// The last character is a mark.
    #[error("Trail name must ends with a letter or number.")]
    End,
    /// Two marks side by side.
    #[error("Trail name cannot have adjacent periods (.), hyphens (-), or underscores (_).")]
    AdjacentMarks,
    /// Formed like an IP address.
    #[error("Trail name must not be in the format of an IP address.")]
    IpAddress,
}

impl TrailName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrailName {
    type Err = TrailNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = text.chars().count();
        if length < 3 {
            return Err(TrailNameError::TooShort(length));
        }
        if length > 128 {
            return Err(TrailNameError::TooLong(length));
        }
        let bytes = text.as_bytes();
        let mark = |b: u8| matches!(b, b'.' | b'_' | b'-');
        if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || mark(*b)) {
            return Err(TrailNameError::Character);
        }
        if mark(bytes[0]) {
            return Err(TrailNameError::Start);
        }
        if mark(bytes[bytes.len() - 1]) {
            return Err(TrailNameError::End);
        }
        if bytes.windows(2).any(|pair| mark(pair[0]) && mark(pair[1])) {
            return Err(TrailNameError::AdjacentMarks);
        }
        if text.parse::<Ipv4Addr>().is_ok() {
            return Err(TrailNameError::IpAddress);
        }
        Ok(Self(text.to_owned()))
    }
}

is_a_text!(TrailName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_rule_of_a_name_has_its_refusal() {
        let long = "n".repeat(129);
        let cases = [
            ("ab", TrailNameError::TooShort(2)),
            (long.as_str(), TrailNameError::TooLong(129)),
            ("a b", TrailNameError::Character),
            ("träil", TrailNameError::Character),
            (".abc", TrailNameError::Start),
            ("abc-", TrailNameError::End),
            ("a._b", TrailNameError::AdjacentMarks),
            ("a--b", TrailNameError::AdjacentMarks),
            ("192.168.5.4", TrailNameError::IpAddress),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<TrailName>(), Err(error), "{text}");
        }
        for text in ["abc", "management-events", "A.b_c-9", "192.168.5", "300.1.1.1.x"] {
            assert_eq!(text.parse::<TrailName>().unwrap().as_str(), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,140}") {
            let _ = text.parse::<TrailName>();
        }

        #[test]
        fn words_joined_by_single_marks_are_names(words in prop::collection::vec("[a-zA-Z0-9]{3,8}", 1..8), mark in "[._-]") {
            prop_assume!(words.join(&mark).parse::<Ipv4Addr>().is_err());
            prop_assert!(words.join(&mark).parse::<TrailName>().is_ok());
        }
    }
}
