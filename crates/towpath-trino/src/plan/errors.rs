//! From DataFusion's errors to errors with a place in the text.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::{Mistake, SqlError, nearest};
use crate::sql::names::without_suffix;
use crate::sql::statement::Statement;
use crate::types::trino_type_name;

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
                let known = valid_fields
                    .iter()
                    .map(|c| without_suffix(&c.name))
                    .filter(|name| !name.is_empty() && !name.starts_with('$'))
                    .chain(columns.iter().map(String::as_str));
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
            if let Some((name, message)) = wrong_call(&other.to_string(), statement) {
                let at = place(&name);
                return at.map_or_else(|| SqlError::whole(&message), |at| SqlError::at(at, &message));
            }
            let message = plain_message(other);
            let message = wrong_columns(&message).or_else(|| ungrouped(&message)).unwrap_or(message);
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

/// Names of DataFusion's functions, and those that queries use for them.
const SHOWN: [(&str, &[&str]); 9] = [
    ("approx_percentile_cont", &["approx_percentile"]),
    ("bit_and", &["bitwise_and_agg"]),
    ("bit_or", &["bitwise_or_agg"]),
    ("bit_xor", &["bitwise_xor_agg"]),
    ("bool_and", &["every"]),
    ("first_value", &["max_by", "min_by", "arbitrary", "any_value"]),
    ("stddev", &["stddev_samp"]),
    ("var", &["variance", "var_samp"]),
    ("avg", &["geometric_mean"]),
];

/// Explains a call whose arguments DataFusion does not accept: the function's name, and the message.
fn wrong_call(error: &str, statement: &Statement) -> Option<(String, String)> {
    let shown = |name: &str| {
        let others = SHOWN.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, shown)| shown);
        let written = others.iter().find(|other| statement.place_of(other).is_some());
        written.filter(|_| statement.place_of(name).is_none()).map_or_else(|| name.to_owned(), |w| (*w).to_owned())
    };
    if let Some((_, call)) = error.split_once("No function matches the given name and argument types '") {
        let (name, types) = call.split_once('\'')?.0.split_once('(')?;
        let types: Vec<String> = split_types(types.strip_suffix(')')?).into_iter().map(type_shown).collect();
        let name = shown(name);
        let message = format!("function {name} does not accept ({})", types.join(", "));
        return Some((name, message));
    }
    let (_, call) = error.split_once("unction '")?;
    let (name, rest) = call.split_once('\'')?;
    if !rest.starts_with(" failed to match any signature") && !rest.starts_with(" requires ") {
        return None;
    }
    let name = shown(name);
    let message = match rest.split_once("(DataType: ").and_then(|(_, found)| found.split_once(")")) {
        Some((found, _)) => format!("function {name} does not accept {}", type_shown(found)),
        None => format!("function {name} cannot be called with these arguments"),
    };
    Some((name, message))
}

/// Splits a list of types at the commas that are not within one.
fn split_types(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut types) = (0usize, 0, vec![]);
    for (at, c) in list.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                types.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    types.push(list[start..].trim());
    types.retain(|t| !t.is_empty());
    types
}

/// Writes a type that DataFusion names as Trino names it; only the family of a nested one.
fn type_shown(name: &str) -> String {
    match name.parse::<DataType>() {
        Ok(data_type) => trino_type_name(&data_type),
        Err(_) => name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(name).to_lowercase(),
    }
}

/// Explains a column beside aggregates that is not grouped by.
fn ungrouped(message: &str) -> Option<String> {
    let (clause, rest) = message.strip_prefix("column in ")?.split_once(" must be in GROUP BY or an aggregate")?;
    let column = rest.split_once("column \"").and_then(|(_, rest)| Some(rest.split_once('"')?.0));
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | '#');
    let what = match column.filter(|column| column.chars().all(plain)).and_then(|column| column.rsplit('.').next()) {
        Some(column) => format!("column {}", without_suffix(column)),
        None => "what stands".to_owned(),
    };
    Some(format!("{what} in {clause} must be in GROUP BY, or within an aggregate function"))
}

/// Explains a subquery with too many or too few columns.
fn wrong_columns(message: &str) -> Option<String> {
    if let Some((_, columns)) = message.split_once("The subquery should only return one column: ") {
        return Some(format!("the subquery must return one column, not {}", split_types(columns).len()));
    }
    let (has, rest) = message.strip_prefix("source table contains ")?.split_once(" columns but only ")?;
    let (wanted, _) = rest.split_once(" names")?;
    Some(format!("a subquery or table has {has} column(s) where {wanted} are expected"))
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
