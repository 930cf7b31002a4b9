//! Functions of text. Positions and lengths count characters, from one.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::functions::scalar::Param::{Binary, Int, Text, Texts};
use crate::functions::scalar::{Body, Out, Overload, Row, overload};

/// Longest text that padding may produce, in characters.
const MAX_PADDED: i64 = 1_000_000;

/// Lists the functions of this file.
pub(crate) fn functions() -> Vec<(&'static str, Vec<Overload>)> {
    vec![
        (
            "lower",
            vec![overload(&[Text], Body::Text(|r| Ok(Some(fold(r.text(0), char::is_uppercase, str::to_lowercase)))))],
        ),
        (
            "upper",
            vec![overload(&[Text], Body::Text(|r| Ok(Some(fold(r.text(0), char::is_lowercase, str::to_uppercase)))))],
        ),
        (
            "length",
            vec![
                overload(&[Text], Body::Int(|r| Ok(Some(r.text(0).chars().count() as i64)))),
                overload(&[Binary], Body::Int(|r| Ok(Some(r.binary(0).len() as i64)))),
            ],
        ),
        (
            "trim",
            vec![
                overload(&[Text], Body::Text(|r| Ok(Some(r.text(0).trim().into())))),
                overload(
                    &[Text, Text],
                    Body::Text(|r| Ok(Some(r.text(0).trim_matches(|c| r.text(1).contains(c)).into()))),
                ),
            ],
        ),
        (
            "ltrim",
            vec![
                overload(&[Text], Body::Text(|r| Ok(Some(r.text(0).trim_start().into())))),
                overload(
                    &[Text, Text],
                    Body::Text(|r| Ok(Some(r.text(0).trim_start_matches(|c| r.text(1).contains(c)).into()))),
                ),
            ],
        ),
        (
            "rtrim",
            vec![
                overload(&[Text], Body::Text(|r| Ok(Some(r.text(0).trim_end().into())))),
                overload(
                    &[Text, Text],
                    Body::Text(|r| Ok(Some(r.text(0).trim_end_matches(|c| r.text(1).contains(c)).into()))),
                ),
            ],
        ),
        (
            "replace",
            vec![
                overload(&[Text, Text], Body::Text(|r| Ok(Some(replaced(r.text(0), r.text(1), ""))))),
                overload(&[Text, Text, Text], Body::Text(|r| Ok(Some(replaced(r.text(0), r.text(1), r.text(2)))))),
            ],
        ),
        (
            "reverse",
            vec![overload(&[Text], Body::Text(|r| Ok(Some(r.text(0).chars().rev().collect::<String>().into()))))],
        ),
        ("substr", substring()),
        ("substring", substring()),
        (
            "strpos",
            vec![
                overload(&[Text, Text], Body::Int(|r| Ok(Some(position(r.text(0), r.text(1), 1))))),
                overload(&[Text, Text, Int], Body::Int(|r| Ok(Some(position(r.text(0), r.text(1), r.int(2)))))),
            ],
        ),
        ("starts_with", vec![overload(&[Text, Text], Body::Bool(|r| Ok(Some(r.text(0).starts_with(r.text(1))))))]),
        ("ends_with", vec![overload(&[Text, Text], Body::Bool(|r| Ok(Some(r.text(0).ends_with(r.text(1))))))]),
        (
            "split",
            vec![
                overload(&[Text, Text], Body::Texts(|r| split(r, None))),
                overload(&[Text, Text, Int], Body::Texts(|r| split(r, Some(r.int(2))))),
            ],
        ),
        ("split_part", vec![overload(&[Text, Text, Int], Body::Text(split_part))]),
        ("lpad", vec![overload(&[Text, Int, Text], Body::Text(|r| pad(r, true)))]),
        ("rpad", vec![overload(&[Text, Int, Text], Body::Text(|r| pad(r, false)))]),
        (
            "normalize",
            vec![
                overload(&[Text], Body::Text(|r| Ok(Some(r.text(0).nfc().collect::<String>().into())))),
                overload(
                    &[Text, Text],
                    Body::Text(|r| {
                        let text = r.text(0);
                        let normal: String = match r.text(1) {
                            "nfc" => text.nfc().collect(),
                            "nfd" => text.nfd().collect(),
                            "nfkc" => text.nfkc().collect(),
                            "nfkd" => text.nfkd().collect(),
                            other => return Err(format!("'{other}' is not a normal form")),
                        };
                        Ok(Some(normal.into()))
                    }),
                ),
            ],
        ),
        (
            "chr",
            vec![overload(
                &[Int],
                Body::Text(|r| {
                    let code = u32::try_from(r.int(0)).ok().and_then(char::from_u32).ok_or("not a code point")?;
                    Ok(Some(code.to_string().into()))
                }),
            )],
        ),
        (
            "codepoint",
            vec![overload(
                &[Text],
                Body::Int(|r| {
                    let mut chars = r.text(0).chars();
                    match (chars.next(), chars.next()) {
                        (Some(c), None) => Ok(Some(i64::from(u32::from(c)))),
                        _ => Err("the text is not a single character".into()),
                    }
                }),
            )],
        ),
        (
            "concat_ws",
            vec![overload(
                &[Text, Texts],
                Body::Text(|r| Ok(Some(r.texts(1).into_iter().flatten().collect::<Vec<_>>().join(r.text(0)).into()))),
            )],
        ),
        (
            "levenshtein_distance",
            vec![overload(&[Text, Text], Body::Int(|r| Ok(Some(strsim::levenshtein(r.text(0), r.text(1)) as i64))))],
        ),
        (
            "hamming_distance",
            vec![overload(
                &[Text, Text],
                Body::Int(|r| {
                    strsim::hamming(r.text(0), r.text(1))
                        .map(|d| Some(d as i64))
                        .map_err(|_| "the texts differ in length".into())
                }),
            )],
        ),
        ("translate", vec![overload(&[Text, Text, Text], Body::Text(translate))]),
        ("soundex", vec![overload(&[Text], Body::Text(soundex))]),
    ]
}

