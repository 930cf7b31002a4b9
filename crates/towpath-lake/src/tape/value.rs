//! The values of a tape: taken as they stand in the text, decoded when asked.

use towpath_model::decode_json_escape;

use super::{Kind, Tape, Token, string_end};

/// A value within a text that has been tokenized.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(super) text: &'a str,
    pub(super) tape: &'a Tape,
    pub(super) at: usize,
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

/// Writes `source`, the inside of a JSON string, into `out` with escapes resolved. An unknown escape stays as written.
fn unescape(source: &str, out: &mut String) {
    out.clear();
    let mut rest = source;
    while let Some(slash) = rest.find('\\') {
        out.push_str(&rest[..slash]);
        rest = &rest[slash..];
        let (character, length) = decode_json_escape(rest.as_bytes()).unwrap_or(('\\', 1));
        out.push(character);
        rest = &rest[length..];
    }
    out.push_str(rest);
}
