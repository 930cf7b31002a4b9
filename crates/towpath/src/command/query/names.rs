//! Store names in SQL: `FROM "orders"` and `$EDS_ID` become ids before the statement is sent.
//!
//! Only what stands where a table may stand is looked at: after FROM or JOIN, and after a comma of a FROM clause. A
//! name that the statement itself defines (`WITH orders AS`) is left alone, and so are strings and comments.

use std::ops::Range;

/// A name in the statement that may be that of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// Where it stands, quotes included.
    pub range: Range<usize>,
    /// The name, quotes undone.
    pub name: String,
}

/// The placeholder of sample queries.
pub const PLACEHOLDER: &str = "$EDS_ID";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Quoted(String),
    Other(char),
}

/// The table names of a statement that are no ids, in order.
pub fn table_names(sql: &str) -> Vec<TableName> {
    let tokens = tokens(sql);
    let mut found = Vec::new();
    let mut defined = Vec::new();
    // For each open parenthesis, whether a FROM clause is being read inside it.
    let mut from = vec![false];
    let mut expected = false;
    let mut index = 0;
    while let Some((range, token)) = tokens.get(index) {
        let mut range = range.clone();
        let name = match token {
            Token::Word(word) if expected && !is_keyword(word) => {
                (range, index) = whole_name(&tokens, index);
                Some(sql[range.clone()].to_owned())
            }
            Token::Quoted(name) if expected => Some(name.clone()),
            _ => None,
        };
        let followed_by = |offset: usize| tokens.get(index + offset).map(|(_, token)| token);
        if let Some(name) = name {
            // name(...) is a function.
            let plain = !matches!(followed_by(1), Some(Token::Other('.' | '(')));
            if plain && !super::super::store_name::is_id(&name) {
                found.push(TableName { range, name });
            }
            expected = false;
            index += 1;
            continue;
        }
        if let (Token::Word(_) | Token::Quoted(_), Some(Token::Word(word)), Some(Token::Other('('))) =
            (token, followed_by(1), followed_by(2))
            && word.eq_ignore_ascii_case("as")
        {
            defined.push(match token {
                Token::Word(word) => (*word).to_owned(),
                Token::Quoted(name) => name.clone(),
                Token::Other(_) => String::new(),
            });
        }
        expected = false;
        let depth = from.len() - 1;
        match token {
            Token::Word(word) if is_any(word, &["from", "join"]) => {
                from[depth] = true;
                expected = true;
            }
            Token::Word(word) if is_any(word, CLAUSES) => from[depth] = false,
            Token::Other(',') => expected = from[depth],
            Token::Other('(') => {
                from.push(false);
                // FROM (a JOIN b ...)
                expected =
                    index > 0 && matches!(&tokens[index - 1].1, Token::Word(word) if is_any(word, &["from", "join"]));
                if expected {
                    from[depth + 1] = true;
                }
            }
            Token::Other(')') if from.len() > 1 => {
                from.pop();
            }
            _ => {}
        }
        index += 1;
    }
    found.retain(|table| !defined.iter().any(|name| name.eq_ignore_ascii_case(&table.name)));
    found
}

/// A name from its first word on, and the index of its last token. Dashes and dots belong to it, as in names and ids of
/// stores, as long as no blank stands between.
fn whole_name(tokens: &[(Range<usize>, Token<'_>)], first: usize) -> (Range<usize>, usize) {
    let (mut range, mut last) = (tokens[first].0.clone(), first);
    while let [(mark, Token::Other('-' | '.')), (word, Token::Word(_)), ..] = &tokens[last + 1..]
        && mark.start == range.end
        && word.start == mark.end
    {
        range.end = word.end;
        last += 2;
    }
    (range, last)
}

/// Replaces ranges, which are in order and apart, by texts.
pub fn replace(sql: &str, replacements: &[(Range<usize>, String)]) -> String {
    let mut text = String::with_capacity(sql.len() + replacements.len() * 36);
    let mut at = 0;
    for (range, replacement) in replacements {
        text.push_str(&sql[at..range.start]);
        text.push_str(replacement);
        at = range.end;
    }
    text.push_str(&sql[at..]);
    text
}

/// Where in the text before [`replace`] that stands which stands at `place` after it, in bytes; for a place within a
/// replacement, where what was replaced begins.
pub fn before(place: usize, replacements: &[(Range<usize>, String)]) -> usize {
    let mut grown = 0isize;
    for (range, replacement) in replacements {
        let start = range.start.saturating_add_signed(grown);
        if place < start {
            break;
        }
        if place < start + replacement.len() {
            return range.start;
        }
        grown += replacement.len() as isize - range.len() as isize;
    }
    place.saturating_add_signed(-grown)
}

/// Words that end a FROM clause.
const CLAUSES: &[&str] = &[
    "select",
    "where",
    "group",
    "order",
    "having",
    "limit",
    "offset",
    "fetch",
    "union",
    "except",
    "intersect",
    "window",
];

fn is_keyword(word: &str) -> bool {
    is_any(word, CLAUSES)
        || is_any(
            word,
            &["unnest", "lateral", "table", "values", "with", "as", "on", "using", "cross", "left", "inner"],
        )
}

fn is_any(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}

fn tokens(sql: &str) -> Vec<(Range<usize>, Token<'_>)> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let start = sql.len() - rest.len();
        let (length, token) = match first {
            c if c.is_whitespace() => (c.len_utf8(), None),
            '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), None),
            '/' if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |end| end + 2), None),
            '\'' => (quoted(rest, '\'').0, Some(Token::Other('\''))),
            '"' => {
                let (length, name) = quoted(rest, '"');
                (length, Some(Token::Quoted(name)))
            }
            c if c.is_alphanumeric() || c == '_' || c == '$' => {
                let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
                (length, Some(Token::Word(&rest[..length])))
            }
            c => (c.len_utf8(), Some(Token::Other(c))),
        };
        if let Some(token) = token {
            tokens.push((start..start + length, token));
        }
        rest = &rest[length..];
    }
    tokens
}

