//! A record's JSON as a flat list of tokens: one pass over the bytes, no tree, no copies.
//!
//! Token `i` knows where its text lies and which token follows its whole value, so that a reader can skip a value in
//! one step and take the source text of any value as it stands. The list is reused from record to record.

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

/// A value within a text that has been tokenized.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    text: &'a str,
    tape: &'a Tape,
    at: usize,
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

impl<'a> Value<'a> {
    #[inline]
    fn token(&self) -> &'a Token {
        &self.tape.tokens[self.at]
    }

    /// What this is.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.token().kind
    }

    /// The source text: without the quotes for a string, with the brackets for an object or array.
    #[inline]
    pub fn source(&self) -> &'a str {
        let token = self.token();
        &self.text[token.start as usize..token.end as usize]
    }

    /// Where [`Value::source`] lies in the text, if this is a string that means what it says: without escapes.
    #[inline]
    pub fn plain_text_range(&self) -> Option<std::ops::Range<usize>> {
        let token = self.token();
        (token.kind == Kind::Text && !token.marked).then_some(token.start as usize..token.end as usize)
    }

    #[inline]
    fn at(&self, at: usize) -> Self {
        Self { at, ..*self }
    }

    /// The number of this value's token; 0 for the outermost value.
    #[inline]
    pub fn index(&self) -> usize {
        self.at
    }

    /// The value whose token has this number, in the same text.
    #[inline]
    pub fn sibling(&self, index: usize) -> Self {
        self.at(index)
    }

    /// The members of an object, in order, repeats included; nothing for other values.
    #[inline]
    pub fn members(&self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> + use<'a> {
        let this = *self;
        let end = if self.kind() == Kind::Object { self.token().next as usize } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (name, value) = (this.at(at), this.at(at + 1));
            at = value.token().next as usize;
            Some((name, value))
        })
    }

    /// The items of an array, in order; nothing for other values.
    #[inline]
    pub fn items(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let this = *self;
        let end = if self.kind() == Kind::Array { self.token().next as usize } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let item = this.at(at);
            at = item.token().next as usize;
            Some(item)
        })
    }

    /// The last member with this name.
    pub fn member(&self, name: &str) -> Option<Value<'a>> {
        let mut scratch = String::new();
        let mut found = None;
        for (key, value) in self.members() {
            if key.text(&mut scratch) == Some(name) {
                found = Some(value);
            }
        }
        found
    }

    /// The text of a string, unescaped into `scratch` if need be; `None` for other values.
    #[inline]
    pub fn text<'s>(&self, scratch: &'s mut String) -> Option<&'s str>
    where
        'a: 's,
    {
        let token = self.token();
        if token.kind != Kind::Text {
            return None;
        }
        if !token.marked {
            return Some(self.source());
        }
        unescape(self.source(), scratch);
        Some(scratch)
    }

    /// The value as compact JSON: its source without the blanks between tokens.
    pub fn compact<'s>(&self, scratch: &'s mut String) -> &'s str
    where
        'a: 's,
    {
        let token = self.token();
        if token.kind == Kind::Text {
            return &self.text[token.start as usize - 1..token.end as usize + 1];
        }
        let source = self.source();
        if !token.marked {
            return source;
        }
        scratch.clear();
        // Blanks inside strings stay: jump over each string as a whole.
        let (mut copied, mut at) = (0, 0);
        while let Some(byte) = source.as_bytes().get(at) {
            match byte {
                b'"' => {
                    let (end, _) = string_end(source.as_bytes(), at + 1).expect("the text was tokenized");
                    at = end + 1;
                }
                b' ' | b'\n' | b'\r' | b'\t' => {
                    scratch.push_str(&source[copied..at]);
                    at += 1;
                    copied = at;
                }
                _ => at += 1,
            }
        }
        scratch.push_str(&source[copied..]);
        scratch
    }
}

/// Writes `source`, the inside of a JSON string, into `out` with escapes resolved.
///
/// Half a surrogate pair, which is no character, becomes U+FFFD; an unknown escape stays as written.
fn unescape(source: &str, out: &mut String) {
    out.clear();
    let mut rest = source;
    while let Some(slash) = rest.find('\\') {
        out.push_str(&rest[..slash]);
        rest = &rest[slash..];
        let plain = match rest.as_bytes().get(1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let (character, length) = unicode_escape(rest);
                out.push(character);
                rest = &rest[length..];
                continue;
            }
            _ => {
                out.push('\\');
                rest = &rest[1..];
                continue;
            }
        };
        out.push(plain);
        rest = &rest[2..];
    }
    out.push_str(rest);
}

