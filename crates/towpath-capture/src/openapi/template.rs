//! Path templates such as `/pets/{petId}/photos/{size}.png`, and which of several is meant.
//!
//! A concrete segment beats one with a name in it, and that beats one that is all name; the first segment in which two
//! templates differ decides.

use std::cmp::Reverse;

use percent_encoding::percent_decode_str;

/// The most segments of a path that is matched.
const MAX_SEGMENTS: usize = 128;

/// A path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
}

/// A segment as literals and names in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Name(String),
}

/// How concrete a template is, segment by segment; the smaller is tried first.
pub type Rank = Vec<(u8, Reverse<usize>)>;

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// In words, if braces do not pair or two names have nothing between them.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("the path {text:?} does not begin with a slash"));
        }
        let segments: Vec<_> = segments(text).map(|segment| Segment::parse(segment, text)).collect::<Result<_, _>>()?;
        if segments.len() > MAX_SEGMENTS {
            return Err(format!("a path has more than {MAX_SEGMENTS} segments"));
        }
        Ok(Self { segments })
    }

    /// How many segments it has.
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Its place in the order in which templates are tried.
    pub fn rank(&self) -> Rank {
        self.segments.iter().map(Segment::rank).collect()
    }

    /// The values of the names in a path, still percent-encoded; `None` if the path is another one.
    pub fn matches<'p>(&self, path: &[&'p str]) -> Option<Vec<(&str, &'p str)>> {
        if path.len() != self.segments.len() {
            return None;
        }
        let mut values = Vec::new();
        let fits = self.segments.iter().zip(path).all(|(segment, text)| segment.matches(text, &mut values));
        fits.then_some(values)
    }
}

/// The segments of a path; one slash at its end is of no account.
pub fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/')
}

/// The segments of a request's path, unless it has too many of them.
pub fn request_segments(path: &str) -> Option<Vec<&str>> {
    let found: Vec<_> = segments(path).take(MAX_SEGMENTS + 1).collect();
    (found.len() <= MAX_SEGMENTS).then_some(found)
}

impl Segment {
    fn parse(text: &str, whole: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, tail) = rest.split_at(rest.find(['{', '}']).unwrap_or(rest.len()));
            if !literal.is_empty() {
                parts.push(Part::Literal(decode(literal)));
            }
            let Some(tail) = tail.strip_prefix('{') else {
                if tail.is_empty() {
                    break;
                }
                return Err(format!("the path {whole:?} has a brace too many"));
            };
            let (name, tail) = tail.split_once('}').ok_or_else(|| format!("the path {whole:?} has an open brace"))?;
            if matches!(parts.last(), Some(Part::Name(_))) || name.is_empty() || name.contains('{') {
                return Err(format!("the path {whole:?} has names that cannot be told apart"));
            }
            parts.push(Part::Name(name.to_owned()));
            rest = tail;
        }
        Ok(Self { parts })
    }

    fn rank(&self) -> (u8, Reverse<usize>) {
        let literal = self.parts.iter().map(|part| if let Part::Literal(text) = part { text.len() } else { 0 }).sum();
        let class = match self.parts.as_slice() {
            [] | [Part::Literal(_)] => 0,
            [Part::Name(_)] => 2,
            _ => 1,
        };
        (class, Reverse(literal))
    }

    fn matches<'t, 'p>(&'t self, text: &'p str, values: &mut Vec<(&'t str, &'p str)>) -> bool {
        match self.parts.as_slice() {
            [] => text.is_empty(),
            [Part::Literal(literal)] => decode(text) == *literal,
            [Part::Name(name)] => {
                values.push((name, text));
                !text.is_empty()
            }
            parts => split(parts, text, values),
        }
    }
}

/// Matches literals and names in turn; a name ends where the literal after it first occurs, and is never empty.
fn split<'t, 'p>(parts: &'t [Part], mut text: &'p str, values: &mut Vec<(&'t str, &'p str)>) -> bool {
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(literal) => match text.strip_prefix(literal.as_str()) {
                Some(rest) => text = rest,
                None => return false,
            },
            Part::Name(name) => {
                let end = match parts.get(index + 1) {
                    // The last literal ends the segment: `{name}.png` takes `a.b.png`.
                    Some(Part::Literal(next)) if index + 2 == parts.len() => {
                        text.strip_suffix(next.as_str()).map(str::len)
                    }
                    Some(Part::Literal(next)) => text.find(next.as_str()),
                    _ => Some(text.len()),
                };
                let Some(end) = end.filter(|end| *end > 0) else { return false };
                values.push((name, &text[..end]));
                text = &text[end..];
            }
        }
    }
    text.is_empty()
}

/// Percent-decoded text; bytes that are no UTF-8 become replacement characters.
pub fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