/// The length of a quoted text, quotes included, and the text with doubled quotes undone.
fn quoted(text: &str, quote: char) -> (usize, String) {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        if c != quote {
            name.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            chars.next();
            name.push(quote);
        } else {
            return (index + 1, name);
        }
    }
    (text.len(), name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(sql: &str) -> Vec<String> {
        table_names(sql).into_iter().map(|table| table.name).collect()
    }

    #[test]
    fn tables_are_found_where_tables_stand() {
        for (sql, expected) in [
            ("SELECT * FROM orders", vec!["orders"]),
            ("SELECT eventName FROM \"my-store\" WHERE a = 1", vec!["my-store"]),
            ("select a, b from x, \"y.z\" AS y join w on x.a = w.a, v order by a, b", vec!["x", "y.z", "w", "v"]),
            ("SELECT * FROM (SELECT a FROM inside) t, outside", vec!["inside", "outside"]),
            ("SELECT * FROM (a JOIN b ON a.x = b.x)", vec!["a", "b"]),
            ("SELECT 1 FROM a UNION ALL SELECT 2 FROM b", vec!["a", "b"]),
            ("SELECT * FROM a WHERE x IN (SELECT x FROM b) AND y IN (1, two)", vec!["a", "b"]),
            ("SELECT * FROM $EDS_ID", vec!["$EDS_ID"]),
            ("SELECT * FROM app-events WHERE a-b = 1", vec!["app-events"]),
            ("SELECT * FROM 2026.audit-log l, b -- c", vec!["2026.audit-log", "b"]),
        ] {
            assert_eq!(names(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_is_no_table_is_left_alone() {
        for sql in [
            "SELECT \"eventName\", 'FROM orders' FROM 3f2a1b7c-1111-2222-3333-444455556666",
            "SELECT 1 FROM \"3f2a1b7c-1111-2222-3333-444455556666\"",
            "SELECT 1 FROM a1b2c3d4-1111-2222-3333-444455556666 -- FROM orders\n",
            "SELECT 1 /* FROM orders */",
            "SELECT x FROM UNNEST(ARRAY[1, 2]) AS t(x)",
            "WITH orders AS (SELECT 1 AS x) SELECT x FROM orders",
            "SELECT 1 FROM \"catalog\".orders",
            "SELECT 1",
            "",
        ] {
            assert_eq!(names(sql), Vec::<String>::new(), "{sql}");
        }
    }

    #[test]
    fn names_are_replaced_in_place() {
        let sql = "SELECT a FROM \"my\"\"store\" JOIN other o";
        let tables = table_names(sql);
        assert_eq!(tables[0].name, "my\"store");
        let replacements: Vec<_> = tables.into_iter().map(|table| (table.range, "ID".to_owned())).collect();
        assert_eq!(replace(sql, &replacements), "SELECT a FROM ID JOIN ID o");
    }

    #[test]
    fn a_place_in_the_new_text_is_found_in_the_old_one() {
        let sql = "SELECT a\nFROM \"x\", y WHERE ä = b";
        let replacements: Vec<_> =
            table_names(sql).into_iter().map(|table| (table.range, "ID-12".to_owned())).collect();
        let new = replace(sql, &replacements);
        for (found, place) in [("SELECT", 0), ("ID-12", 14), ("12", 14), (", ", 17), ("WHERE", 21), ("= b", 30)] {
            assert_eq!(before(new.find(found).unwrap(), &replacements), place, "{found}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(sql in "(?s)(FROM|JOIN|\\(|\\)|,|\"|'|--|/\\*|ä| |.){0,40}") {
            let tables = table_names(&sql);
            let replacements: Vec<_> = tables.into_iter().map(|table| (table.range, String::new())).collect();
            replace(&sql, &replacements);
        }
    }
}
