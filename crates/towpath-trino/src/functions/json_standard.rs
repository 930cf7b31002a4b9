//! The JSON functions of the SQL standard: `json_value`, `json_query` and `json_exists`, with their clauses.
//!
//! The clauses arrive as further constant arguments, in the order in which the lexer puts them:
//!
//! ```text
//! json_value(document, path, type, on empty, default, on error, default, passed...)
//! json_query(document, path, wrapper, quotes, on empty, on error, passed...)
//! json_exists(document, path, on error, passed...)
//! ```
//!
//! What is passed comes as name, value and `plain` or `json`.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, StringArray, StringBuilder};
use datafusion::arrow::compute::{cast, interleave};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use crate::error::{failure, mistake};
use crate::functions::casts::cast_array;
use crate::functions::json_path::{self, Found as OnPath};
use crate::functions::json_text::{Kind, compact, is_valid, kind, scalar};
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{JSON, is_text, parse_type, trino_type_name};

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![
        Shape::new("json_value", value_type, value),
        Shape::new("json_query", |g| documented(g, 6, DataType::Utf8), query),
        Shape::new("json_exists", |g| documented(g, 3, DataType::Boolean), exists),
    ]
}

/// Checks that a document and a path come first, alone or with all `count` arguments.
fn documented(given: &Given<'_>, count: usize, result: DataType) -> Result<DataType> {
    let text = |t: &DataType| is_text(t) || *t == DataType::Null;
    match given.types.as_slice() {
        [document, path, rest @ ..]
            if (text(document) || *document == JSON)
                && text(path)
                && (rest.is_empty() || (rest.len() + 2 >= count && (rest.len() + 2 - count).is_multiple_of(3))) =>
        {
            Ok(result)
        }
        types => Err(wrong_arguments(given.name, &types[..types.len().min(2)])),
    }
}

fn value_type(given: &Given<'_>) -> Result<DataType> {
    let wanted = parse_type(given.text(2).unwrap_or("varchar")).map_err(mistake)?.data_type;
    if wanted.is_nested() || wanted == JSON {
        return Err(mistake(format!("json_value cannot return {}", trino_type_name(&wanted))));
    }
    documented(given, 7, wanted)
}

/// What a path found in a document.
enum Found<'a> {
    /// The document is NULL.
    Nothing,
    Items(Vec<Cow<'a, str>>),
    Failed(&'static str),
}

/// The variables that PASSING gives, from argument `first` on, each as JSON.
fn passed(call: &Call<'_>, first: usize) -> Result<Vec<(String, ArrayRef)>> {
    let triples = call.args.get(first..).unwrap_or_default().chunks_exact(3);
    (0..triples.len())
        .map(|number| {
            let at = first + 3 * number;
            let name = call.text(at).unwrap_or_default().to_owned();
            let value = call.array(at + 1)?;
            let json = call.text(at + 2) == Some("json") && is_text(value.data_type());
            let raw = if json { value } else { cast_array(&value, &JSON, false)? };
            Ok((name, cast(&raw, &DataType::Utf8)?))
        })
        .collect()
}

/// Runs `f` over what the paths find, row by row. Variables stand from argument `variables` on.
fn each(call: &Call<'_>, variables: usize, mut f: impl FnMut(Found<'_>) -> Result<()>) -> Result<()> {
    let passed = passed(call, variables)?;
    let documents = call.array_as(0, &DataType::Utf8)?;
    let paths = call.array_as(1, &DataType::Utf8)?;
    let (documents, paths) = (documents.as_string::<i32>(), paths.as_string::<i32>());
    for row in 0..call.rows {
        if documents.is_null(row) || paths.is_null(row) {
            f(Found::Nothing)?;
            continue;
        }
        let (document, path) = (documents.value(row), paths.value(row));
        if !is_valid(document) {
            f(Found::Failed("the text is not JSON"))?;
            continue;
        }
        let mut given = Vec::with_capacity(passed.len());
        for (name, values) in &passed {
            let values = values.as_string::<i32>();
            given.push((name.clone(), values.is_valid(row).then(|| values.value(row).to_owned())));
        }
        if given.iter().any(|(_, value)| value.as_ref().is_some_and(|value| !is_valid(value))) {
            f(Found::Failed("what is passed is not JSON"))?;
            continue;
        }
        f(match json_path::find(document, path, &given).map_err(failure)? {
            OnPath::Items(items) => Found::Items(items),
            OnPath::Failed(why) => Found::Failed(why),
        })?;
    }
    Ok(())
}

/// What stands for a missing or an impossible value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fallback {
    Null,
    Error,
    Default,
    EmptyArray,
    EmptyObject,
    True,
    False,
}

fn fallback(call: &Call<'_>, argument: usize, otherwise: Fallback) -> Fallback {
    match if argument < call.args.len() { call.text(argument) } else { None } {
        Some("null" | "unknown") => Fallback::Null,
        Some("error") => Fallback::Error,
        Some("default") => Fallback::Default,
        Some("empty array") => Fallback::EmptyArray,
        Some("empty object") => Fallback::EmptyObject,
        Some("true") => Fallback::True,
        Some("false") => Fallback::False,
        _ => otherwise,
    }
}

const NO_ITEMS: &str = "the path found no items";
const MANY_ITEMS: &str = "the path found several items";
const NO_SCALAR: &str = "the path found an item that is no scalar";

