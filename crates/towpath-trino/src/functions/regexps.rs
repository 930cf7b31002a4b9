//! Regular expressions, with Trino's argument order and Java's replacement syntax.
//!
//! Patterns run on the `regex` crate: linear time, no look-around, no back references; a pattern that needs those is an
//! error. Compiled patterns are kept per thread, so that a constant pattern is compiled once and not once per row.

use std::borrow::Cow;
use std::cell::RefCell;

use regex::{Captures, Regex};

use crate::functions::scalar::Param::{Int, Text};
use crate::functions::scalar::{Body, Out, Overload, Row, overload};

/// How many compiled patterns a thread keeps.
const KEPT: usize = 32;

thread_local! {
    static COMPILED: RefCell<Vec<(String, Regex)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with the compiled form of `pattern`.
pub(crate) fn with_regex<T>(pattern: &str, f: impl FnOnce(&Regex) -> Result<T, String>) -> Result<T, String> {
    COMPILED.with_borrow_mut(|kept| {
        let at = match kept.iter().position(|(text, _)| text == pattern) {
            Some(at) => at,
            None => {
                let compiled = Regex::new(pattern)
                    .map_err(|e| format!("invalid regular expression: {}", last_line(&e.to_string())))?;
                if kept.len() == KEPT {
                    kept.remove(0);
                }
                kept.push((pattern.to_owned(), compiled));
                kept.len() - 1
            }
        };
        f(&kept[at].1)
    })
}

fn last_line(message: &str) -> String {
    message.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

/// Lists the functions of this file.
pub(crate) fn functions() -> Vec<(&'static str, Vec<Overload>)> {
    vec![
        (
            "regexp_like",
            vec![overload(&[Text, Text], Body::Bool(|r| with_regex(r.text(1), |re| Ok(Some(re.is_match(r.text(0)))))))],
        ),
        (
            "regexp_extract",
            vec![
                overload(&[Text, Text], Body::Text(|r| extract(r, 0))),
                overload(&[Text, Text, Int], Body::Text(|r| extract(r, r.int(2)))),
            ],
        ),
        (
            "regexp_extract_all",
            vec![
                overload(&[Text, Text], Body::Texts(|r| extract_all(r, 0))),
                overload(&[Text, Text, Int], Body::Texts(|r| extract_all(r, r.int(2)))),
            ],
        ),
        (
            "regexp_replace",
            vec![
                overload(&[Text, Text], Body::Text(|r| replace(r, ""))),
                overload(&[Text, Text, Text], Body::Text(|r| replace(r, r.text(2)))),
            ],
        ),
        (
            "regexp_split",
            vec![overload(
                &[Text, Text],
                Body::Texts(|r| {
                    with_regex(r.text(1), |re| {
                        Ok(Some(re.split(r.text(0)).map(|part| Some(part.to_owned())).collect()))
                    })
                }),
            )],
        ),
        (
            "regexp_count",
            vec![overload(
                &[Text, Text],
                Body::Int(|r| with_regex(r.text(1), |re| Ok(Some(re.find_iter(r.text(0)).count() as i64)))),
            )],
        ),
        (
            "regexp_position",
            vec![
                overload(&[Text, Text], Body::Int(|r| find(r, 1, 1))),
                overload(&[Text, Text, Int], Body::Int(|r| find(r, r.int(2), 1))),
                overload(&[Text, Text, Int, Int], Body::Int(|r| find(r, r.int(2), r.int(3)))),
            ],
        ),
    ]
}

fn group(re: &Regex, number: i64) -> Result<usize, String> {
    usize::try_from(number)
        .ok()
        .filter(|n| *n < re.captures_len())
        .ok_or_else(|| format!("the pattern has {} groups, cannot access group {number}", re.captures_len() - 1))
}

fn extract<'a>(r: &Row<'a>, number: i64) -> Out<Cow<'a, str>> {
    let text = r.text(0);
    with_regex(r.text(1), |re| {
        let number = group(re, number)?;
        if number == 0 {
            return Ok(re.find(text).map(|found| found.as_str().into()));
        }
        Ok(re.captures(text).and_then(|found| found.get(number)).map(|m| m.as_str().into()))
    })
}

fn extract_all(r: &Row<'_>, number: i64) -> Out<Vec<Option<String>>> {
    with_regex(r.text(1), |re| {
        let number = group(re, number)?;
        Ok(Some(re.captures_iter(r.text(0)).map(|found| found.get(number).map(|m| m.as_str().to_owned())).collect()))
    })
}

fn find(r: &Row<'_>, start: i64, occurrence: i64) -> Out<i64> {
    if start < 1 || occurrence < 1 {
        return Err("start and occurrence count from one".into());
    }
    let text = r.text(0);
    let Some(skip) = text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(start as usize - 1) else {
        return Ok(Some(-1));
    };
    with_regex(r.text(1), |re| {
        let found = re.find_iter(&text[skip..]).nth(occurrence as usize - 1);
        Ok(Some(found.map_or(-1, |m| text[..skip + m.start()].chars().count() as i64 + 1)))
    })
}

fn replace<'a>(r: &Row<'a>, replacement: &str) -> Out<Cow<'a, str>> {
    let text = r.text(0);
    with_regex(r.text(1), |re| {
        if !replacement.contains(['$', '\\']) {
            return Ok(Some(re.replace_all(text, regex::NoExpand(replacement))));
        }
        let parts = java_replacement(re, replacement)?;
        Ok(Some(re.replace_all(text, |found: &Captures<'_>| {
            parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.as_str(),
                    Part::Group(number) => found.get(*number).map_or("", |m| m.as_str()),
                })
                .collect::<String>()
        })))
    })
}

enum Part {
    Text(String),
    Group(usize),
}

/// Reads a replacement: `$1` and `${name}` are groups, a backslash takes the next character as it is.
fn java_replacement(re: &Regex, replacement: &str) -> Result<Vec<Part>, String> {
    let mut parts = vec![];
    let mut text = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().ok_or("the replacement ends with a backslash")?),
            '$' => {
                parts.push(Part::Text(std::mem::take(&mut text)));
                if chars.next_if_eq(&'{').is_some() {
                    let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                    let number = re
                        .capture_names()
                        .position(|n| n == Some(name.as_str()))
                        .ok_or_else(|| format!("no group named {name}"))?;
                    parts.push(Part::Group(number));
                    continue;
                }
                let first =
                    chars.next().and_then(|c| c.to_digit(10)).ok_or("$ in a replacement needs a group number")?;
                let mut number = first as usize;
                group(re, number as i64)?;
                // As many digits as still name a group.
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                    let longer = number * 10 + digit as usize;
                    if longer >= re.captures_len() {
                        break;
                    }
                    number = longer;
                    chars.next();
                }
                parts.push(Part::Group(number));
            }
            other => text.push(other),
        }
    }
    parts.push(Part::Text(text));
    Ok(parts)
}
