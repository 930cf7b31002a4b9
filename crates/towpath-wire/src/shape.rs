//! Shapes: what the service model says about a member, as data that the validator walks.

use std::sync::OnceLock;

use regex::Regex;

/// One shape of a service model.
#[derive(Debug)]
pub struct Shape {
    /// The shape's name in the model.
    pub name: &'static str,
    /// Its type and constraints.
    pub kind: Kind,
}

impl Shape {
    /// The members of a structure; empty for every other kind.
    pub fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure(members) => members,
            _ => &[],
        }
    }
}

/// The type of a shape with the constraints that the model puts on it. Bounds include both ends.
#[derive(Debug)]
pub enum Kind {
    /// Text.
    String {
        /// Fewest characters.
        min: Option<usize>,
        /// Most characters.
        max: Option<usize>,
        /// What all of the text must match.
        pattern: Option<&'static Pattern>,
        /// The words of an enum; empty for other text.
        values: &'static [&'static str],
    },
    /// A 32-bit integer.
    Integer {
        /// Smallest value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
    },
    /// A 64-bit integer.
    Long {
        /// Smallest value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
    },
    /// A number with a fraction.
    Float,
    /// True or false.
    Boolean,
    /// A point in time.
    Timestamp,
    /// Bytes as base64 text.
    Blob,
    /// A list.
    List {
        /// Fewest items.
        min: Option<usize>,
        /// Most items.
        max: Option<usize>,
        /// What every item looks like.
        member: &'static Shape,
    },
    /// A map.
    Map {
        /// Fewest entries.
        min: Option<usize>,
        /// Most entries.
        max: Option<usize>,
        /// What every key looks like.
        key: &'static Shape,
        /// What every value looks like.
        value: &'static Shape,
    },
    /// A structure.
    Structure(&'static [Member]),
}

/// One member of a structure.
#[derive(Debug)]
pub struct Member {
    /// The member's name on the wire.
    pub name: &'static str,
    /// True if a request without it is invalid.
    pub required: bool,
    /// Where in the request it travels.
    pub location: Location,
    /// What it must look like.
    pub shape: &'static Shape,
}

/// Where in a request a member travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the JSON body.
    Body,
    /// In the query string, under this name.
    Query(&'static str),
}

/// A pattern that the whole of a text must match.
#[derive(Debug)]
pub struct Pattern {
    source: &'static str,
    rust: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    /// A pattern as the model writes it, and the same in the syntax of the `regex` crate.
    pub const fn new(source: &'static str, rust: &'static str) -> Self {
        Self { source, rust, compiled: OnceLock::new() }
    }

    /// The pattern as the model writes it.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// True if all of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled.get_or_init(|| self.compile().expect("a unit test compiles every pattern")).is_match(text)
    }

    fn compile(&self) -> Result<Regex, regex::Error> {
        Regex::new(self.rust)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Operation;

    /// Visits every shape that any operation's input reaches.
    fn every_shape(shape: &'static Shape, seen: &mut HashSet<*const Shape>, visit: &mut dyn FnMut(&'static Shape)) {
        if !seen.insert(shape) {
            return;
        }
        visit(shape);
        match &shape.kind {
            Kind::List { member, .. } => every_shape(member, seen, visit),
            Kind::Map { key, value, .. } => {
                every_shape(key, seen, visit);
                every_shape(value, seen, visit);
            }
            Kind::Structure(members) => members.iter().for_each(|m| every_shape(m.shape, seen, visit)),
            _ => {}
        }
    }

    #[test]
    fn every_pattern_of_the_models_compiles() {
        let (mut seen, mut patterns) = (HashSet::new(), 0);
        for operation in Operation::ALL {
            every_shape(operation.model().input, &mut seen, &mut |shape| {
                if let Kind::String { pattern: Some(pattern), .. } = shape.kind {
                    pattern.compile().unwrap_or_else(|error| panic!("{}: {error}", shape.name));
                    patterns += 1;
                }
            });
        }
        crate::sts::ASSUME_ROLE.members().iter().for_each(|member| {
            if let Kind::String { pattern: Some(pattern), .. } = member.shape.kind {
                pattern.compile().unwrap();
            }
        });
        assert!(patterns > 25, "only {patterns} patterns were seen");
    }

    #[test]
    fn a_pattern_must_match_the_whole_text() {
        let matches = |shape: &Shape, text: &str| match shape.kind {
            Kind::String { pattern: Some(pattern), .. } => pattern.matches(text),
            _ => panic!("{} has no pattern", shape.name),
        };
        use crate::cloudtrail::constraints::*;
        assert!(matches(&ACCOUNT_ID, "123456789012"));
        assert!(!matches(&ACCOUNT_ID, "12345678901x"));
        assert!(!matches(&ACCOUNT_ID, "١٢٣٤٥٦٧٨٩٠١٢"), "digits are ASCII");
        assert!(matches(&CHANNEL_NAME, "a.b_c-1"));
        assert!(!matches(&CHANNEL_NAME, "a\n"));
        assert!(matches(&QUERY_STATEMENT, "SELECT\n1"));
        assert!(!matches(&SELECTOR_NAME, "two\nlines"));
        assert!(!matches(&SELECTOR_NAME, "two\u{2028}lines"), "Java's dot stops at every line terminator");
        assert!(matches(&DELIVERY_S3_URI, "s3://bucket/prefix"));
        assert!(!matches(&DELIVERY_S3_URI, "https://s3://bucket"));
        assert!(!matches(&TIME_OF_DAY, "12:30:00"));
    }
}
