//! URI templates of REST operations: `/spaces/{spaceId}`, `/{Bucket}/{Key+}?acl`, `/apikeys?mode=import`.

use std::sync::Arc;

/// Path and query that an operation is called with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UriTemplate {
    /// The parts of the path.
    pub segments: Box<[Segment]>,
    /// Parts of the query string that every request has: a name, and the value if one is given.
    pub literals: Box<[Literal]>,
    /// True if the path ends with a slash.
    pub trailing_slash: bool,
}

/// A part of a query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Its name.
    pub name: Arc<str>,
    /// Its value; any will do if there is none.
    pub value: Option<Arc<str>>,
}

/// A part of a path, between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// As it stands.
    Literal(Arc<str>),
    /// A label: one part, percent-encoded.
    Label(Arc<str>),
    /// A label that takes one part or more, slashes among it.
    Greedy(Arc<str>),
}

impl UriTemplate {
    /// Reads a template. Any text is one: braces that do not enclose a whole part are taken as they stand.
    pub fn parse(text: &str) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let trimmed = path.strip_prefix('/').unwrap_or(path);
        let (trimmed, trailing_slash) = match trimmed.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (trimmed, false),
        };
        let segments = match trimmed {
            "" => Box::default(),
            trimmed => trimmed.split('/').map(Segment::parse).collect(),
        };
        let literals = query.split('&').filter(|part| !part.is_empty()).map(literal).collect();
        Self { segments, literals, trailing_slash }
    }

    /// The labels' names, in order.
    pub fn labels(&self) -> impl Iterator<Item = &Arc<str>> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Label(name) | Segment::Greedy(name) => Some(name),
        })
    }

    /// Matches the parts of a path; what the labels take is as it was sent, percent-encoded.
    ///
    /// A slash at the end may be there or not. `None` if the path is another.
    pub(crate) fn labels_in<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut labels = Vec::new();
        let mut rest = Some(path);
        let mut left = self.segments.iter();
        while let Some(segment) = left.next() {
            let remaining = rest?;
            if let Segment::Greedy(_) = segment {
                let (taken, after) = before_last(remaining, left.len())?;
                (!taken.is_empty()).then(|| labels.push(taken))?;
                rest = after;
                continue;
            }
            let (part, after) = match remaining.split_once('/') {
                Some((part, after)) => (part, Some(after)),
                None => (remaining, None),
            };
            rest = after;
            match segment {
                Segment::Literal(literal) if !same(part, literal) => return None,
                Segment::Literal(_) => (),
                _ if part.is_empty() => return None,
                _ => labels.push(part),
            }
        }
        match rest {
            None | Some("") => Some(labels),
            Some(_) => None,
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        let Some(label) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
            return Self::Literal(Arc::from(text));
        };
        match label.strip_suffix('+') {
            Some(label) => Self::Greedy(Arc::from(label)),
            None => Self::Label(Arc::from(label)),
        }
    }
}

fn literal(part: &str) -> Literal {
    let (name, value) = match part.split_once('=') {
        Some((name, value)) => (name, Some(Arc::from(value))),
        None => (part, None),
    };
    Literal { name: Arc::from(name), value }
}

fn same(part: &str, literal: &str) -> bool {
    part == literal || (part.contains('%') && percent_encoding::percent_decode_str(part).eq(literal.bytes()))
}

/// Cuts a path before its last `parts` parts; a slash at the very end counts for nothing if parts follow.
fn before_last(path: &str, parts: usize) -> Option<(&str, Option<&str>)> {
    if parts == 0 {
        return Some((path, None));
    }
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let (at, _) = trimmed.rmatch_indices('/').nth(parts - 1)?;
    Some((&path[..at], Some(&path[at + 1..])))
}
