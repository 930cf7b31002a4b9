//! From text to tokens that sqlparser understands as Trino would.
//!
//! What differs between Trino and sqlparser's grammar is settled here wherever tokens are enough to settle it:
//!
//! - A UUID stands for a table without quotes, although it may start with a digit and holds hyphens. It is quoted in
//!   the text before tokenizing, and every position is mapped back.
//! - Names are matched without regard to case, quoted or not: every word becomes lower case, and the spelling as
//!   typed is kept aside for the names of the result.
//! - A word that Trino does not reserve is no keyword, so that `user`, `key` or `time` can be names.
//! - Types in casts, typed literals and intervals become calls of functions that carry the type as text.

use std::collections::HashMap;

use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use self::bounds::check_shape;
use self::json::settle_json;
use self::types::settle_types;
use self::uuids::quote_uuids;
use self::values::settle_values;
use self::words::settle_words;
use crate::error::SqlError;
use crate::sql::dialect::Trino;

mod bounds;
mod json;
mod json_build;
mod types;
mod uuids;
mod values;
mod words;

/// Longest statement that is read at all, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;

/// The tokens of a statement, blanks and comments dropped.
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// Words as typed, by position, where that differs from lower case.
    pub(crate) spelling: HashMap<Location, String>,
}

/// Splits a statement into tokens.
pub(crate) fn lex(sql: &str) -> Result<Lexed, SqlError> {
    if sql.len() > MAX_LENGTH {
        return Err(SqlError::whole(format!("the statement is longer than {MAX_LENGTH} bytes")));
    }
    let (text, quotes) = quote_uuids(sql);
    let tokens = Tokenizer::new(&Trino, &text)
        .tokenize_with_location()
        .map_err(|error| SqlError::at(quotes.original(error.location), error.message.to_lowercase_start()))?;
    let tokens: Vec<_> = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)) && token.token != Token::EOF)
        .map(|TokenWithSpan { token, span }| TokenWithSpan {
            token,
            span: Span::new(quotes.original(span.start), quotes.original(span.end)),
        })
        .collect();
    check_shape(&tokens)?;
    let mut spelling = HashMap::new();
    let tokens = settle_words(tokens, &mut spelling)?;
    Ok(Lexed { tokens: settle_values(settle_types(settle_json(tokens)?)?), spelling })
}

trait LowercaseStart {
    fn to_lowercase_start(&self) -> String;
}

impl LowercaseStart for String {
    fn to_lowercase_start(&self) -> String {
        let mut chars = self.chars();
        chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
    }
}
