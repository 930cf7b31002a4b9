//! Finding the end of a value that is not valid JSON, so that the rest of the file can be read.
//!
//! Brackets are counted outside strings. That fails if a quote is missing, so the beginning of a CloudTrail record is
//! also looked for: inside a string its quotes would be escaped, so that it is a record wherever it stands.

/// How every delivered record begins.
const MARK: &[u8] = b"{\"eventVersion\"";

/// Where the search stands.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    marks: bool,
    depth: u64,
    in_string: bool,
    escaped: bool,
    started: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The damaged value ends before this byte; a separator follows.
    End(usize),
    /// A record begins at this byte.
    Record(usize),
    /// Nothing yet; this many bytes need not be seen again.
    More(usize),
}

impl Recovery {
    /// Looks for the end of a value that is not JSON.
    pub(super) const fn of_damaged() -> Self {
        Self { marks: true, depth: 0, in_string: false, escaped: false, started: false }
    }

    /// Looks for the end of a value that may well be JSON, so that its brackets can be trusted.
    pub(super) const fn of_valid() -> Self {
        Self { marks: false, ..Self::of_damaged() }
    }

    /// Looks for the end of the damaged value in the next bytes of the file; the first call begins with the value.
    pub(super) fn search(&mut self, bytes: &[u8], last: bool) -> Found {
        // A mark may lie across the end of the bytes, so its length is kept back.
        let seen = if last { bytes.len() } else { bytes.len().saturating_sub(MARK.len()) };
        let fresh = !self.started;
        if seen > 0 {
            self.started = true;
        }
        for (at, byte) in bytes[..seen].iter().enumerate() {
            // The damaged value may itself begin like a record.
            if *byte == b'{' && self.marks && !(fresh && at == 0) && bytes[at..].starts_with(MARK) {
                return Found::Record(at);
            }
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' | b',' if self.depth == 0 => return Found::End(at),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Found::End(at + 1);
                    }
                }
                _ => {}
            }
        }
        Found::More(seen)
    }
}

/// Finds the next line that begins like a JSON object or array; the offset of its first byte.
pub(super) fn next_line(bytes: &[u8], last: bool) -> Found {
    let line = bytes.windows(2).position(|pair| pair[0] == b'\n' && matches!(pair[1], b'{' | b'['));
    match line {
        Some(at) => Found::Record(at + 1),
        None if last => Found::More(bytes.len()),
        None => Found::More(bytes.len().saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_damaged_object_ends_at_its_bracket() {
        let text = br#"{"a":"}\"]",x:[{}]},{"b":1}"#;
        assert_eq!(Recovery::of_damaged().search(text, true), Found::End(19));
    }

    #[test]
    fn a_missing_quote_costs_one_record() {
        let text = br#"{"a":"b,"c":12345},{"eventVersion":"1.08"}"#;
        assert_eq!(Recovery::of_damaged().search(text, true), Found::Record(19));
    }

    #[test]
    fn a_damaged_record_is_not_found_again() {
        let text = br#"{"eventVersion":x},{"eventVersion":1}"#;
        assert_eq!(Recovery::of_damaged().search(text, true), Found::End(18));
    }

    #[test]
    fn a_line_that_begins_an_object_is_found() {
        assert_eq!(next_line(b"x}\n  y\n{\"a\"", true), Found::Record(7));
        assert_eq!(next_line(b"x}\n", false), Found::More(2));
    }

    proptest! {
        #[test]
        fn windows_do_not_change_what_is_found(
            parts in proptest::collection::vec(prop_oneof![
                Just(r#"{"eventVersion""#), Just("{"), Just("}"), Just("\""), Just("\\"), Just("["), Just("]"), Just("x"),
            ], 1..30),
            step in 1usize..40,
        ) {
            let text = format!("{{{}", parts.concat());
            let mut whole = Recovery::of_damaged();
            let expected = whole.search(text.as_bytes(), true);

            let (mut pieces, mut at, mut end) = (Recovery::of_damaged(), 0, 0);
            let found = loop {
                end = (end + step).min(text.len());
                match pieces.search(&text.as_bytes()[at..end], end == text.len()) {
                    Found::More(seen) => { at += seen; if end == text.len() { break Found::More(at); } }
                    Found::End(place) => break Found::End(at + place),
                    Found::Record(place) => break Found::Record(at + place),
                }
            };
            prop_assert_eq!(found, expected);
        }
    }
}
