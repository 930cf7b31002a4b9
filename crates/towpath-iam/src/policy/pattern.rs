//! Text patterns of policies: `*`, `?`, and variables such as `${aws:username}`.
//!
//! A pattern is compiled when the policy is parsed. A variable stands for a value of the request and its value is
//! always literal: a user named `*` does not match everybody. `${*}`, `${?}` and `${$}` are the plain characters.

use std::borrow::Cow;

/// Whether a comparison minds the case of ASCII letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Sensitive,
    Insensitive,
}

/// Whether `*` and `?` are wildcards in a pattern, or plain characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wildcards {
    Yes,
    No,
}

/// Whether `${...}` is a variable in a pattern. Only policies of version 2012-10-17 have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variables {
    Yes,
    No,
}

/// Finds the one value of a variable, by its key as written.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    One,
    Any,
    Variable { key: String, default: Option<String> },
}

/// A token of a pattern whose variables have values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glyph {
    Byte(u8),
    One,
    Any,
}

impl Pattern {
    /// Compiles `text`; the error says what is wrong with a variable in it.
    pub(crate) fn compile(text: &str, wildcards: Wildcards, variables: Variables) -> Result<Self, String> {
        let mut tokens = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            if variables == Variables::Yes && rest.starts_with("${") {
                let end = rest.find('}').ok_or_else(|| format!("variable in {text:?} has no closing brace"))?;
                tokens.push(variable(&rest[2..end], text)?);
                rest = &rest[end + 1..];
                continue;
            }
            let length = rest.chars().next().map_or(1, char::len_utf8);
            match (first, wildcards) {
                (b'*', Wildcards::Yes) => tokens.push(Token::Any),
                (b'?', Wildcards::Yes) => tokens.push(Token::One),
                _ => tokens.extend(rest.as_bytes()[..length].iter().copied().map(Token::Byte)),
            }
            rest = &rest[length..];
        }
        // Runs of `*` mean the same as one, and cost more.
        tokens.dedup_by(|next, last| *next == Token::Any && *last == Token::Any);
        Ok(Self { tokens })
    }

    /// True when the pattern is `*`.
    pub(crate) fn is_any(&self) -> bool {
        self.tokens == [Token::Any]
    }

    /// Says whether `text` matches; `None` when a variable has no value.
    pub(crate) fn matches(&self, text: &str, case: Case, lookup: Lookup<'_>) -> Option<bool> {
        Some(glob(&self.glyphs(lookup)?, text, case))
    }

    /// Cuts the pattern at its first `count - 1` colons into `count` patterns; `None` when it has fewer.
    pub(crate) fn segments(&self, count: usize) -> Option<Vec<Pattern>> {
        let segments: Vec<_> = self
            .tokens
            .splitn(count, |token| *token == Token::Byte(b':'))
            .map(|tokens| Pattern { tokens: tokens.to_vec() })
            .collect();
        (segments.len() == count).then_some(segments)
    }

    fn glyphs(&self, lookup: Lookup<'_>) -> Option<Vec<Glyph>> {
        let mut glyphs = Vec::with_capacity(self.tokens.len());
        for token in &self.tokens {
            match token {
                Token::Byte(byte) => glyphs.push(Glyph::Byte(*byte)),
                Token::One => glyphs.push(Glyph::One),
                Token::Any => glyphs.push(Glyph::Any),
                Token::Variable { key, default } => {
                    let value = lookup(key).or_else(|| default.clone())?;
                    glyphs.extend(value.bytes().map(Glyph::Byte));
                }
            }
        }
        Some(glyphs)
    }
}

/// Parses what stands between the braces of a variable: a key, or a key and a default in quotes, or one of `* ? $`.
fn variable(inside: &str, text: &str) -> Result<Token, String> {
    if let "*" | "?" | "$" = inside {
        return Ok(Token::Byte(inside.as_bytes()[0]));
    }
    let (key, default) = match inside.split_once(',') {
        None => (inside.trim(), None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let default = quoted.ok_or_else(|| format!("default of a variable in {text:?} is not in single quotes"))?;
            (key.trim(), Some(default.to_owned()))
        }
    };
    if !is_condition_key(key) {
        return Err(format!("variable {inside:?} in {text:?} is not of the form service:name"));
    }
    Ok(Token::Variable { key: key.to_owned(), default })
}

