//! Values of a text that was scanned: checked, borrowed, decoded when asked.

use std::borrow::Cow;

use towpath_model::decode_json_escape;

use super::Scan;

/// A value's text within a scanned text, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw<'a>(pub(super) &'a [u8]);

/// A string's content within a scanned text, without the quotes, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawStr<'a> {
    pub(super) inner: &'a [u8],
    pub(super) escaped: bool,
}

impl<'a> RawStr<'a> {
    /// The string's characters. Borrows unless the string has escapes.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if self.escaped {
            return Cow::Owned(unescape(self.inner));
        }
        String::from_utf8_lossy(self.inner)
    }

    /// The string's characters as bytes, which need not be UTF-8 if the scanned text was not.
    pub(crate) fn bytes(self) -> Cow<'a, [u8]> {
        if self.escaped { Cow::Owned(unescape(self.inner).into_bytes()) } else { Cow::Borrowed(self.inner) }
    }

    /// True if the string's characters are `plain`; cheap when the string has no escapes.
    pub(crate) fn is(self, plain: &str) -> bool {
        if self.escaped { self.decode() == plain } else { self.inner == plain.as_bytes() }
    }
}

impl<'a> Raw<'a> {
    /// The value's text.
    pub(crate) const fn text(self) -> &'a [u8] {
        self.0
    }

    /// The value's characters, if it is a string.
    pub(crate) fn string(self) -> Option<RawStr<'a>> {
        let inner = self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        Some(RawStr { inner, escaped: inner.contains(&b'\\') })
    }

    /// True if the value is an object.
    pub(crate) fn is_object(self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// True if the value is `null`.
    pub(crate) fn is_null(self) -> bool {
        self.0 == b"null"
    }

    /// The value of a boolean.
    pub(crate) fn boolean(self) -> Option<bool> {
        match self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// Visits the members of an object in order; visits none if the value is something else.
    pub(crate) fn members(self, mut visit: impl FnMut(RawStr<'a>, Raw<'a>)) {
        if self.is_object() {
            // The value was checked when it was made, so that a flaw cannot occur.
            let _ = Scan::new(self.0).object(|key, value| {
                visit(key, value);
                Ok(())
            });
        }
    }

    /// Visits the items of an array in order; visits none if the value is something else.
    pub(crate) fn items(self, mut visit: impl FnMut(Raw<'a>)) {
        let mut scan = Scan::new(self.0);
        // The value was checked when it was made, so that a flaw cannot occur but at the end.
        while let Ok(b'[' | b',') = scan.peek() {
            scan.at += 1;
            scan.blanks();
            let Ok(item) = scan.value() else { return };
            visit(item);
            scan.blanks();
        }
    }

    /// Finds the first member of an object with this key.
    pub(crate) fn member(self, name: &str) -> Option<Raw<'a>> {
        let mut found = None;
        self.members(|key, value| {
            if found.is_none() && key.is(name) {
                found = Some(value);
            }
        });
        found
    }
}

/// Decodes the escapes of a checked string.
fn unescape(inner: &[u8]) -> String {
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        // The text was checked when it was scanned, so that there are no others.
        let (character, taken) = decode_json_escape(&rest[at..]).unwrap_or((char::REPLACEMENT_CHARACTER, 1));
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[at + taken..];
    }
    out.extend_from_slice(rest);
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
