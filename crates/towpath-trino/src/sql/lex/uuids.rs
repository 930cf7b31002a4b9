//! UUIDs that stand for tables: quoted in the text before it is tokenized, positions mapped back.

use std::collections::HashMap;

use datafusion::sql::sqlparser::tokenizer::Location;

/// Where quotes were inserted, as positions in the repaired text.
pub(super) struct Quotes(HashMap<u64, Vec<u64>>);

impl Quotes {
    /// Maps a position in the repaired text to the original text.
    pub(super) fn original(&self, at: Location) -> Location {
        let before =
            self.0.get(&at.line).map_or(0, |columns| columns.iter().filter(|column| **column < at.column).count());
        Location::new(at.line, (at.column - before as u64).max(1))
    }
}

/// Puts quotes around UUIDs that stand outside of strings, quoted names and comments.
pub(super) fn quote_uuids(sql: &str) -> (String, Quotes) {
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
