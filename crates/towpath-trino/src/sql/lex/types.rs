//! Types in casts, typed literals and intervals: they become calls that carry the type as text.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use crate::error::SqlError;
use crate::types::parse_type;

/// Names of the types whose literals are written `type 'text'`.
const LITERAL_TYPES: [&str; 17] = [
    "bigint",
    "boolean",
    "char",
    "date",
    "decimal",
    "double",
    "integer",
    "json",
    "real",
    "smallint",
    "time",
    "timestamp",
    "tinyint",
    "uuid",
    "ipaddress",
    "varbinary",
    "varchar",
];

/// Turns types in casts, typed literals and intervals into function calls.
pub(super) fn settle_types(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, SqlError> {
    let mut settled: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // One entry for each open parenthesis: does it belong to a cast that still waits for its type?
    let mut casts: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        match &token.token {
            Token::LParen => {
                casts.push(matches!(settled.last().map(|t| &t.token), Some(Token::Word(w)) if matches!(w.keyword, Keyword::CAST | Keyword::TRY_CAST)));
            }
            Token::RParen => {
                casts.pop();
            }
            Token::Word(word) if word.keyword == Keyword::AS && casts.last() == Some(&true) => {
                settled.push(token.clone());
                let end = end_of_type(&tokens, at + 1);
                settled.push(type_word(&tokens[at + 1..end], token)?);
                at = end;
                continue;
            }
            Token::Word(word) if word.keyword == Keyword::INTERVAL => {
                at = settle_interval(&tokens, at, &mut settled)?;
                continue;
            }
            Token::Word(word) if word.quote_style.is_none() && LITERAL_TYPES.contains(&word.value.as_str()) => {
                if let Some(TokenWithSpan { token: Token::SingleQuotedString(text), .. }) = tokens.get(at + 1)
                    && !matches!(settled.last().map(|t| &t.token), Some(Token::Period))
                {
                    let kind = if word.value == "timestamp" || word.value == "time" {
                        format!("{} literal", word.value)
                    } else {
                        word.value.clone()
                    };
                    push_call(&mut settled, "$literal", &[text, &kind], token.span);
                    at += 2;
                    continue;
                }
            }
            _ => {}
        }
        settled.push(token.clone());
        at += 1;
    }
    Ok(settled)
}

/// Index of the token that ends the type which starts at `start`.
fn end_of_type(tokens: &[TokenWithSpan], start: usize) -> usize {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return i,
            Token::RParen => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Checks a type and makes it a single word.
fn type_word(tokens: &[TokenWithSpan], before: &TokenWithSpan) -> Result<TokenWithSpan, SqlError> {
    let span = tokens.first().map_or(before.span, |t| t.span);
    let text = tokens.iter().map(|t| t.token.to_string()).collect::<Vec<_>>().join(" ");
    parse_type(&text).map_err(|message| SqlError::at(span.start, message))?;
    Ok(TokenWithSpan {
        token: Token::Word(Word { value: text, quote_style: Some('"'), keyword: Keyword::NoKeyword }),
        span,
    })
}

/// Rewrites `INTERVAL [+|-] 'text' unit [TO unit]`.
fn settle_interval(
    tokens: &[TokenWithSpan],
    start: usize,
    settled: &mut Vec<TokenWithSpan>,
) -> Result<usize, SqlError> {
    let span = tokens[start].span;
    let wrong = || SqlError::at(span.start, "an interval is written as interval '7' day");
    let mut at = start + 1;
    let sign = match tokens.get(at).map(|t| &t.token) {
        Some(Token::Minus) => "-",
        Some(Token::Plus) => "+",
        _ => "",
    };
    at += usize::from(!sign.is_empty());
    let Some(Token::SingleQuotedString(text)) = tokens.get(at).map(|t| &t.token) else { return Err(wrong()) };
    let word = |at: usize| match tokens.get(at).map(|t| &t.token) {
        Some(Token::Word(word)) => Some(word.value.clone()),
        _ => None,
    };
    let mut unit = word(at + 1).ok_or_else(wrong)?;
    at += 2;
    if word(at).as_deref() == Some("to") {
        unit = format!("{unit} to {}", word(at + 1).ok_or_else(wrong)?);
        at += 2;
    }
    let text = format!("{}{text}", if sign == "-" { "-" } else { "" });
    crate::functions::interval::parse_interval(&text, &unit).map_err(|message| SqlError::at(span.start, message))?;
    push_call(settled, "$interval", &[&text, &unit], span);
    Ok(at)
}

/// Appends the tokens of a call with text arguments.
fn push_call(settled: &mut Vec<TokenWithSpan>, name: &str, arguments: &[&str], span: Span) {
    let mut push = |token| settled.push(TokenWithSpan { token, span });
    push(Token::Word(Word { value: name.into(), quote_style: Some('"'), keyword: Keyword::NoKeyword }));
    push(Token::LParen);
    for (i, argument) in arguments.iter().enumerate() {
        if i > 0 {
            push(Token::Comma);
        }
        push(Token::SingleQuotedString((*argument).to_owned()));
    }
    push(Token::RParen);
}
