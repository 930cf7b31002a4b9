//! What is wrong with a statement, and where.
//!
//! Positions count from one, in characters, in the text the caller gave: every rewriting the crate does before
//! parsing is undone before an error leaves it.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::Location;

/// A statement that cannot be parsed or planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}:{column}: {message}")]
pub struct SqlError {
    /// What is wrong, in lower case, without the position.
    pub message: String,
    /// Line of the offending text, counted from one.
    pub line: u64,
    /// Character of the offending text within its line, counted from one.
    pub column: u64,
}

impl SqlError {
    /// Reports `message` about the text at `at`.
    pub(crate) fn at(at: Location, message: impl Into<String>) -> Self {
        Self { message: message.into(), line: at.line.max(1), column: at.column.max(1) }
    }

    /// Reports `message` about the statement as a whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: 1, column: 1 }
    }
}

/// A mistake found while planning, on its way through DataFusion's error type.
///
/// `about` is the name of the function or column whose place in the text locates the mistake.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) about: Option<String>,
}

/// Builds a planning mistake that no name locates.
pub(crate) fn mistake(message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(Mistake { message: message.into(), about: None }))
}

/// Builds a planning mistake that the name `about` locates.
pub(crate) fn mistake_about(about: &str, message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(Mistake { message: message.into(), about: Some(about.to_owned()) }))
}

/// Builds an error of the running query, as for a value that cannot be cast.
pub(crate) fn failure(message: impl Into<String>) -> DataFusionError {
    DataFusionError::Execution(message.into())
}

/// Names the candidate closest to `wanted`, if one is close enough to be a slip of the pen.
pub(crate) fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}
