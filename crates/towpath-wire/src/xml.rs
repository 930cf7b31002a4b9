//! XML answers: elements and text, written in order.

use bytes::Bytes;

/// An XML document under construction.
#[derive(Debug)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Self {
        Self(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
    }

    pub(crate) fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    pub(crate) fn open_with_namespace(&mut self, name: &str, namespace: &str) {
        self.open(&format!("{name} xmlns=\"{namespace}\""));
    }

    pub(crate) fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    pub(crate) fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        text.chars().for_each(|c| self.push_escaped(c));
        self.close(name);
    }

    /// Characters that XML 1.0 cannot hold even escaped become U+FFFD.
    fn push_escaped(&mut self, c: char) {
        match c {
            '&' => self.0.push_str("&amp;"),
            '<' => self.0.push_str("&lt;"),
            '>' => self.0.push_str("&gt;"),
            '"' => self.0.push_str("&quot;"),
            '\'' => self.0.push_str("&apos;"),
            '\r' => self.0.push_str("&#13;"),
            '\t' | '\n' => self.0.push(c),
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => self.0.push('\u{FFFD}'),
            other => self.0.push(other),
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from(self.0)
    }
}
