//! Forms and query strings: names and values, percent-decoded.
//!
//! `+` is a blank in both, as the signature reads it; a plus sign is sent as `%2B`.

use std::collections::BTreeMap;

use percent_encoding::percent_decode;

use crate::error::ApiError;
use crate::limits::{MAX_PARAMETERS, MAX_QUERY_BYTES};

/// The parameters of a request, each name at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query string.
    pub(crate) fn of_query(query: &str) -> Result<Self, ApiError> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(malformed("the query string is too long"));
        }
        let mut parameters = Self::default();
        parameters.add(query.as_bytes())?;
        Ok(parameters)
    }

    /// Adds the parameters of a query string or form body.
    pub(crate) fn add(&mut self, text: &[u8]) -> Result<(), ApiError> {
        for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let name = decoded(&pair[..equals])?;
            let value = decoded(pair.get(equals + 1..).unwrap_or_default())?;
            if self.0.len() >= MAX_PARAMETERS {
                return Err(malformed("too many parameters"));
            }
            if self.0.insert(name, value).is_some() {
                return Err(malformed("a parameter is given twice"));
            }
        }
        Ok(())
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes the value of a parameter out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The first parameter whose name is `name` or starts with it and a dot.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.0.keys().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }
}

fn decoded(text: &[u8]) -> Result<String, ApiError> {
    let blanks: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    let decoded = percent_decode(&blanks).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| malformed("a parameter is not UTF-8"))
}

fn malformed(message: &str) -> ApiError {
    ApiError::new("MalformedQueryString", message)
}
