//! Region names.

use std::str::FromStr;
use std::sync::Arc;

use crate::text::is_a_text;

/// The name of a region, such as `eu-central-1`: 1 to 64 of lower-case letters, digits and `-`.
///
/// Any such name is accepted: Towpath serves whatever region a request is signed for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

/// The text is not a region name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a region name has 1 to 64 lower-case letters, digits and hyphens")]
pub struct RegionError;

impl Region {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        if (1..=64).contains(&text.len()) && text.as_bytes().iter().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(RegionError)
        }
    }
}

is_a_text!(Region);
