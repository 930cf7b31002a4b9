//! Columns that SQL sees and files do not hold, because they follow from other columns.
//!
//! `eventjsonchecksum` alone would take 35 bytes a row that no compression can save, a tenth of a stored event.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::error::ArrowError;
use sha2::{Digest, Sha256};

use towpath_model::StoreKind;

use crate::schema::{EVENT_JSON, EVENT_JSON_CHECKSUM};

/// A public column that is computed when read.
#[derive(Clone, Copy, Debug)]
pub struct Computed {
    /// Its name in [`schema`](crate::schema).
    pub name: &'static str,
    /// The stored top-level columns it needs, in the order that `compute` takes them.
    pub inputs: &'static [&'static str],
    /// Computes the column from its inputs, row by row.
    pub compute: fn(&[ArrayRef]) -> Result<ArrayRef, ArrowError>,
}

/// The computed columns of stores of this kind: all that [`schema`](crate::schema) has and
/// [`file_schema`](crate::file_schema) has not.
pub fn computed(kind: StoreKind) -> &'static [Computed] {
    match kind {
        StoreKind::CloudTrail | StoreKind::History => {
            &[Computed { name: EVENT_JSON_CHECKSUM, inputs: &[EVENT_JSON], compute: checksum }]
        }
        StoreKind::Insight | StoreKind::ConfigurationItem | StoreKind::Evidence | StoreKind::Activity => &[],
    }
}

/// The SHA-256 of each text in lower-case hexadecimal.
fn checksum(inputs: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let [texts] = inputs else {
        return Err(ArrowError::InvalidArgumentError("eventjsonchecksum is computed from one column".to_owned()));
    };
    let mut sums = StringBuilder::with_capacity(texts.len(), texts.len() * 64);
    let mut append = |text: Option<&str>| match text {
        Some(text) => {
            for byte in Sha256::digest(text) {
                let _ = write!(sums, "{byte:02x}");
            }
            sums.append_value("");
        }
        None => sums.append_null(),
    };
    if let Some(texts) = texts.as_string_opt::<i32>() {
        texts.iter().for_each(&mut append);
    } else if let Some(texts) = texts.as_string_view_opt() {
        texts.iter().for_each(&mut append);
    } else {
        return Err(ArrowError::InvalidArgumentError(format!("eventjson is text, not {}", texts.data_type())));
    }
    Ok(Arc::new(sums.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;
    use crate::schema::{KINDS, file_schema, schema};

    #[test]
    fn the_checksum_is_sha_256_in_hexadecimal() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), None]));
        let sums = checksum(&[texts]).unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sums.as_string::<i32>().value(0), expected);
        assert!(sums.is_null(1));
    }

    #[test]
    fn every_public_column_is_stored_or_computed() {
        for kind in KINDS {
            for field in schema(kind).fields() {
                let stored = file_schema(kind).field_with_name(field.name()).is_ok();
                let computed = computed(kind).iter().any(|column| column.name == field.name());
                assert!(stored != computed, "{kind:?} {}", field.name());
            }
        }
    }
}