/// True for `service:name` and `service:name/tag`, the form of every condition key; those of an encryption context have
/// further colons, `kms:EncryptionContext:aws:cloudtrail:arn`.
pub(crate) fn is_condition_key(key: &str) -> bool {
    let Some((service, name)) = key.split_once(':') else { return false };
    let (name, tag) = name.split_once('/').map_or((name, None), |(name, tag)| (name, Some(tag)));
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let tag_is_sound =
        tag.is_none_or(|tag| (1..=128).contains(&tag.chars().count()) && !tag.contains(char::is_control));
    let name_is_sound = word(name) || (service.eq_ignore_ascii_case("kms") && name.split(':').all(word));
    key.len() <= 512 && word(service) && name_is_sound && tag_is_sound
}

/// Matches the whole of `text`. Walks both once, returning to the last `*` on a mismatch: at most
/// pattern length times text length steps.
fn glob(pattern: &[Glyph], text: &str, case: Case) -> bool {
    let bytes = text.as_bytes();
    let same = |a: u8, b: u8| match case {
        Case::Sensitive => a == b,
        Case::Insensitive => a.eq_ignore_ascii_case(&b),
    };
    let after = |at: usize| (at + 1..=bytes.len()).find(|next| text.is_char_boundary(*next)).unwrap_or(bytes.len());

    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < bytes.len() {
        match pattern.get(p) {
            Some(Glyph::Any) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(Glyph::One) => {
                p += 1;
                t = after(t);
                continue;
            }
            Some(Glyph::Byte(byte)) if same(*byte, bytes[t]) => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((star_p, star_t)) = star else { return false };
        let next = after(star_t);
        star = Some((star_p, next));
        (p, t) = (star_p + 1, next);
    }
    pattern[p..].iter().all(|glyph| *glyph == Glyph::Any)
}

/// A pattern for ARNs: the first five parts are matched one by one, so that no wildcard reaches into the next part;
/// the sixth is matched against all that remains. The pattern `*` matches any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArnPattern {
    Any,
    Parts(Vec<Pattern>),
}

impl ArnPattern {
    /// Compiles `text`, which must be `*` or have six parts and start with `arn`.
    pub(crate) fn compile(text: &str, variables: Variables) -> Result<Self, String> {
        let pattern = Pattern::compile(text, Wildcards::Yes, variables)?;
        if pattern.is_any() {
            return Ok(Self::Any);
        }
        let is_arn = text.starts_with("arn:") || text.starts_with('*') || text.starts_with('?');
        match pattern.segments(6) {
            Some(parts) if is_arn => Ok(Self::Parts(parts)),
            _ => Err(format!("{text:?} is neither an ARN of six parts nor \"*\"")),
        }
    }

    /// Says whether `arn` matches; `None` when a variable has no value.
    pub(crate) fn matches(&self, arn: &str, lookup: Lookup<'_>) -> Option<bool> {
        let Self::Parts(patterns) = self else { return Some(true) };
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let mut all = parts.len() == patterns.len();
        // Every pattern is looked at, so that a missing value is seen whatever the other parts say.
        for (at, pattern) in patterns.iter().enumerate() {
            let text = parts.get(at).copied().unwrap_or_default();
            all &= pattern.matches(text, Case::Sensitive, lookup)?;
        }
        Some(all)
    }
}

