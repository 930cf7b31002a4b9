//! Patterns of names: letters stand for themselves, `*` for any run of characters.

use serde::Deserialize;

/// A pattern such as `Get*`, `x-amz-grant-*` or `ListSpaces`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// The pattern with this text; any text is one.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// True if it stands for this name; case counts.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let mut starred = false;
        let mut parts = parts.peekable();
        while let Some(part) = parts.next() {
            starred = true;
            if parts.peek().is_none() {
                return rest.len() >= part.len() && rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        starred || rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let matches = |pattern: &str, name: &str| Pattern(pattern.to_owned()).matches(name);
        for (pattern, name) in
            [("Get*", "GetItem"), ("*", ""), ("*Item", "PutItem"), ("a*b*c", "a1b2b3c"), ("ab", "ab")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("Get", "GetItem"), ("a*ba", "aba "), ("ab*ba", "aba"), ("", "x"), ("*Item", "Items")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
