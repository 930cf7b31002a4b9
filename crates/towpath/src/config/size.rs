//! Sizes as people write them: `64MiB`, `1GB`, `512KiB`, `100B`. `KB` is 1,000 bytes, `KiB` 1,024.

use serde::{Deserializer, Serializer};

use super::written;

/// Units by name with their length in bytes, smallest first.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// The text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// A number stands alone.
    #[error("\"{0}\" has no unit; write B, KiB, MiB, GiB or TiB after the number, such as \"{0}MiB\"")]
    NoUnit(String),
    /// Anything else.
    #[error("\"{0}\" is not a size; write a number and a unit, such as \"64MiB\" or \"2GB\"")]
    Malformed(String),
}

/// Reads a size in bytes.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let malformed = || SizeError::Malformed(text.to_owned());
    let text_ = text.trim();
    let digits = text_.find(|c: char| !c.is_ascii_digit()).unwrap_or(text_.len());
    let (number, unit) = text_.split_at(digits);
    let number: u64 = number.parse().map_err(|_| malformed())?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(SizeError::NoUnit(text_.to_owned()));
    }
    let (_, length) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(malformed)?;
    number.checked_mul(*length).ok_or_else(malformed)
}

/// Writes a size in the largest binary unit that divides it.
pub fn text(bytes: u64) -> String {
    let binary = UNITS.iter().rev().filter(|(name, _)| name.len() != 2);
    let (name, length) =
        binary.into_iter().find(|(_, length)| bytes != 0 && bytes.is_multiple_of(*length)).unwrap_or(&UNITS[0]);
    format!("{}{name}", bytes / length)
}

/// Writes a size for reading at a glance: `1.2 GiB`.
pub fn rounded(bytes: u64) -> String {
    let unit = UNITS.iter().rev().filter(|(name, _)| name.len() == 3).find(|(_, length)| bytes >= *length);
    match unit {
        Some((name, length)) => format!("{:.1} {name}", bytes as f64 / *length as f64),
        None => format!("{bytes} B"),
    }
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*bytes))
}

/// For `#[serde(with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    written::deserialize(deserializer, parse, SizeError::NoUnit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimal_and_binary_units_differ() {
        for (written, bytes) in
            [("1KB", 1_000), ("1KiB", 1_024), ("64 MiB", 64 << 20), ("2gb", 2_000_000_000), ("0B", 0)]
        {
            assert_eq!(parse(written).unwrap(), bytes, "{written}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for written in ["", "MiB", "5", "5 apples", "-1MiB", "1.5GiB", "99999999999TiB"] {
            assert!(parse(written).is_err(), "{written}");
        }
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(rounded(999), "999 B");
        assert_eq!(rounded(1_536), "1.5 KiB");
        assert_eq!(rounded(3 << 30), "3.0 GiB");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in any::<u64>()) {
            prop_assert_eq!(parse(&text(bytes)).unwrap(), bytes);
        }

        #[test]
        fn no_text_panics(written in "\\PC{0,24}") {
            let _ = parse(&written);
        }
    }
}
