//! A strict JSON scanner that checks a text and hands out parts of it without copying or building a tree.
//!
//! It accepts exactly RFC 8259, with two bounds on top: nesting is limited, and a string may not hold half of a
//! surrogate pair, because such a string is no Unicode text and other readers of the record would stumble over it. All
//! functions are iterative, so that no input can exhaust the stack, and none panics on any input.
//!
//! A scan that reaches the end of its bytes in the middle of a value says so ([`Flaw::Ends`]); a caller that holds
//! a window of a longer text then fetches more and scans that value again.

use std::borrow::Cow;

/// The deepest nesting of arrays and objects accepted; real records reach 11.
pub(crate) const MAX_DEPTH: u32 = 100;

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    /// The bytes end before the value does.
    #[error("the text ends before its JSON value does")]
    Ends,
    /// A byte stands where the grammar does not allow it.
    #[error("{what} at byte {at}")]
    Bad {
        /// Byte offset within the scanned text.
        at: usize,
        /// What was wrong or missing.
        what: &'static str,
    },
}

/// The scan's place in a text.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    depth_limit: u32,
}

/// A value's text within a scanned text, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw<'a>(&'a [u8]);

/// A string's content within a scanned text, without the quotes, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawStr<'a> {
    inner: &'a [u8],
    escaped: bool,
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

