//! Rows of VALUES.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Puts parentheses around the rows of VALUES that have none: `VALUES 1, 2` is `VALUES (1), (2)`.
pub(super) fn settle_values(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut settled = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        settled.push(token.clone());
        at += 1;
        if !matches!(&token.token, Token::Word(word) if word.keyword == Keyword::VALUES) {
            continue;
        }
        loop {
            let end = end_of_row(&tokens, at);
            let row = &tokens[at..end];
            let starts = |n: usize| matches!(row.get(n).map(|t| &t.token), Some(Token::LParen));
            let is_row =
                matches!(row.first().map(|t| &t.token), Some(Token::Word(word)) if word.value == "row") && starts(1);
            let row = if is_row { &row[1..] } else { row };
            let wrapped =
                |row: &[TokenWithSpan]| matches!(row[0].token, Token::LParen) && closing(row) == row.len() - 1;
            let bare = !row.is_empty() && !wrapped(row);
            let paren = |token: Token, near: &TokenWithSpan| TokenWithSpan { token, span: near.span };
            if bare {
                settled.push(paren(Token::LParen, &row[0]));
            }
            settled.extend(settle_values(row.to_vec()));
            if bare {
                settled.push(paren(Token::RParen, &row[row.len() - 1]));
            }
            at = end;
            match tokens.get(at) {
                Some(comma) if comma.token == Token::Comma => settled.push(comma.clone()),
                _ => break,
            }
            at += 1;
        }
    }
    settled
}

/// Index of the token that ends the row of VALUES which starts at `start`.
fn end_of_row(tokens: &[TokenWithSpan], start: usize) -> usize {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        match &token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket if depth > 0 => depth -= 1,
            Token::RParen | Token::RBracket | Token::Comma | Token::SemiColon if depth == 0 => return i,
            Token::Word(word) if depth == 0 && ends_values(word) => return i,
            _ => {}
        }
    }
    tokens.len()
}

fn ends_values(word: &Word) -> bool {
    use Keyword::*;
    matches!(word.keyword, ORDER | LIMIT | OFFSET | FETCH | UNION | EXCEPT | INTERSECT)
}

/// Index of the parenthesis that closes the one a row starts with.
fn closing(row: &[TokenWithSpan]) -> usize {
    let mut depth = 0usize;
    for (i, token) in row.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => return i,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    row.len()
}
