//! JSON functions.
//!
//! Functions that take a document take it as `json` or as text. A text that is no JSON gives NULL where Trino gives NULL.

use std::borrow::Cow;

use crate::functions::json_text::{Kind, canonical, compact, elements, find, is_valid, kind, members, scalar};
use crate::functions::scalar::Param::{Bool, Double, Int, Json, Text, TextOrJson};
use crate::functions::scalar::{Body, Out, Overload, Row, overload};

/// Lists the functions of this file.
pub(crate) fn functions() -> Vec<(&'static str, Vec<Overload>)> {
    vec![
        ("json_extract", vec![overload(&[TextOrJson, Text], Body::Json(extract))]),
        ("json_extract_scalar", vec![overload(&[TextOrJson, Text], Body::Text(extract_scalar))]),
        ("json_parse", vec![overload(&[Text], Body::Json(|r| Ok(Some(canonical(r.text(0))?.into()))))]),
        ("json_format", vec![overload(&[Json], Body::Text(|r| Ok(Some(compact(r.text(0).into())))))]),
        (
            "is_json_scalar",
            vec![overload(
                &[TextOrJson],
                Body::Bool(|r| {
                    if !is_valid(r.text(0)) {
                        return Err("the text is not JSON".into());
                    }
                    Ok(kind(r.text(0)).map(|kind| !matches!(kind, Kind::Array | Kind::Object)))
                }),
            )],
        ),
        (
            "json_array_length",
            vec![overload(&[TextOrJson], Body::Int(|r| Ok(elements(r.text(0)).map(|items| items.len() as i64))))],
        ),
        (
            "json_array_get",
            vec![overload(
                &[TextOrJson, Int],
                Body::Json(|r| {
                    let Some(mut items) = elements(r.text(0)) else { return Ok(None) };
                    let at = if r.int(1) < 0 { r.int(1) + items.len() as i64 } else { r.int(1) };
                    if at < 0 || at as usize >= items.len() {
                        return Ok(None);
                    }
                    Ok(Some(compact(items.swap_remove(at as usize))).filter(|found| found.as_ref() != "null"))
                }),
            )],
        ),
        (
            "json_array_contains",
            vec![
                overload(&[TextOrJson, Text], Body::Bool(|r| contains(r, Kind::Text, |item| item == r.text(1)))),
                overload(
                    &[TextOrJson, Bool],
                    Body::Bool(|r| contains(r, Kind::Boolean, |item| item == if r.bool(1) { "true" } else { "false" })),
                ),
                overload(
                    &[TextOrJson, Double],
                    Body::Bool(|r| contains(r, Kind::Number, |item| item.parse() == Ok(r.double(1)))),
                ),
            ],
        ),
        (
            "json_size",
            vec![overload(
                &[TextOrJson, Text],
                Body::Int(|r| {
                    let Some(found) = find(r.text(0), r.text(1))? else { return Ok(None) };
                    Ok(match kind(&found) {
                        Some(Kind::Array) => elements(&found).map(|items| items.len() as i64),
                        Some(Kind::Object) => members(&found).map(|items| items.len() as i64),
                        Some(_) => Some(0),
                        None => None,
                    })
                }),
            )],
        ),
    ]
}

fn extract<'a>(r: &Row<'a>) -> Out<Cow<'a, str>> {
    Ok(find(r.text(0), r.text(1))?.map(compact))
}

fn extract_scalar<'a>(r: &Row<'a>) -> Out<Cow<'a, str>> {
    Ok(find(r.text(0), r.text(1))?.and_then(scalar))
}

fn contains(r: &Row<'_>, wanted: Kind, matches: impl Fn(&str) -> bool) -> Out<bool> {
    let Some(items) = elements(r.text(0)) else { return Ok(None) };
    Ok(Some(items.into_iter().filter(|item| kind(item) == Some(wanted)).filter_map(scalar).any(|item| matches(&item))))
}