impl<'a> Scan<'a> {
    /// Starts at the beginning of `text`.
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self::at(text, 0)
    }

    /// Starts at byte `at` of `text`.
    pub(crate) const fn at(text: &'a [u8], at: usize) -> Self {
        Self { text, at, depth_limit: MAX_DEPTH }
    }

    /// Limits nesting to `depth` levels.
    pub(crate) const fn depth(mut self, depth: u32) -> Self {
        self.depth_limit = if depth < MAX_DEPTH { depth } else { MAX_DEPTH };
        self
    }

    /// The byte offset reached.
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    /// The text of the value that began at `start` and ends here.
    pub(crate) fn since(&self, start: usize) -> Raw<'a> {
        Raw(&self.text[start..self.at])
    }

    /// The next byte, or the end.
    pub(crate) fn peek(&self) -> Result<u8, Flaw> {
        self.text.get(self.at).copied().ok_or(Flaw::Ends)
    }

    /// Passes over white space.
    pub(crate) fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn bad(&self, what: &'static str) -> Flaw {
        Flaw::Bad { at: self.at, what }
    }

    /// Passes over `wanted` or fails with `what`.
    pub(crate) fn expect(&mut self, wanted: u8, what: &'static str) -> Result<(), Flaw> {
        if self.peek()? != wanted {
            return Err(self.bad(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes over a string and returns it.
    pub(crate) fn string(&mut self) -> Result<RawStr<'a>, Flaw> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = plain_run(self.text, self.at);
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.bad("unescaped control character in a string")),
            }
        }
        let inner = &self.text[start..self.at];
        self.at += 1;
        Ok(RawStr { inner, escaped })
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        match *self.text.get(self.at + 1).ok_or(Flaw::Ends)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let unit = self.hex(self.at + 2)?;
                match unit {
                    0xD800..=0xDBFF => {
                        for (place, wanted) in [(6, b'\\'), (7, b'u')] {
                            if *self.text.get(self.at + place).ok_or(Flaw::Ends)? != wanted {
                                return Err(self.bad("half of a surrogate pair in a string"));
                            }
                        }
                        if !(0xDC00..=0xDFFF).contains(&self.hex(self.at + 8)?) {
                            return Err(self.bad("half of a surrogate pair in a string"));
                        }
                        self.at += 12;
                    }
                    0xDC00..=0xDFFF => return Err(self.bad("half of a surrogate pair in a string")),
                    _ => self.at += 6,
                }
            }
            _ => return Err(self.bad("unknown escape in a string")),
        }
        Ok(())
    }

    fn hex(&self, at: usize) -> Result<u32, Flaw> {
        let mut unit = 0;
        for place in at..at + 4 {
            let byte = *self.text.get(place).ok_or(Flaw::Ends)?;
            let digit = char::from(byte).to_digit(16).ok_or(self.bad("unknown escape in a string"))?;
            unit = unit * 16 + digit;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Flaw> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if let Some(b'.') = self.text.get(self.at) {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let b'+' | b'-' = self.peek()? {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.bad("expected a digit"));
        }
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Flaw> {
        for letter in word {
            self.expect(*letter, "expected a JSON value")?;
        }
        Ok(())
    }

    /// Passes over a value of any kind and returns its text.
    ///
    /// A number that ends where the bytes end is complete as far as this function can know.
    pub(crate) fn value(&mut self) -> Result<Raw<'a>, Flaw> {
        let start = self.at;
        // One bit per open bracket, the innermost lowest: set for an object.
        let (mut open, mut depth) = (0u128, 0u32);
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                bracket @ (b'{' | b'[') => {
                    if depth == self.depth_limit {
                        return Err(self.bad("nesting is too deep"));
                    }
                    let object = bracket == b'{';
                    self.at += 1;
                    self.blanks();
                    if self.peek()? == if object { b'}' } else { b']' } {
                        self.at += 1;
                    } else {
                        open = open << 1 | u128::from(object);
                        depth += 1;
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => return Err(self.bad("expected a JSON value")),
            }
            // A value has ended: close what ends with it, then go on to the next one.
            loop {
                if depth == 0 {
                    return Ok(Raw(&self.text[start..self.at]));
                }
                self.blanks();
                let object = open & 1 == 1;
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        self.blanks();
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ if object => return Err(self.bad("expected `,` or `}`")),
                    _ => return Err(self.bad("expected `,` or `]`")),
                }
                self.at += 1;
                open >>= 1;
                depth -= 1;
            }
        }
    }

    /// Passes over a key, its colon and the white space around them.
    fn key(&mut self) -> Result<RawStr<'a>, Flaw> {
        if self.peek()? != b'"' {
            return Err(self.bad("expected a key"));
        }
        let key = self.string()?;
        self.blanks();
        self.expect(b':', "expected `:`")?;
        self.blanks();
        Ok(key)
    }

    /// Passes over an object and shows each of its members to `visit`; returns the object's text.
    pub(crate) fn object(
        &mut self,
        mut visit: impl FnMut(RawStr<'a>, Raw<'a>) -> Result<(), Flaw>,
    ) -> Result<Raw<'a>, Flaw> {
        let start = self.at;
        let mut first = true;
        while let Some(key) = self.next_key(first)? {
            first = false;
            let value = self.nested()?;
            visit(key, value)?;
        }
        Ok(self.since(start))
    }

    /// Passes over a value inside an object or array whose bracket was counted by the caller.
    pub(crate) fn nested(&mut self) -> Result<Raw<'a>, Flaw> {
        let limit = self.depth_limit;
        self.depth_limit = limit.saturating_sub(1);
        let value = self.value();
        self.depth_limit = limit;
        value
    }

    /// Moves to the next member of an object and returns its key, with the scan at the value; `None` past the end.
    ///
    /// `first` tells that the scan stands at the opening bracket.
    pub(crate) fn next_key(&mut self, first: bool) -> Result<Option<RawStr<'a>>, Flaw> {
        if first {
            if self.depth_limit == 0 {
                return Err(self.bad("nesting is too deep"));
            }
            self.expect(b'{', "expected an object")?;
            self.blanks();
            if self.peek()? == b'}' {
                self.at += 1;
                return Ok(None);
            }
            return self.key().map(Some);
        }
        self.blanks();
        match self.peek()? {
            b',' => {
                self.at += 1;
                self.blanks();
                self.key().map(Some)
            }
            b'}' => {
                self.at += 1;
                Ok(None)
            }
            _ => Err(self.bad("expected `,` or `}`")),
        }
    }

    /// Fails unless only white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Flaw> {
        self.blanks();
        if self.at == self.text.len() { Ok(()) } else { Err(self.bad("unexpected text after the JSON value")) }
    }
}

