//! Violations: one constraint that one member of a request breaks, in the words AWS uses for it.

use std::fmt;

use crate::limits::MAX_ECHO;

/// One broken constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, as AWS writes it: `advancedEventSelectors.1.member.fieldSelectors`. Indexes count from one.
    pub path: String,
    /// The input's own member that the path starts with, as the model spells it.
    pub member: &'static str,
    /// The shape whose constraint is broken.
    pub shape: &'static str,
    /// The offending value, shortened; `None` if there is none.
    pub value: Option<String>,
    /// What it breaks.
    pub constraint: Constraint,
}

/// What a value must satisfy. The words of `Display` are those AWS answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Present and not null.
    NotNull,
    /// At least so many characters, items or entries.
    MinLength(usize),
    /// At most so many characters, items or entries.
    MaxLength(usize),
    /// No smaller than.
    MinValue(i64),
    /// No greater than.
    MaxValue(i64),
    /// Matches the pattern.
    Pattern(&'static str),
    /// One of these words.
    Enum(&'static [&'static str]),
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNull => f.write_str("Member must not be null"),
            Self::MinLength(min) => write!(f, "Member must have length greater than or equal to {min}"),
            Self::MaxLength(max) => write!(f, "Member must have length less than or equal to {max}"),
            Self::MinValue(min) => write!(f, "Member must have value greater than or equal to {min}"),
            Self::MaxValue(max) => write!(f, "Member must have value less than or equal to {max}"),
            Self::Pattern(pattern) => write!(f, "Member must satisfy regular expression pattern: {pattern}"),
            Self::Enum(words) => write!(f, "Member must satisfy enum value set: [{}]", words.join(", ")),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "Value '{value}'")?,
            None => f.write_str("Value null")?,
        }
        write!(f, " at '{}' failed to satisfy constraint: {}", self.path, self.constraint)
    }
}

/// The message for a request with these violations.
pub(crate) fn describe(violations: &[Violation]) -> String {
    let noun = if violations.len() == 1 { "error" } else { "errors" };
    let each: Vec<String> = violations.iter().map(Violation::to_string).collect();
    format!("{} validation {noun} detected: {}", violations.len(), each.join("; "))
}

/// A value as a message repeats it: shortened.
pub(crate) fn echo(text: &str) -> String {
    match text.char_indices().nth(MAX_ECHO) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
