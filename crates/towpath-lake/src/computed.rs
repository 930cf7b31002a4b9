//! Columns that SQL sees and files do not hold so, because they follow from other columns.
//!
//! `eventjson` is stored [without what columns beside it have](crate::record). `eventjsonchecksum` would take 35 bytes a
//! row that no compression can save.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::error::ArrowError;
use sha2::{Digest, Sha256};

use towpath_model::StoreKind;

use crate::record::{record_columns, whole};
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
/// [`file_schema`](crate::file_schema) has not, and `eventjson`, which files hold in another form under the same name.
pub fn computed(kind: StoreKind) -> &'static [Computed] {
    static CLOUD_TRAIL: [Computed; 2] = [record(StoreKind::CloudTrail), checksum(StoreKind::CloudTrail)];
    static INSIGHT: [Computed; 1] = [record(StoreKind::Insight)];
    static OTHERS: [Computed; 1] = [record(StoreKind::Activity)];
    match kind {
        StoreKind::CloudTrail | StoreKind::History => &CLOUD_TRAIL,
        StoreKind::Insight => &INSIGHT,
        StoreKind::ConfigurationItem | StoreKind::Evidence | StoreKind::Activity => &OTHERS,
    }
}

const fn record(kind: StoreKind) -> Computed {
    Computed { name: EVENT_JSON, inputs: record_columns(kind), compute: whole }
}

const fn checksum(kind: StoreKind) -> Computed {
    Computed { name: EVENT_JSON_CHECKSUM, inputs: record_columns(kind), compute: checksums }
}

/// The SHA-256 of each record in lower-case hexadecimal.
fn checksums(inputs: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let records = whole(inputs)?;
    let mut sums = StringBuilder::with_capacity(records.len(), records.len() * 64);
    for record in records.as_string::<i32>() {
        match record {
            Some(record) => {
                for byte in Sha256::digest(record) {
                    let _ = write!(sums, "{byte:02x}");
                }
                sums.append_value("");
            }
            None => sums.append_null(),
        }
    }
    Ok(Arc::new(sums.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;
    use crate::schema::{file_schema, schema};

    #[test]
    fn the_checksum_is_sha_256_in_hexadecimal() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), None]));
        let sums = checksums(&[texts]).unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sums.as_string::<i32>().value(0), expected);
        assert!(sums.is_null(1));
    }

    #[test]
    fn every_public_column_is_stored_or_computed() {
        for kind in StoreKind::ALL {
            for field in schema(kind).fields() {
                let stored = file_schema(kind).field_with_name(field.name()).is_ok();
                let computed = computed(kind).iter().any(|column| column.name == field.name());
                assert!(stored != computed || field.name() == EVENT_JSON, "{kind:?} {}", field.name());
            }
            for column in computed(kind) {
                assert_eq!(column.inputs, record_columns(kind), "{kind:?} {}", column.name);
            }
        }
    }
}