/// Returns the first place from `at` on that holds `"`, `\` or a control character, or the end.
///
/// Looks at eight bytes at a time: nearly all bytes of a record lie inside strings.
fn plain_run(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = zero_bytes(word ^ (ONES * b'"' as u64));
        let backslash = zero_bytes(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        // Each mask is exact up to its lowest bit, and only the lowest of all is used.
        let special = quote | backslash | control;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(byte) = text.get(at) {
        if *byte == b'"' || *byte == b'\\' || *byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// Decodes the escapes of a checked string.
fn unescape(inner: &[u8]) -> String {
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let (character, taken) = decode_escape(&rest[at..]);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[at + taken..];
    }
    out.extend_from_slice(rest);
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Decodes the escape at the start of `text`; returns its character and its length in bytes.
fn decode_escape(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let plain = match text.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let (high, low) = (unit(2).unwrap_or(0xFFFD), unit(8).unwrap_or(0));
            if (0xD800..=0xDBFF).contains(&high) && (0xDC00..=0xDFFF).contains(&low) {
                let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12.min(text.len()));
            }
            return (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6.min(text.len()));
        }
        Some(byte) if byte.is_ascii() => char::from(*byte),
        _ => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (plain, 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn checked(text: &[u8]) -> Result<Raw<'_>, Flaw> {
        let mut scan = Scan::new(text);
        scan.blanks();
        let value = scan.value()?;
        scan.end()?;
        Ok(value)
    }

    #[test]
    fn the_grammar_is_that_of_the_rfc() {
        for good in ["0", "-0.5e+7", "\"\"", "[]", "{}", " [1 , {\"a\" : null}] ", "\"\\ud83d\\ude00\"", "1E9"] {
            assert!(checked(good.as_bytes()).is_ok(), "{good}");
        }
        let bad = [
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\"}",
            "tru",
            "nul",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"\t\"",
            "[1 2]",
            "[}",
            "{]",
            "1 2",
            "'a'",
            "NaN",
            "[",
            "{\"a\":",
            "\"a",
            "",
        ];
        for text in bad {
            assert!(checked(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        assert!(checked("[".repeat(100).as_bytes()) == Err(Flaw::Ends));
        let deep = "[".repeat(1_000_000);
        assert_eq!(checked(deep.as_bytes()), Err(Flaw::Bad { at: 100, what: "nesting is too deep" }));
        let object = "{\"a\":".repeat(200);
        let mut scan = Scan::new(object.as_bytes()).depth(3);
        assert!(matches!(scan.object(|_, _| Ok(())), Err(Flaw::Bad { at: 15, .. })));
    }

    #[test]
    fn a_cut_value_is_told_from_a_wrong_one() {
        let text = r#"{"a":[1,"x\u0041",true],"b":{"c":-1.5e3}}"#;
        for cut in 0..text.len() {
            assert_eq!(checked(&text.as_bytes()[..cut]), Err(Flaw::Ends), "{cut}");
        }
        assert!(checked(text.as_bytes()).is_ok());
    }

    #[test]
    fn members_are_found_however_their_key_is_spelled() {
        let raw = checked(br#"{"eventT\u0069me":"a\nb","x":{"eventTime":1},"eventTime":2}"#).unwrap();
        assert_eq!(raw.member("eventTime").unwrap().string().unwrap().decode(), "a\nb");
        assert!(raw.member("x").unwrap().is_object());
        assert_eq!(raw.member("y"), None);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1_000_000i32..1_000_000).prop_map(|n| Value::from(f64::from(n) / 64.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_another_writer_made_is_read_back_the_same(value in any_json()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let raw = checked(text.as_bytes()).unwrap();
                prop_assert_eq!(raw.text(), text.as_bytes());
                if let Value::Object(map) = &value {
                    let mut seen = 0;
                    raw.members(|key, part| {
                        seen += 1;
                        let expected = map.get(key.decode().as_ref());
                        assert_eq!(expected, serde_json::from_slice(part.text()).ok().as_ref());
                        if let Some(Value::String(text)) = expected {
                            assert_eq!(part.string().unwrap().decode(), text.as_str());
                        }
                    });
                    prop_assert_eq!(seen, map.len());
                }
            }
        }

        #[test]
        fn it_accepts_what_another_reader_accepts(text in r#"[\[\]{}",:0-9eE.+\-tfn a\\u]{0,24}"#) {
            // The other reader refuses numbers beyond its range; those texts are too short to hold one with fewer digits.
            let other = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            let ours = checked(text.as_bytes());
            if ours.is_ok() != other.is_ok() {
                prop_assert!(text.contains("\\u"), "{:?} {:?} {:?}", text, ours, other.err());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..250) {
            let _ = checked(&bytes);
            let _ = Scan::at(&bytes, at).value();
            let _ = Scan::new(&bytes).depth(0).object(|key, value| { key.decode(); value.string().map(RawStr::decode); Ok(()) });
        }

        #[test]
        fn special_bytes_are_found_wherever_they_stand(mut bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for byte in &mut bytes {
                if *byte % 3 == 0 { *byte |= 0x60; }
            }
            let slow = bytes.iter().position(|b| *b == b'"' || *b == b'\\' || *b < 0x20).unwrap_or(bytes.len());
            prop_assert_eq!(plain_run(&bytes, 0), slow);
        }
    }
}
