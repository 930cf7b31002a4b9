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

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word};

use crate::error::SqlError;
use crate::sql::dialect::Trino;
use crate::types::parse_type;

/// Longest statement that is read at all, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;

/// How deep parentheses and brackets may nest.
const MAX_NESTING: usize = 100;

/// How many parentheses may open in a row where a table is expected: sqlparser tries each of them twice.
const MAX_TABLE_PARENS: usize = 8;

/// How many set operations one statement may hold.
const MAX_SET_OPERATIONS: usize = 100;

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
    Ok(Lexed { tokens: settle_values(settle_types(tokens)?), spelling })
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

/// Where quotes were inserted, as positions in the repaired text.
struct Quotes(HashMap<u64, Vec<u64>>);

impl Quotes {
    /// Maps a position in the repaired text to the original text.
    fn original(&self, at: Location) -> Location {
        let before =
            self.0.get(&at.line).map_or(0, |columns| columns.iter().filter(|column| **column < at.column).count());
        Location::new(at.line, (at.column - before as u64).max(1))
    }
}

/// Puts quotes around UUIDs that stand outside of strings, quoted names and comments.
fn quote_uuids(sql: &str) -> (String, Quotes) {
    let bytes = sql.as_bytes();
    let mut text = String::with_capacity(sql.len() + 16);
    let mut quotes = HashMap::<u64, Vec<u64>>::new();
    let (mut line, mut column) = (1u64, 1u64);
    let mut at = 0;
    let mut skip_until = 0;
    let mut in_name = false;
    while at < bytes.len() {
        if at >= skip_until && !in_name && uuid_at(bytes, at) {
            quotes.entry(line).or_default().extend([column, column + 37]);
            text.push('"');
            text.push_str(&sql[at..at + 36]);
            text.push('"');
            column += 38;
            at += 36;
            continue;
        }
        if at >= skip_until {
            skip_until = at + opaque_length(&sql[at..]);
        }
        let c = sql[at..].chars().next().expect("the loop stops at the end of the text");
        in_name = c.is_alphanumeric() || c == '_';
        text.push(c);
        at += c.len_utf8();
        if c == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    (text, Quotes(quotes))
}

/// Length of the string, quoted name or comment at the start of `rest`, or zero.
fn opaque_length(rest: &str) -> usize {
    let closed_by =
        |open: usize, close: &str| rest[open..].find(close).map_or(rest.len(), |end| open + end + close.len());
    match rest.as_bytes() {
        [b'\'', ..] => closed_by(1, "'"),
        [b'"', ..] => closed_by(1, "\""),
        [b'-', b'-', ..] => closed_by(2, "\n"),
        [b'/', b'*', ..] => closed_by(2, "*/"),
        _ => 0,
    }
}

/// True if a UUID starts at `at` and ends there as a word.
fn uuid_at(bytes: &[u8], at: usize) -> bool {
    let Some(candidate) = bytes.get(at..at + 36) else { return false };
    let shaped = candidate.iter().enumerate().all(|(i, b)| match i {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => b.is_ascii_hexdigit(),
    });
    shaped && !bytes.get(at + 36).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-' || *b >= 0x80)
}

/// Refuses what a parser should not even try: deep nesting, endless chains.
fn check_shape(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
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

/// Lower-cases every word, keeps its spelling, and leaves keywords only where Trino has them.
fn settle_words(
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
fn settle_types(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, SqlError> {
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

/// Puts parentheses around the rows of VALUES that have none: `VALUES 1, 2` is `VALUES (1), (2)`.
fn settle_values(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
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
