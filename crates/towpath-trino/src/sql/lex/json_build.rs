//! The members and clauses of `json_object` and `json_array`: they become plain arguments.
//!
//! `json_object('a' : x, KEY b VALUE y FORMAT JSON ABSENT ON NULL)` is read as
//! `$json_object('absent', 'without', 'a', x, 'plain', b, y, 'json')`, and `json_array(x, y NULL ON NULL)` as
//! `$json_array('null', x, 'plain', y, 'plain')`.

use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::json::{settled, word};
use crate::error::SqlError;
use crate::types::{is_text, parse_type};

/// The name of a call that is built here.
pub(super) fn builder(token: &TokenWithSpan) -> Option<&'static str> {
    ["json_object", "json_array"].into_iter().find(|name| word(Some(token)) == Some(*name))
}

/// Index of the parenthesis that closes the one before `start`; none if it is missing.
pub(super) fn closing(tokens: &[TokenWithSpan], start: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket if depth == 0 => return Some(at),
            Token::RParen | Token::RBracket => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Rewrites what stands between the parentheses of a call.
pub(super) fn arguments(name: &str, inside: &[TokenWithSpan], at: Span) -> Result<Vec<TokenWithSpan>, SqlError> {
    let mut rest = inside;
    cut_returning(name, &mut rest)?;
    let object = name == "json_object";
    let unique = object && (cut(&mut rest, &["with", "unique", "keys"]) || cut(&mut rest, &["with", "unique"]));
    if object && !unique && !cut(&mut rest, &["without", "unique", "keys"]) {
        cut(&mut rest, &["without", "unique"]);
    }
    let absent = cut(&mut rest, &["absent", "on", "null"]);
    let null = !absent && cut(&mut rest, &["null", "on", "null"]);
    let text = |text: &str| TokenWithSpan { token: Token::SingleQuotedString(text.to_owned()), span: at };
    let comma = || TokenWithSpan { token: Token::Comma, span: at };
    // What stands for NULL where nothing is said differs between the two.
    let on_null = if absent || (!object && !null) { "absent" } else { "null" };
    let mut out = vec![text(on_null)];
    if object {
        out.extend([comma(), text(if unique { "with" } else { "without" })]);
    }
    for member in members(rest) {
        let value = if object {
            let (key, value) = key_and_value(member).ok_or_else(|| {
                let place = member.first().map_or(at.start, |token| token.span.start);
                SqlError::at(place, "syntax error: json_object takes KEY ... VALUE ... or key : value")
            })?;
            out.push(comma());
            out.extend(settled(key)?);
            value
        } else {
            member
        };
        let (value, json) = formatted(value);
        if value.is_empty() {
            return Err(SqlError::at(at.start, format!("syntax error: a value of {name} is missing")));
        }
        out.push(comma());
        out.extend(settled(value)?);
        out.extend([comma(), text(if json { "json" } else { "plain" })]);
    }
    Ok(out)
}

/// Takes words off the end.
fn cut(rest: &mut &[TokenWithSpan], words: &[&str]) -> bool {
    let Some(start) = rest.len().checked_sub(words.len()) else { return false };
    let found = rest[start..].iter().zip(words).all(|(token, wanted)| word(Some(token)) == Some(*wanted));
    if found {
        *rest = &rest[..start];
    }
    found
}

/// Takes RETURNING off the end. The result is text, whatever its length.
fn cut_returning(name: &str, rest: &mut &[TokenWithSpan]) -> Result<(), SqlError> {
    let mut depth = 0usize;
    let outermost = rest.iter().position(|token| {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && word(Some(token)) == Some("returning")
    });
    let Some(at) = outermost else { return Ok(()) };
    let mut written = &rest[at + 1..];
    cut(&mut written, &["encoding", "utf8"]);
    cut(&mut written, &["format", "json"]);
    let text = written.iter().map(|token| token.token.to_string()).collect::<Vec<_>>().join(" ");
    let place = rest[at].span.start;
    let wanted = parse_type(&text).map_err(|message| SqlError::at(place, &message))?;
    if !is_text(&wanted.data_type) {
        return Err(SqlError::at(place, format!("{name} cannot return {text}")));
    }
    *rest = &rest[..at];
    Ok(())
}

/// Splits at the commas outside of parentheses.
fn members(tokens: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    if tokens.is_empty() {
        return vec![];
    }
    let (mut depth, mut start, mut found) = (0usize, 0, vec![]);
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            Token::Comma if depth == 0 => {
                found.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&tokens[start..]);
    found
}

/// Splits `[KEY] key VALUE value` or `key : value`.
fn key_and_value(member: &[TokenWithSpan]) -> Option<(&[TokenWithSpan], &[TokenWithSpan])> {
    let outside = |wanted: &dyn Fn(&TokenWithSpan) -> bool| -> Vec<usize> {
        let mut depth = 0usize;
        let mut places = vec![];
        for (at, token) in member.iter().enumerate() {
            match token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                _ if depth == 0 && wanted(token) => places.push(at),
                _ => {}
            }
        }
        places
    };
    if let Some(at) = outside(&|token| token.token == Token::Colon).first() {
        return Some((&member[..*at], &member[*at + 1..])).filter(|(key, value)| !key.is_empty() && !value.is_empty());
    }
    let values = outside(&|token| word(Some(token)) == Some("value"));
    // `key` and `value` are names of columns too.
    let keyword = word(member.first()) == Some("key") && (values.first() != Some(&1) || values.len() > 1);
    let start = usize::from(keyword);
    let at = *values.iter().find(|at| **at > start)?;
    Some((&member[start..at], &member[at + 1..])).filter(|(_, value)| !value.is_empty())
}

/// Takes FORMAT JSON off a value. What the JSON functions of the standard return is JSON anyway.
fn formatted(value: &[TokenWithSpan]) -> (&[TokenWithSpan], bool) {
    let mut rest = value;
    cut(&mut rest, &["encoding", "utf8"]);
    if cut(&mut rest, &["format", "json"]) {
        return (rest, true);
    }
    let call = matches!(word(value.first()), Some("json_object" | "json_array" | "json_query"))
        && matches!(value.get(1).map(|token| &token.token), Some(Token::LParen));
    (value, call && closing(value, 2) == Some(value.len() - 1))
}
