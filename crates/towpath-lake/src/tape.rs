//! A record's JSON as a flat list of tokens: one pass over the bytes, no tree, no copies.
//!
//! Token `i` knows where its text lies and which token follows its whole value, so that a reader can skip a value in
//! one step and take the source text of any value as it stands. The list is reused from record to record.

mod value;

pub(crate) use value::Value;

/// Deepest nesting read; deeper text is refused. Admission accepts less.
pub(crate) const MAX_DEPTH: usize = 512;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `{ ... }`: its members follow as alternating `Text` (the name) and value.
    Object,
    /// `[ ... ]`: its items follow.
    Array,
    /// A string; the token's text is what stands between the quotes.
    Text,
    /// A number; the token's text is the number as written.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    start: u32,
    end: u32,
    // The token after this value and all inside it.
    next: u32,
    kind: Kind,
    // Text: it has a backslash. Object, array: it has blanks between tokens.
    marked: bool,
}

/// The text is not one JSON value, or is nested deeper than [`MAX_DEPTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The tokens of one JSON text.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    tokens: Vec<Token>,
    // Open containers: token, blanks seen before it.
    open: Vec<(u32, u32)>,
}

impl Tape {
    /// Reads `text`, which must be one JSON value with nothing but blanks around it, and returns that value.
    pub fn read<'a>(&'a mut self, text: &'a str) -> Result<Value<'a>, Malformed> {
        self.tokens.clear();
        self.open.clear();
        if text.len() > u32::MAX as usize {
            return Err(Malformed);
        }
        self.tokenize(text.as_bytes())?;
        Ok(Value { text, tape: self, at: 0 })
    }

    fn tokenize(&mut self, text: &[u8]) -> Result<(), Malformed> {
        let mut at = 0;
        let mut blanks = 0;
        loop {
            // A value starts here.
            skip_blanks(text, &mut at, &mut blanks);
            let start = at as u32;
            match *text.get(at).ok_or(Malformed)? {
                open @ (b'{' | b'[') => {
                    let object = open == b'{';
                    at += 1;
                    if self.open.len() >= MAX_DEPTH {
                        return Err(Malformed);
                    }
                    self.open.push((self.tokens.len() as u32, blanks));
                    let kind = if object { Kind::Object } else { Kind::Array };
                    self.tokens.push(Token { start, end: 0, next: 0, kind, marked: false });
                    skip_blanks(text, &mut at, &mut blanks);
                    let close = if object { b'}' } else { b']' };
                    if text.get(at) != Some(&close) {
                        if object {
                            self.name(text, &mut at, &mut blanks)?;
                        }
                        continue;
                    }
                    // Empty: fall through to the closing below.
                }
                b'"' => self.text(text, &mut at)?,
                b't' => self.literal(text, &mut at, b"true", Kind::True)?,
                b'f' => self.literal(text, &mut at, b"false", Kind::False)?,
                b'n' => self.literal(text, &mut at, b"null", Kind::Null)?,
                b'-' | b'0'..=b'9' => {
                    let length = number_length(&text[at..]).ok_or(Malformed)?;
                    at += length;
                    self.leaf(start, at as u32, Kind::Number, false);
                }
                _ => return Err(Malformed),
            }
            // A value has ended, or a container is empty: close what closes, then expect the next value.
            loop {
                skip_blanks(text, &mut at, &mut blanks);
                let Some(&(container, before)) = self.open.last() else {
                    return if at == text.len() { Ok(()) } else { Err(Malformed) };
                };
                let container = container as usize;
                let object = self.tokens[container].kind == Kind::Object;
                match *text.get(at).ok_or(Malformed)? {
                    b'}' if object => {}
                    b']' if !object => {}
                    // Not after `{` or `[`: an empty container was left only at its closing bracket.
                    b',' => {
                        at += 1;
                        if object {
                            self.name(text, &mut at, &mut blanks)?;
                        }
                        break;
                    }
                    _ => return Err(Malformed),
                }
                at += 1;
                let next = self.tokens.len() as u32;
                let token = &mut self.tokens[container];
                token.end = at as u32;
                token.next = next;
                token.marked = blanks != before;
                self.open.pop();
            }
        }
    }

    /// Reads a member's name and the colon after it.
    fn name(&mut self, text: &[u8], at: &mut usize, blanks: &mut u32) -> Result<(), Malformed> {
        skip_blanks(text, at, blanks);
        if text.get(*at) != Some(&b'"') {
            return Err(Malformed);
        }
        self.text(text, at)?;
        skip_blanks(text, at, blanks);
        if text.get(*at) != Some(&b':') {
            return Err(Malformed);
        }
        *at += 1;
        Ok(())
    }

    fn text(&mut self, text: &[u8], at: &mut usize) -> Result<(), Malformed> {
        let start = *at + 1;
        let (end, escaped) = string_end(text, start).ok_or(Malformed)?;
        self.leaf(start as u32, end as u32, Kind::Text, escaped);
        *at = end + 1;
        Ok(())
    }

    fn literal(&mut self, text: &[u8], at: &mut usize, literal: &[u8], kind: Kind) -> Result<(), Malformed> {
        if !text[*at..].starts_with(literal) {
            return Err(Malformed);
        }
        let start = *at as u32;
        *at += literal.len();
        self.leaf(start, *at as u32, kind, false);
        Ok(())
    }

    #[inline]
    fn leaf(&mut self, start: u32, end: u32, kind: Kind, marked: bool) {
        let next = self.tokens.len() as u32 + 1;
        self.tokens.push(Token { start, end, next, kind, marked });
    }
}

#[inline]
fn skip_blanks(text: &[u8], at: &mut usize, blanks: &mut u32) {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(*at) {
        *at += 1;
        *blanks += 1;
    }
}

/// Finds the quote that ends a string which starts at `at`; tells whether a backslash stands before it.
#[inline]
fn string_end(text: &[u8], mut at: usize) -> Option<(usize, bool)> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut escaped = false;
    loop {
        // Eight bytes at a time until one is a quote or a backslash.
        while let Some(chunk) = text.get(at..at + 8) {
            let word = u64::from_le_bytes(chunk.try_into().expect("the slice has eight bytes"));
            let found = has_zero(word ^ (ONES * b'"' as u64)) | has_zero(word ^ (ONES * b'\\' as u64));
            if found != 0 {
                at += found.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match *text.get(at)? {
            b'"' => return Some((at, escaped)),
            b'\\' => {
                escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// The length of the JSON number at the start of `text`.
fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    match digits(at) {
        0 => return None,
        more if more > 1 && text[at] == b'0' => return None,
        more => at += more,
    }
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

#[cfg(test)]
mod tests;
