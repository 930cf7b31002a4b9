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

    /// The items of the list `name`, which the query protocol writes as `name.member.1`, `name.member.2` or, of
    /// structures, `name.member.1.Key`. An empty list is `name=`.
    ///
    /// # Errors
    /// ValidationError for a name under `name` that is not of this form.
    pub(crate) fn list(&self, name: &str) -> Result<BTreeMap<u32, Item>, ApiError> {
        let mut items: BTreeMap<u32, Item> = BTreeMap::new();
        for (parameter, value) in &self.0 {
            let Some(rest) = parameter.strip_prefix(name) else { continue };
            if rest.is_empty() && value.is_empty() {
                continue;
            }
            let wrong = || ApiError::validation(format!("{parameter} is not of the form {name}.member.N"));
            match rest.strip_prefix(".member.") {
                Some(place) => {
                    let (number, member) = place.split_once('.').unwrap_or((place, ""));
                    let number = number.parse().ok().filter(|_| !number.starts_with(['0', '+'])).ok_or_else(wrong)?;
                    items.entry(number).or_default().0.insert(member.to_owned(), value.clone());
                }
                None if rest.is_empty() || rest.starts_with('.') => return Err(wrong()),
                None => {}
            }
        }
        Ok(items)
    }

    /// The first parameter whose name is `name` or starts with it and a dot.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.0.keys().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }
}

/// One item of a list: its members by name, or its one value under no name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Item(BTreeMap<String, String>);

impl Item {
    /// Takes a member out.
    pub(crate) fn take(&mut self, member: &str) -> Option<String> {
        self.0.remove(member)
    }

    /// The value of an item that is no structure.
    pub(crate) fn only(mut self, list: &str) -> Result<String, ApiError> {
        let value = self.take("");
        self.finish(list)?;
        value.ok_or_else(|| ApiError::validation(format!("an item of {list} has no value")))
    }

    /// Refuses members that were not taken.
    pub(crate) fn finish(self, list: &str) -> Result<(), ApiError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(member) => Err(ApiError::validation(format!("an item of {list} has an unknown member {member:?}"))),
        }
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
