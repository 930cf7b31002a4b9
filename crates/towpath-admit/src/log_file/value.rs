//! One value of a log file: a record, a wrapper around records, or a sign that the file is of another kind.

use super::Foreign;
use crate::imported;
use crate::json::{Flaw, Raw, Scan};

/// A value that was scanned whole.
pub(super) enum Value<'a> {
    /// A wrapper's array begins at this place.
    Wrapper {
        array: usize,
    },
    /// The file is of another kind, by this member.
    Foreign(Foreign),
    Object {
        whole: Raw<'a>,
        fields: imported::Fields<'a>,
    },
    Other,
}

/// Scans the value at the scan's place. `wrappers`: an object may be a wrapper around an array of records.
pub(super) fn scan_value<'a>(scan: &mut Scan<'a>, wrappers: bool) -> Result<Value<'a>, Flaw> {
    if scan.peek()? != b'{' {
        scan.value()?;
        return Ok(Value::Other);
    }
    let start = scan.offset();
    let mut fields = imported::Fields::default();
    let mut first = true;
    while let Some(key) = scan.next_key(first)? {
        first = false;
        let name = key.bytes();
        match name.as_ref() {
            b"Records" | b"Events" if wrappers && scan.peek()? == b'[' => {
                return Ok(Value::Wrapper { array: scan.offset() });
            }
            b"digestStartTime" | b"digestS3Bucket" | b"digestPublicKeyFingerprint" => {
                return Ok(Value::Foreign(Foreign::Digest));
            }
            b"configurationItems" | b"configSnapshotId" => return Ok(Value::Foreign(Foreign::Config)),
            _ => {}
        }
        let value = scan.nested()?;
        fields.keep(&name, value);
    }
    Ok(Value::Object { whole: scan.since(start), fields })
}
