//! The clauses of `json_value`, `json_query` and `json_exists`: they become further arguments.
//!
//! `json_value(x, 'lax $.n' RETURNING bigint DEFAULT 0 ON EMPTY)` is read as
//! `json_value(x, 'lax $.n', 'bigint', 'default', 0, 'null', NULL)`. What PASSING names comes last, each as its name, its
//! value and whether that is JSON.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::json_build::{arguments, builder, closing};
use crate::error::SqlError;
use crate::types::parse_type;

/// Rewrites every call with clauses, within others too.
pub(super) fn settle_json(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, SqlError> {
    if !tokens.iter().any(|token| function(token).is_some() || builder(token).is_some()) {
        return Ok(tokens);
    }
    settled(&tokens)
}

pub(super) fn settled(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, SqlError> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let opens = matches!(tokens.get(at + 1).map(|t| &t.token), Some(Token::LParen));
        if let (Some(name), Some(end)) = (builder(&tokens[at]).filter(|_| opens), closing(tokens, at + 2)) {
            // In its plain form nobody can write it.
            let word = Word { value: format!("${name}"), quote_style: Some('"'), keyword: Keyword::NoKeyword };
            out.push(TokenWithSpan { token: Token::Word(word), span: tokens[at].span });
            out.push(tokens[at + 1].clone());
            out.extend(arguments(name, &tokens[at + 2..end], tokens[at].span)?);
            at = end;
            continue;
        }
        let call = function(&tokens[at]).filter(|_| opens).and_then(|name| Some((name, parts(tokens, at + 2)?)));
        out.push(tokens[at].clone());
        at += 1;
        let Some((name, parts)) = call else { continue };
        out.push(tokens[at].clone());
        out.extend(settled(&tokens[at + 1..parts.document_end])?);
        out.push(tokens[parts.comma].clone());
        out.push(tokens[parts.path].clone());
        let span = tokens[at - 1].span;
        let mut clauses = Clauses { name, tokens: &tokens[..parts.end], at: parts.path + 1 };
        for argument in clauses.read()? {
            out.push(TokenWithSpan { token: Token::Comma, span });
            out.extend(match argument {
                Argument::Text(text) => vec![TokenWithSpan { token: Token::SingleQuotedString(text), span }],
                Argument::Tokens(tokens) => settled(tokens)?,
                Argument::Null => vec![null(span)],
            });
        }
        at = parts.end;
    }
    Ok(out)
}

fn null(span: Span) -> TokenWithSpan {
    let word = Word { value: "null".into(), quote_style: None, keyword: Keyword::NULL };
    TokenWithSpan { token: Token::Word(word), span }
}

pub(super) fn word(token: Option<&TokenWithSpan>) -> Option<&str> {
    match token.map(|t| &t.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

fn function(token: &TokenWithSpan) -> Option<&'static str> {
    ["json_value", "json_query", "json_exists"].into_iter().find(|name| word(Some(token)) == Some(*name))
}

/// Where the parts of a call with clauses are.
struct Parts {
    document_end: usize,
    comma: usize,
    path: usize,
    /// The parenthesis that closes the call.
    end: usize,
}

/// Finds the parts of the call whose arguments start at `start`; `None` if it has no clauses.
fn parts(tokens: &[TokenWithSpan], start: usize) -> Option<Parts> {
    let (mut depth, mut comma) = (0usize, None);
    let mut end = None;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket if depth == 0 => {
                end = Some(i);
                break;
            }
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Comma if depth == 0 => comma = comma.or(Some(i)),
            _ => {}
        }
    }
    let (comma, end) = (comma?, end?);
    let path = comma + 1;
    let literal = matches!(tokens.get(path).map(|t| &t.token), Some(Token::SingleQuotedString(_)));
    // FORMAT JSON after the document says what is so anyway.
    let formatted = comma >= start + 2
        && word(tokens.get(comma - 2)) == Some("format")
        && word(tokens.get(comma - 1)) == Some("json");
    let document_end = if formatted { comma - 2 } else { comma };
    let clauses = matches!(tokens.get(path + 1).map(|t| &t.token), Some(Token::Word(_)));
    (literal && (clauses || formatted) && path < end).then_some(Parts { document_end, comma, path, end })
}

enum Argument<'a> {
    Text(String),
    Tokens(&'a [TokenWithSpan]),
    Null,
}

struct Clauses<'a> {
    name: &'static str,
    /// Up to the parenthesis that closes the call.
    tokens: &'a [TokenWithSpan],
    at: usize,
}

/// `... ON EMPTY` or `... ON ERROR`.
struct Fallback<'a> {
    kind: String,
    default: Argument<'a>,
}