/// Changes case only where there is something to change.
fn fold<'a>(text: &'a str, affected: fn(char) -> bool, change: fn(&str) -> String) -> Cow<'a, str> {
    if text.chars().any(affected) || !text.is_ascii() { change(text).into() } else { text.into() }
}

fn replaced<'a>(text: &'a str, from: &str, to: &str) -> Cow<'a, str> {
    if from.is_empty() && to.is_empty() || !text.contains(from) { text.into() } else { text.replace(from, to).into() }
}

fn substring() -> Vec<Overload> {
    vec![
        overload(&[Text, Int], Body::Text(|r| Ok(Some(substr(r.text(0), r.int(1), i64::MAX).into())))),
        overload(&[Text, Int, Int], Body::Text(|r| Ok(Some(substr(r.text(0), r.int(1), r.int(2)).into())))),
    ]
}

/// Takes `length` characters from position `start`; a negative start counts from the end, zero finds nothing.
pub(crate) fn substr(text: &str, start: i64, length: i64) -> &str {
    if start == 0 || length <= 0 || text.is_empty() {
        return "";
    }
    let count = if text.is_ascii() { text.len() } else { text.chars().count() } as i64;
    let first = if start > 0 { start - 1 } else { count.saturating_add(start) };
    if first < 0 || first >= count {
        return "";
    }
    let last = first.saturating_add(length).min(count);
    if text.is_ascii() {
        return &text[first as usize..last as usize];
    }
    let byte = |n: i64| text.char_indices().nth(n as usize).map_or(text.len(), |(at, _)| at);
    &text[byte(first)..byte(last)]
}

/// Position of the nth occurrence, from the end if `instance` is negative; zero if there is none.
fn position(text: &str, wanted: &str, instance: i64) -> i64 {
    let found = match instance {
        0 => None,
        n if n > 0 => text.match_indices(wanted).nth(n as usize - 1),
        n => text.rmatch_indices(wanted).nth(n.unsigned_abs() as usize - 1),
    };
    found.map_or(0, |(at, _)| text[..at].chars().count() as i64 + 1)
}

fn split(r: &Row<'_>, limit: Option<i64>) -> Out<Vec<Option<String>>> {
    let (text, by) = (r.text(0), r.text(1));
    if by.is_empty() {
        return Err("the delimiter is empty".into());
    }
    let parts: Vec<_> = match limit {
        None => text.split(by).map(|p| Some(p.to_owned())).collect(),
        Some(limit) if limit > 0 => text.splitn(limit as usize, by).map(|p| Some(p.to_owned())).collect(),
        Some(_) => return Err("the limit must be positive".into()),
    };
    Ok(Some(parts))
}

fn split_part<'a>(r: &Row<'a>) -> Out<Cow<'a, str>> {
    if r.int(2) <= 0 {
        return Err("the index must be greater than zero".into());
    }
    if r.text(1).is_empty() {
        return Ok(r.text(0).chars().nth(r.int(2) as usize - 1).map(|c| c.to_string().into()));
    }
    Ok(r.text(0).split(r.text(1)).nth(r.int(2) as usize - 1).map(Cow::from))
}

fn pad<'a>(r: &Row<'a>, left: bool) -> Out<Cow<'a, str>> {
    let (text, size, with) = (r.text(0), r.int(1), r.text(2));
    if !(0..=MAX_PADDED).contains(&size) {
        return Err(format!("the size must be between 0 and {MAX_PADDED}"));
    }
    if with.is_empty() {
        return Err("the padding is empty".into());
    }
    let missing = size - text.chars().count() as i64;
    if missing <= 0 {
        return Ok(Some(substr(text, 1, size).into()));
    }
    let padding: String = with.chars().cycle().take(missing as usize).collect();
    Ok(Some(if left { padding + text } else { format!("{text}{padding}") }.into()))
}

fn translate<'a>(r: &Row<'a>) -> Out<Cow<'a, str>> {
    let (from, to): (Vec<char>, Vec<char>) = (r.text(1).chars().collect(), r.text(2).chars().collect());
    let translated = r.text(0).chars().filter_map(|c| match from.iter().position(|f| *f == c) {
        Some(at) => to.get(at).copied(),
        None => Some(c),
    });
    Ok(Some(translated.collect::<String>().into()))
}

fn soundex<'a>(r: &Row<'a>) -> Out<Cow<'a, str>> {
    let code = |c: char| match c.to_ascii_uppercase() {
        'B' | 'F' | 'P' | 'V' => '1',
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => '2',
        'D' | 'T' => '3',
        'L' => '4',
        'M' | 'N' => '5',
        'R' => '6',
        'H' | 'W' => '-',
        _ => '0',
    };
    let mut letters = r.text(0).chars().filter(char::is_ascii_alphabetic);
    let Some(first) = letters.next() else { return Ok(Some("".into())) };
    let mut result = first.to_ascii_uppercase().to_string();
    let mut last = code(first);
    for letter in letters {
        let digit = code(letter);
        if digit != '0' && digit != '-' && digit != last {
            result.push(digit);
        }
        if digit != '-' {
            last = digit;
        }
    }
    result.truncate(4);
    Ok(Some(format!("{result:0<4}").into()))
}
