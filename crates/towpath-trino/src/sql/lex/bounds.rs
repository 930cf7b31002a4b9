//! What a parser should not even try: deep nesting, endless chains.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::error::SqlError;

/// How deep parentheses and brackets may nest.
const MAX_NESTING: usize = 100;

/// How many parentheses may open in a row where a table is expected: sqlparser tries each of them twice.
const MAX_TABLE_PARENS: usize = 8;

/// How many set operations one statement may hold.
const MAX_SET_OPERATIONS: usize = 100;

/// Refuses what a parser should not even try: deep nesting, endless chains.
pub(super) fn check_shape(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let mut depth = 0usize;
    let mut set_operations = 0;
    let mut table_parens = None::<usize>;
    for token in tokens {
        let at = token.span.start;
        match &token.token {
            Token::LParen | Token::LBracket => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(SqlError::at(at, format!("parentheses nest more than {MAX_NESTING} levels")));
                }
            }
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            Token::Char('`') => {
                return Err(SqlError::at(at, "names are quoted with double quotes, not with backquotes"));
            }
            Token::Placeholder(name) => {
                return Err(SqlError::at(at, format!("placeholder {name} must be replaced by a value or a table")));
            }
            _ => {}
        }
        table_parens = match (&token.token, table_parens) {
            (Token::LParen, Some(count)) if count >= MAX_TABLE_PARENS => {
                return Err(SqlError::at(
                    at,
                    format!("more than {MAX_TABLE_PARENS} parentheses in a row around a table"),
                ));
            }
            (Token::LParen, Some(count)) => Some(count + 1),
            (Token::Word(word), _) if matches!(word.keyword, Keyword::FROM | Keyword::JOIN) => Some(0),
            (Token::Comma, _) => Some(0),
            _ => None,
        };
        if let Token::Word(word) = &token.token {
            set_operations += usize::from(is_set_operator(word));
            if set_operations > MAX_SET_OPERATIONS {
                return Err(SqlError::at(at, format!("more than {MAX_SET_OPERATIONS} set operations")));
            }
            if word.quote_style.is_some() && word.value.starts_with('$') {
                return Err(SqlError::at(at, format!("unknown name: {}", word.value)));
            }
        }
    }
    Ok(())
}

fn is_set_operator(word: &Word) -> bool {
    word.quote_style.is_none() && matches!(word.keyword, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT)
}