impl<'a> Clauses<'a> {
    fn read(&mut self) -> Result<Vec<Argument<'a>>, SqlError> {
        let (mut returning, mut wrapper, mut quotes) = (None, None, None);
        let (mut on_empty, mut on_error) = (None, None);
        let passed = if self.eat("passing") { self.passing()? } else { vec![] };
        while self.at < self.tokens.len() {
            if self.eat("returning") {
                returning = Some(self.type_text()?);
            } else if self.name == "json_query" && self.eat("without") {
                self.eat("array");
                self.expect("wrapper")?;
                wrapper = Some("without");
            } else if self.name == "json_query" && self.eat("with") {
                wrapper = Some(if self.eat("conditional") { "conditional" } else { "with" });
                self.eat("unconditional");
                self.eat("array");
                self.expect("wrapper")?;
            } else if self.name == "json_query" && (self.eat("keep") || self.eat("omit")) {
                quotes = word(self.tokens.get(self.at - 1)).map(str::to_owned);
                self.expect("quotes")?;
                if self.eat("on") {
                    self.expect("scalar")?;
                    self.expect("string")?;
                }
            } else {
                let fallback = self.fallback()?;
                self.expect("on")?;
                if self.name != "json_exists" && self.eat("empty") {
                    on_empty = Some(fallback);
                } else {
                    self.expect("error")?;
                    on_error = Some(fallback);
                }
            }
        }
        let text = |text: &str| Argument::Text(text.to_owned());
        let kind = |f: &Option<Fallback<'_>>, otherwise: &str| {
            text(f.as_ref().map_or(otherwise, |fallback| fallback.kind.as_str()))
        };
        let (empty_kind, error_kind) = (kind(&on_empty, "null"), kind(&on_error, "null"));
        let mut arguments = match self.name {
            "json_value" => vec![
                text(returning.as_deref().unwrap_or("varchar")),
                empty_kind,
                on_empty.map_or(Argument::Null, |f| f.default),
                error_kind,
                on_error.map_or(Argument::Null, |f| f.default),
            ],
            "json_query" => vec![
                text(wrapper.unwrap_or("without")),
                text(quotes.as_deref().unwrap_or("keep")),
                empty_kind,
                error_kind,
            ],
            _ => vec![kind(&on_error, "false")],
        };
        arguments.extend(passed);
        Ok(arguments)
    }

    /// Reads `value [FORMAT JSON] AS name, ...`.
    fn passing(&mut self) -> Result<Vec<Argument<'a>>, SqlError> {
        let mut arguments = vec![];
        loop {
            let mut value = self.before("as");
            self.expect("as")?;
            let json = matches!(value, [.., a, b] if word(Some(a)) == Some("format") && word(Some(b)) == Some("json"));
            if json {
                value = &value[..value.len() - 2];
            }
            let Some(Token::Word(name)) = self.tokens.get(self.at).map(|t| &t.token).filter(|_| !value.is_empty())
            else {
                return Err(self.wrong("expected a value and its name after PASSING"));
            };
            self.at += 1;
            arguments.extend([
                Argument::Text(name.value.clone()),
                Argument::Tokens(value),
                Argument::Text(if json { "json" } else { "plain" }.to_owned()),
            ]);
            if self.tokens.get(self.at).map(|t| &t.token) != Some(&Token::Comma) {
                return Ok(arguments);
            }
            self.at += 1;
        }
    }

    /// Goes up to a word that stands in no parentheses of its own, or to the end; returns what stands before it.
    fn before(&mut self, end: &str) -> &'a [TokenWithSpan] {
        let start = self.at;
        let mut depth = 0usize;
        while let Some(token) = self.tokens.get(self.at) {
            match &token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                Token::Word(_) if depth == 0 && word(Some(token)) == Some(end) => break,
                _ => {}
            }
            self.at += 1;
        }
        &self.tokens[start..self.at]
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let found = word(self.tokens.get(self.at)) == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<(), SqlError> {
        if self.eat(wanted) { Ok(()) } else { Err(self.wrong(&format!("expected {}", wanted.to_uppercase()))) }
    }

    fn wrong(&self, message: &str) -> SqlError {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        let found = self.tokens.get(self.at).map_or(")".to_owned(), |t| t.token.to_string());
        let message = format!("syntax error: {message} in {}, found {found}", self.name);
        token.map_or_else(|| SqlError::whole(&message), |t| SqlError::at(t.span.start, &message))
    }

    /// Reads the type after RETURNING, which may hold the words `with time zone`.
    fn type_text(&mut self) -> Result<String, SqlError> {
        let start = self.at;
        while let Some(token) = self.tokens.get(self.at) {
            let next = word(self.tokens.get(self.at + 1));
            let clause = match word(Some(token)) {
                Some("with") => next != Some("time"),
                Some(found) => matches!(
                    found,
                    "null" | "error" | "default" | "empty" | "without" | "keep" | "omit" | "true" | "false" | "unknown"
                ),
                None => false,
            };
            if clause {
                break;
            }
            self.at += 1;
        }
        let text = self.tokens[start..self.at].iter().map(|t| t.token.to_string()).collect::<Vec<_>>().join(" ");
        parse_type(&text).map_err(|message| {
            self.tokens.get(start).map_or_else(|| SqlError::whole(&message), |t| SqlError::at(t.span.start, &message))
        })?;
        Ok(text)
    }

    fn fallback(&mut self) -> Result<Fallback<'a>, SqlError> {
        let allowed: &[&str] = match self.name {
            "json_value" => &["null", "error", "default"],
            "json_query" => &["null", "error", "empty"],
            _ => &["true", "false", "unknown", "error"],
        };
        let Some(kind) = allowed.iter().find(|kind| word(self.tokens.get(self.at)) == Some(**kind)) else {
            return Err(self.wrong("unexpected clause"));
        };
        self.at += 1;
        match *kind {
            "empty" => {
                let array = self.eat("array");
                if !array {
                    self.expect("object")?;
                }
                Ok(Fallback {
                    kind: format!("empty {}", if array { "array" } else { "object" }),
                    default: Argument::Null,
                })
            }
            "default" => {
                let value = self.before("on");
                if value.is_empty() {
                    return Err(self.wrong("expected a value"));
                }
                Ok(Fallback { kind: "default".into(), default: Argument::Tokens(value) })
            }
            kind => Ok(Fallback { kind: kind.to_owned(), default: Argument::Null }),
        }
    }
}
