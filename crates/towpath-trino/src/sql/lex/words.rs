//! Words: lower case throughout, and keywords only where Trino has them.

use std::collections::HashMap;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use crate::error::SqlError;

/// Lower-cases every word, keeps its spelling, and leaves keywords only where Trino has them.
pub(super) fn settle_words(
    tokens: Vec<TokenWithSpan>,
    spelling: &mut HashMap<Location, String>,
) -> Result<Vec<TokenWithSpan>, SqlError> {
    let mut settled = Vec::with_capacity(tokens.len());
    for (i, token) in tokens.iter().enumerate() {
        let Token::Word(word) = &token.token else {
            settled.push(token.clone());
            continue;
        };
        let at = token.span.start;
        let before = i.checked_sub(1).and_then(|i| tokens.get(i)).map(|t| &t.token);
        let after = tokens.get(i + 1).map(|t| &t.token);
        let keyword = if word.quote_style.is_none() && is_keyword(word.keyword, before, after) {
            word.keyword
        } else {
            Keyword::NoKeyword
        };
        refuse_clause(word, after, at)?;
        let value = word.value.to_lowercase();
        if value != word.value {
            spelling.insert(at, word.value.clone());
        }
        // Keywords keep no quotes; every other word is quoted, so that nothing downstream folds or reserves it.
        let quote_style = if keyword == Keyword::NoKeyword { word.quote_style } else { None };
        settled.push(TokenWithSpan { token: Token::Word(Word { value, quote_style, keyword }), span: token.span });
    }
    Ok(settled)
}

/// Refuses clauses that sqlparser would swallow or misread.
fn refuse_clause(word: &Word, after: Option<&Token>, at: Location) -> Result<(), SqlError> {
    if word.quote_style.is_some() {
        return Ok(());
    }
    let next_is = |wanted: &[Keyword]| matches!(after, Some(Token::Word(next)) if wanted.contains(&next.keyword));
    let sample = word.keyword == Keyword::TABLESAMPLE && next_is(&[Keyword::BERNOULLI, Keyword::SYSTEM]);
    let paren = matches!(after, Some(Token::LParen));
    if sample || paren && matches!(word.keyword, Keyword::MATCH_RECOGNIZE | Keyword::JSON_TABLE | Keyword::TABLESAMPLE)
    {
        return Err(SqlError::at(at, format!("{} is not supported", word.value.to_uppercase())));
    }
    Ok(())
}

/// True if `keyword` means something to Trino between these neighbours.
fn is_keyword(keyword: Keyword, before: Option<&Token>, after: Option<&Token>) -> bool {
    use Keyword::*;
    let after_is_string = matches!(after, Some(Token::SingleQuotedString(_)));
    let after_is = |wanted: &[Keyword]| matches!(after, Some(Token::Word(word)) if word.quote_style.is_none() && wanted.contains(&word.keyword));
    let before_is = |wanted: &[Keyword]| matches!(before, Some(Token::Word(word)) if word.quote_style.is_none() && wanted.contains(&word.keyword));
    if matches!(before, Some(Token::Period)) {
        return false;
    }
    match keyword {
        // Reserved in Trino.
        AND | AS | BETWEEN | BY | CASE | CAST | CROSS | CUBE | DISTINCT | ELSE | END | ESCAPE | EXCEPT | EXISTS
        | FALSE | FOR | FROM | FULL | GROUP | GROUPING | HAVING | IN | INNER | INTERSECT | INTO | IS | JOIN | LEFT
        | LIKE | NATURAL | NOT | NULL | ON | OR | ORDER | OUTER | RECURSIVE | RIGHT | ROLLUP | SELECT | TABLE
        | THEN | TRUE | UNION | UNNEST | USING | VALUES | WHEN | WHERE | WITH => {
            keyword != GROUPING || after_is(&[SETS])
        }
        CURRENT_DATE | CURRENT_TIME | CURRENT_TIMESTAMP | LOCALTIME | LOCALTIMESTAMP => true,
        // Meaningful in their places only.
        ALL => true,
        ANY | SOME => matches!(after, Some(Token::LParen)) && !matches!(before, Some(Token::Comma | Token::LParen)),
        ARRAY => matches!(after, Some(Token::LBracket)),
        ASC | DESC => !matches!(before, Some(Token::Comma)),
        AT => after_is(&[TIME]),
        TIME => before_is(&[AT]) && after_is(&[ZONE]),
        ZONE => before_is(&[TIME]),
        CURRENT => after_is(&[ROW]),
        ROW => {
            before_is(&[CURRENT])
                || after_is(&[ONLY])
                || matches!(before, Some(Token::Number(..))) && (after.is_none() || after_is(&[FETCH, LIMIT]))
        }
        ROWS | RANGE | GROUPS => {
            after_is(&[BETWEEN, UNBOUNDED, CURRENT, ONLY, LIMIT, FETCH])
                || matches!(after, Some(Token::Number(..) | Token::RParen | Token::SemiColon) | None)
        }
        UNBOUNDED | PRECEDING | FOLLOWING => true,
        EXTRACT | POSITION | SUBSTRING | TRIM | TRY_CAST => matches!(after, Some(Token::LParen)),
        LEADING | TRAILING | BOTH => matches!(before, Some(Token::LParen)),
        YEAR | MONTH | DAY | HOUR | MINUTE | SECOND | WEEK | QUARTER | DOW | DOY | TIMEZONE_HOUR | TIMEZONE_MINUTE => {
            after_is(&[FROM])
        }
        FETCH => after_is(&[FIRST, NEXT]),
        FIRST | LAST | NEXT => before_is(&[NULLS, FETCH]),
        NULLS => after_is(&[FIRST, LAST]) || before_is(&[IGNORE, RESPECT]),
        IGNORE | RESPECT => after_is(&[NULLS]),
        FILTER => matches!(before, Some(Token::RParen)) && matches!(after, Some(Token::LParen)),
        OVER => matches!(before, Some(Token::RParen)) || before_is(&[NULLS]),
        WITHIN => after_is(&[GROUP]),
        PARTITION => after_is(&[BY]),
        WINDOW => matches!(after, Some(Token::Word(_))) && before.is_some(),
        SETS => before_is(&[GROUPING]),
        LATERAL => matches!(after, Some(Token::LParen)),
        LIMIT => matches!(after, Some(Token::Number(..))) || after_is(&[ALL]),
        OFFSET => matches!(after, Some(Token::Number(..))),
        ONLY => before_is(&[ROW, ROWS]),
        ORDINALITY => before_is(&[WITH]),
        TIES => before_is(&[WITH]),
        // Seen here only to be refused: the statement kinds of other languages.
        INTERVAL => after_is_string || matches!(after, Some(Token::Plus | Token::Minus)),
        TO => false,
        _ => false,
    }
}