fn value(call: &Call<'_>) -> Result<ArrayRef> {
    let to = call.return_type;
    let (on_empty, on_error) = (fallback(call, 3, Fallback::Null), fallback(call, 5, Fallback::Null));
    let mut texts: Vec<Option<String>> = Vec::with_capacity(call.rows);
    // Of each row: the fallback that it takes, and why.
    let mut taken: Vec<Option<(Fallback, bool, &'static str)>> = Vec::with_capacity(call.rows);
    each(call, 7, |found| {
        let (text, why) = match found {
            Found::Nothing => (None, None),
            Found::Failed(why) => (None, Some((on_error, false, why))),
            Found::Items(items) => match <[_; 1]>::try_from(items) {
                Ok([item]) if kind(&item) == Some(Kind::Null) => (None, None),
                Ok([item]) => match scalar(item) {
                    Some(text) => (Some(text.into_owned()), None),
                    None => (None, Some((on_error, false, NO_SCALAR))),
                },
                Err(items) if items.is_empty() => (None, Some((on_empty, true, NO_ITEMS))),
                Err(_) => (None, Some((on_error, false, MANY_ITEMS))),
            },
        };
        texts.push(text);
        taken.push(why);
        Ok(())
    })?;
    let texts: ArrayRef = Arc::new(StringArray::from(texts));
    let values = cast_array(&texts, to, true)?;
    for (row, taken) in taken.iter_mut().enumerate() {
        if texts.is_valid(row) && values.is_null(row) {
            *taken = Some((on_error, false, "the item cannot be converted to the type asked for"));
        }
    }
    let default = |argument: usize| {
        if argument < call.args.len() {
            cast_array(&call.array(argument)?, to, false)
        } else {
            cast_array(&datafusion::arrow::array::new_null_array(&DataType::Null, call.rows), to, false)
        }
    };
    let (for_empty, for_error) = (default(4)?, default(6)?);
    let sources = taken
        .into_iter()
        .enumerate()
        .map(|(row, taken)| match taken {
            Some((Fallback::Error, _, why)) if !call.lenient => Err(failure(format!("json_value: {why}"))),
            Some((Fallback::Default, true, _)) => Ok((1, row)),
            Some((Fallback::Default, false, _)) => Ok((2, row)),
            // Without a value, the first source is NULL.
            _ => Ok((0, row)),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(interleave(&[&values, &for_empty, &for_error], &sources)?)
}

fn query(call: &Call<'_>) -> Result<ArrayRef> {
    let wrapper = if call.args.len() > 2 { call.text(2).unwrap_or_default() } else { "" };
    let omit_quotes = call.args.len() > 3 && call.text(3) == Some("omit");
    let (on_empty, on_error) = (fallback(call, 4, Fallback::Null), fallback(call, 5, Fallback::Null));
    let mut results = StringBuilder::new();
    each(call, 6, |found| {
        let outcome = match found {
            Found::Nothing => {
                results.append_null();
                return Ok(());
            }
            Found::Failed(why) => Err((on_error, why)),
            Found::Items(items) if items.is_empty() => Err((on_empty, NO_ITEMS)),
            Found::Items(mut items) => {
                let nested = |item: &Cow<'_, str>| matches!(kind(item), Some(Kind::Array | Kind::Object));
                let wrap = match wrapper {
                    "with" => true,
                    "conditional" => items.len() != 1 || !nested(&items[0]),
                    _ => false,
                };
                if wrap {
                    let items: Vec<_> = items.into_iter().map(|item| compact(item).into_owned()).collect();
                    Ok(Cow::Owned(format!("[{}]", items.join(","))))
                } else if items.len() > 1 {
                    Err((on_error, MANY_ITEMS))
                } else {
                    let item = items.remove(0);
                    match kind(&item) {
                        Some(Kind::Text) if omit_quotes => Ok(scalar(item).unwrap_or_default()),
                        _ => Ok(compact(item)),
                    }
                }
            }
        };
        match outcome {
            Ok(text) => results.append_value(text),
            Err((Fallback::Error, why)) if !call.lenient => return Err(failure(format!("json_query: {why}"))),
            Err((Fallback::EmptyArray, _)) => results.append_value("[]"),
            Err((Fallback::EmptyObject, _)) => results.append_value("{}"),
            Err(_) => results.append_null(),
        }
        Ok(())
    })?;
    Ok(Arc::new(results.finish()))
}

fn exists(call: &Call<'_>) -> Result<ArrayRef> {
    let on_error = fallback(call, 2, Fallback::False);
    let mut results = BooleanBuilder::with_capacity(call.rows);
    each(call, 3, |found| {
        match (found, on_error) {
            (Found::Nothing, _) => results.append_null(),
            (Found::Items(items), _) => results.append_value(!items.is_empty()),
            (Found::Failed(why), Fallback::Error) if !call.lenient => {
                return Err(failure(format!("json_exists: {why}")));
            }
            (Found::Failed(_), Fallback::True) => results.append_value(true),
            (Found::Failed(_), Fallback::False) => results.append_value(false),
            (Found::Failed(_), _) => results.append_null(),
        }
        Ok(())
    })?;
    Ok(Arc::new(results.finish()))
}
