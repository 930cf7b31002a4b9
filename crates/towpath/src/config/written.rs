//! Settings that are a number with a unit, as a file may hold them.

use std::fmt::Display;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Reads a text with `parse`. A number that stands alone is refused with what `no_unit` says.
pub fn deserialize<'de, D, T, E>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
    no_unit: impl FnOnce(String) -> E,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: Display,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(f64),
    }
    let read = match Written::deserialize(deserializer)? {
        Written::Text(written) => parse(&written),
        Written::Number(number) => Err(no_unit(number.to_string())),
    };
    read.map_err(D::Error::custom)
}
