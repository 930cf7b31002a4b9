//! References of an OpenAPI document (`$ref`): that each leads somewhere inside of it, and where. Other files were taken in
//! before.

use serde_json::{Map, Value as Json};

use super::document::DocumentError;

/// The deepest chain of references that leads to something.
const MAX_HOPS: usize = 32;
/// Members that hold examples and values, in which `$ref` is a text like any other.
const OPAQUE: [&str; 6] = ["example", "examples", "default", "enum", "const", "value"];

/// True for members that hold what is no part of the document.
pub(super) fn is_opaque(name: &str) -> bool {
    OPAQUE.contains(&name) || name.starts_with("x-")
}

/// Follows a reference that was checked.
pub(super) fn resolve<'a>(root: &'a Json, mut node: &'a Json) -> &'a Json {
    for _ in 0..MAX_HOPS {
        match reference(node).and_then(|reference| target(root, reference)) {
            Some(next) => node = next,
            None => break,
        }
    }
    node
}

/// The reference of a node that is one.
fn reference(node: &Json) -> Option<&str> {
    node.as_object()?.get("$ref")?.as_str()
}

fn target<'a>(root: &'a Json, reference: &str) -> Option<&'a Json> {
    let pointer = reference.strip_prefix('#')?;
    let decoded = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
    root.pointer(&decoded)
}

/// Checks that every reference leads to something.
pub(super) fn check_references(root: &Json) -> Result<(), DocumentError> {
    // Nesting is bounded by the readers of JSON and YAML; a list of what is left to look at needs no recursion.
    let mut left = vec![(root, false)];
    while let Some((node, names_are_data)) = left.pop() {
        match node {
            Json::Array(items) => left.extend(items.iter().map(|item| (item, false))),
            Json::Object(members) => {
                if !names_are_data {
                    check_reference(root, node, members)?;
                }
                let kept = members.iter().filter(|(name, _)| names_are_data || !is_opaque(name));
                left.extend(kept.map(|(name, value)| (value, !names_are_data && name == "properties")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_reference(root: &Json, node: &Json, members: &Map<String, Json>) -> Result<(), DocumentError> {
    let Some(reference) = members.get("$ref").and_then(Json::as_str) else { return Ok(()) };
    let wrong = |why| Err(DocumentError::Reference { reference: reference.to_owned(), why });
    if !reference.is_empty() && !reference.starts_with("#/") && reference != "#" {
        return wrong("leads out of the document");
    }
    if target(root, reference).is_none() {
        return wrong("leads to nothing");
    }
    if self::reference(resolve(root, node)).is_some() {
        return wrong("leads in a circle");
    }
    Ok(())
}