/// Reads `\uXXXX`, or two of them that form a pair; returns the character and the bytes read.
fn unicode_escape(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        let escape = text.as_bytes().get(at..at + 6)?;
        let [b'\\', b'u', hex @ ..] = escape else { return None };
        if !hex.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    match unit(0) {
        // Not four digits: what stands there is not JSON; keep going after the backslash and the letter.
        None => (char::REPLACEMENT_CHARACTER, 2),
        Some(high @ 0xd800..=0xdbff) => match unit(6) {
            Some(low @ 0xdc00..=0xdfff) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
            }
            _ => (char::REPLACEMENT_CHARACTER, 6),
        },
        Some(code) => (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        Tape::default().read(text).is_ok()
    }

    #[test]
    fn json_is_accepted_and_nothing_else() {
        for text in ["{}", "[]", " [ ] ", "1", "-0", "1.5e+3", "\"\"", "true", "{\"a\":[1,{\"b\":null}],\"c\":{}}"] {
            assert!(accepts(text), "{text}");
        }
        for text in [
            "",
            " ",
            "{",
            "}",
            "[",
            "[,]",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            "1e",
            "-",
            "+1",
            ".5",
            "tru",
            "nul",
            "\"",
            "\"\\\"",
            "[1}",
            "{\"a\":1]",
            "1 2",
            "{} {}",
            "[1 2]",
        ] {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(accepts(&nested(MAX_DEPTH)));
        assert!(!accepts(&nested(MAX_DEPTH + 1)));
    }

    #[test]
    fn compact_text_has_no_blanks_outside_strings() {
        let mut tape = Tape::default();
        let value = tape.read(" { \"a b\" : [ 1.50 , \"x \\\" y\" ] ,\n\t\"c\": {} } ").unwrap();
        assert_eq!(value.compact(&mut String::new()), r#"{"a b":[1.50,"x \" y"],"c":{}}"#);
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        let mut tape = Tape::default();
        let value = tape.read(r#""a\ud83d\ude00b\ud83dc\ude00\u0041""#).unwrap();
        assert_eq!(value.text(&mut String::new()), Some("a\u{1f600}b\u{fffd}c\u{fffd}A"));
    }

    pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "\\PC{0,12}".prop_map(Into::into),
            "[ -~\\x00-\\x1f\"\\\\]{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map("[a-c\"\\\\\\n]{0,3}", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn rebuild(value: Value<'_>) -> serde_json::Value {
        let mut scratch = String::new();
        match value.kind() {
            Kind::Null => serde_json::Value::Null,
            Kind::True => true.into(),
            Kind::False => false.into(),
            Kind::Number => serde_json::from_str(value.source()).unwrap(),
            Kind::Text => value.text(&mut scratch).unwrap().into(),
            Kind::Array => value.items().map(rebuild).collect::<Vec<_>>().into(),
            Kind::Object => value
                .members()
                .map(|(name, value)| (name.text(&mut scratch).unwrap().to_owned(), rebuild(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    proptest! {
        #[test]
        fn the_tape_of_a_value_is_the_value(value in any_json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            // What serde_json reads back is the reference: printing a float may change it.
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let mut tape = Tape::default();
            let read = tape.read(&text).unwrap();
            prop_assert_eq!(&rebuild(read), &value);
            let compact = read.compact(&mut String::new()).to_owned();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&compact).unwrap(), value);
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in "[\\[\\]{}\",:0-9a-z\\\\ .-]{0,40}") {
            let mut tape = Tape::default();
            let strict = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            let lenient = tape.read(&text).map(|value| rebuild_lenient(value)).is_ok();
            prop_assert!(lenient || !strict, "{}", text);
        }
    }

    fn rebuild_lenient(value: Value<'_>) {
        let mut scratch = String::new();
        let _ = (value.text(&mut scratch).is_some(), value.compact(&mut String::new()).len());
        value.items().for_each(rebuild_lenient);
        value.members().for_each(|(_, value)| rebuild_lenient(value));
    }
}
