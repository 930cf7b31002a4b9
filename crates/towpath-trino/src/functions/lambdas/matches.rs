//! `regexp_replace(text, pattern, groups -> ...)`: the lambda writes what stands in place of each match.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringBuilder, UInt32Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::LambdaArgument;

use super::run;
use crate::error::failure;
use crate::functions::casts::cast_array;
use crate::functions::regexps::with_regex;

/// Replaces every match in every text; the lambda gets the groups of the match, from the first on.
///
/// A match that the lambda makes NULL makes the whole text NULL.
pub(super) fn replace_matches(values: &[ArrayRef], lambda: &LambdaArgument) -> Result<ArrayRef> {
    let (texts, patterns) =
        (cast_array(&values[0], &DataType::Utf8, false)?, cast_array(&values[1], &DataType::Utf8, false)?);
    let (texts, patterns) = (texts.as_string::<i32>(), patterns.as_string::<i32>());
    let mut groups = ListBuilder::new(StringBuilder::new());
    // Of each match: its row, and where it stands in the text.
    let mut rows = vec![];
    let mut places = vec![];
    for row in 0..texts.len() {
        if texts.is_null(row) || patterns.is_null(row) {
            continue;
        }
        with_regex(patterns.value(row), |pattern| {
            for found in pattern.captures_iter(texts.value(row)) {
                for group in 1..pattern.captures_len() {
                    groups.values().append_option(found.get(group).map(|m| m.as_str()));
                }
                groups.append(true);
                rows.push(row as u32);
                places.push(found.get_match().range());
            }
            Ok(())
        })
        .map_err(|message| failure(format!("regexp_replace: {message}")))?;
    }
    let rows = UInt32Array::from(rows);
    let written = run(lambda, &[Arc::new(groups.finish())], &rows)?;
    let written = cast_array(&written, &DataType::Utf8, false)?;
    let written = written.as_string::<i32>();

    let mut replaced = StringBuilder::new();
    let mut next = 0;
    for row in 0..texts.len() {
        if texts.is_null(row) || patterns.is_null(row) {
            replaced.append_null();
            continue;
        }
        let text = texts.value(row);
        let mut out = Some(String::with_capacity(text.len()));
        let mut copied = 0;
        while next < rows.len() && rows.value(next) as usize == row {
            let place = &places[next];
            match &mut out {
                Some(out) if written.is_valid(next) => {
                    out.push_str(&text[copied..place.start]);
                    out.push_str(written.value(next));
                }
                _ => out = None,
            }
            copied = place.end;
            next += 1;
        }
        match out {
            Some(mut out) => {
                out.push_str(&text[copied..]);
                replaced.append_value(out);
            }
            None => replaced.append_null(),
        }
    }
    Ok(Arc::new(replaced.finish()))
}
