//! A strict JSON scanner that checks a text and hands out parts of it without copying or building a tree.
//!
//! It accepts exactly RFC 8259, with two bounds on top: nesting is limited, and a string may not hold half of a
//! surrogate pair, because such a string is no Unicode text and other readers of the record would stumble over it. All
//! functions are iterative, so that no input can exhaust the stack, and none panics on any input.
//!
//! A scan that reaches the end of its bytes in the middle of a value says so ([`Flaw::Ends`]); a caller that holds
//! a window of a longer text then fetches more and scans that value again.

mod value;

pub(crate) use value::{Raw, RawStr};

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

#[cfg(test)]
mod tests;
