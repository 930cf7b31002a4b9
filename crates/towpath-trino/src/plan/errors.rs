//! From DataFusion's errors to errors with a place in the text.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::{Mistake, SqlError, nearest};
use crate::sql::names::without_suffix;
use crate::sql::statement::Statement;

/// Explains why a statement cannot be planned. `columns` are the columns of its tables.
pub(crate) fn sql_error(error: DataFusionError, statement: &Statement, columns: &[String]) -> SqlError {
    let error = match error {
        DataFusionError::Collection(mut errors) if !errors.is_empty() => errors.remove(0),
        other => other,
    };
    let spanned = error.diagnostic().and_then(|d| d.span).map(|s| Location::new(s.start.line, s.start.column));
    let place = |name: &str| statement.place_of(name).or(spanned);
    match error.find_root() {
        DataFusionError::External(inner) if inner.downcast_ref::<Mistake>().is_some() => {
            let mistake =
                inner.downcast_ref::<Mistake>().cloned().unwrap_or(Mistake { message: inner.to_string(), about: None });
            let at = mistake.about.as_deref().and_then(place).or(spanned);
            at.map_or_else(|| SqlError::whole(&mistake.message), |at| SqlError::at(at, &mistake.message))
        }
        DataFusionError::SchemaError(schema_error, _) => match schema_error.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let known =
                    valid_fields.iter().map(|c| without_suffix(&c.name)).chain(columns.iter().map(String::as_str));
                let hint = nearest(&field.name, known)
                    .filter(|n| *n != field.name)
                    .map(|n| format!("; did you mean {n}?"))
                    .unwrap_or_default();
                let name =
                    field.relation.as_ref().map_or_else(|| field.name.clone(), |r| format!("{r}.{}", field.name));
                let at = field
                    .spans
                    .first()
                    .map(|s| Location::new(s.start.line, s.start.column))
                    .or_else(|| place(&field.name));
                at.map_or_else(
                    || SqlError::whole(format!("unknown column: {name}{hint}")),
                    |at| SqlError::at(at, format!("unknown column: {name}{hint}")),
                )
            }
            SchemaError::AmbiguousReference { field } => {
                let message = format!("column {} is ambiguous", field.name);
                place(&field.name).map_or_else(|| SqlError::whole(&message), |at| SqlError::at(at, &message))
            }
            SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
                let message =
                    format!("column {} occurs twice; name the columns or give them aliases", without_suffix(name));
                place(name).map_or_else(|| SqlError::whole(&message), |at| SqlError::at(at, &message))
            }
        },
        other => {
            let message = plain_message(other);
            if let Some(name) = message
                .strip_prefix("could not parse compound identifier from ")
                .or_else(|| message.strip_prefix("compound identifier: "))
            {
                let parts: Vec<&str> = name.split('"').skip(1).step_by(2).collect();
                let at = parts.first().and_then(|first| place(first));
                let message = format!("unknown column: {}", parts.join("."));
                return at.map_or_else(|| SqlError::whole(&message), |at| SqlError::at(at, &message));
            }
            spanned.map_or_else(|| SqlError::whole(&message), |at| SqlError::at(at, &message))
        }
    }
}

/// How much of a message of DataFusion is shown, in characters.
const MAX_MESSAGE: usize = 400;

/// Returns the message without DataFusion's prefix.
fn plain_message(error: &DataFusionError) -> String {
    let message = error.strip_backtrace();
    let mut rest = message.as_str();
    for prefix in [
        "Error during planning: ",
        "This feature is not implemented: ",
        "Execution error: ",
        "Arrow error: ",
        "Internal error: ",
        "SQL error: ",
    ] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let first: String = rest.lines().next().unwrap_or_default().chars().take(MAX_MESSAGE).collect();
    let mut chars = first.replace('\u{1}', "#").chars().collect::<Vec<_>>().into_iter();
    chars
        .next()
        .map(|c| c.to_lowercase().chain(chars).collect())
        .unwrap_or_else(|| "the statement cannot be planned".into())
}