/// Folds the case of a condition key: keys are compared without regard to it.
pub(crate) fn fold(key: &str) -> Cow<'_, str> {
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(key.to_ascii_lowercase())
    } else {
        Cow::Borrowed(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::compile(pattern, Wildcards::Yes, Variables::Yes).unwrap();
        pattern.matches(text, Case::Sensitive, &nothing).unwrap()
    }

    /// The definition of wildcard matching, without any cleverness.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
            (Some(('?', rest)), Some((_, tail))) => reference(rest, tail),
            (Some((a, rest)), Some((b, tail))) => a == b && reference(rest, tail),
            _ => false,
        }
    }

    #[test]
    fn wildcards_match_runs_and_single_characters() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "x"),
            ("a*c", "abbc"),
            ("a*b*c", "aXbYbZc"),
            ("?", "é"),
            ("*é?", "aé€"),
            ("**", ""),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "x"), ("?", ""), ("?", "ab"), ("a*c", "ab"), ("a", "A"), ("*a", "ab")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_variable_is_literal_and_an_escape_is_a_character() {
        let lookup = |key: &str| (key == "aws:username").then(|| "*".to_owned());
        let pattern = Pattern::compile("home/${aws:username}/${*}*", Wildcards::Yes, Variables::Yes).unwrap();

        assert_eq!(pattern.matches("home/*/*x", Case::Sensitive, &lookup), Some(true));
        assert_eq!(pattern.matches("home/bob/*x", Case::Sensitive, &lookup), Some(false));
        assert_eq!(pattern.matches("home/*/x", Case::Sensitive, &lookup), Some(false));
        assert_eq!(pattern.matches("home/*/*", Case::Sensitive, &nothing), None);

        let pattern = Pattern::compile("${aws:username, 'nobody'}", Wildcards::Yes, Variables::Yes).unwrap();
        assert_eq!(pattern.matches("nobody", Case::Sensitive, &nothing), Some(true));
    }

    #[test]
    fn a_broken_variable_is_refused_unless_the_version_has_none() {
        for text in ["${", "${}", "${username}", "x${aws:username", "${aws:username, nobody}", "${aws: x}"] {
            assert!(Pattern::compile(text, Wildcards::Yes, Variables::Yes).is_err(), "{text}");
            let plain = Pattern::compile(text, Wildcards::No, Variables::No).unwrap();
            assert_eq!(plain.matches(text, Case::Sensitive, &nothing), Some(true));
        }
    }

    #[test]
    fn a_wildcard_in_an_arn_stays_in_its_part() {
        let matches = |pattern: &str, arn: &str| {
            ArnPattern::compile(pattern, Variables::Yes).unwrap().matches(arn, &nothing).unwrap()
        };
        let channel = "arn:aws:cloudtrail:us-east-1:123456789012:channel/a:b";
        assert!(matches("*", channel));
        assert!(matches("arn:aws:cloudtrail:*:*:channel/*", channel));
        assert!(matches("arn:aws:cloudtrail:us-*-1:123456789012:channel/?:b", channel));
        assert!(!matches("arn:aws:*:123456789012:channel/a:b:c", channel));
        assert!(!matches("arn:aws:cloudtrail:*:*:eventdatastore/*", channel));
        assert!(!matches("arn:aws:cloudtrail:us-east-1:*:CHANNEL/a:b", channel));
        for text in ["arn:aws:cloudtrail:*", "channel/a", "", "a:b:c:d:e:f"] {
            assert!(ArnPattern::compile(text, Variables::Yes).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab*?é]{0,8}", text in "[abé]{0,10}") {
            let p: Vec<_> = pattern.chars().collect();
            let t: Vec<_> = text.chars().collect();
            prop_assert_eq!(matches(&pattern, &text), reference(&p, &t));
        }

        #[test]
        fn compiling_and_matching_never_panic(pattern in ".{0,40}", text in ".{0,40}") {
            for variables in [Variables::Yes, Variables::No] {
                if let Ok(pattern) = Pattern::compile(&pattern, Wildcards::Yes, variables) {
                    let _ = pattern.matches(&text, Case::Insensitive, &nothing);
                }
                let _ = ArnPattern::compile(&pattern, variables).map(|pattern| pattern.matches(&text, &nothing));
            }
        }
    }

    #[test]
    fn a_hostile_pattern_takes_bounded_time() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!matches(&pattern, &"a".repeat(2000)));
    }
}
