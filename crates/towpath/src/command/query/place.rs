//! Where a statement is wrong, in the text as it was written: the server names line and column of the text it got, in
//! which names of stores are ids.

use std::ops::Range;

use super::names;
use crate::output::visible;

/// Characters of a long line that are shown on each side of the place.
const AROUND: usize = 50;

/// The server's message with the place in `sql`, and the line with a mark under it. A message without a place, or with
/// one that is not in the statement, stays as it is.
pub fn told(message: &str, sql: &str, replacements: &[(Range<usize>, String)]) -> String {
    shown(message, sql, replacements).unwrap_or_else(|| message.to_owned())
}

fn shown(message: &str, sql: &str, replacements: &[(Range<usize>, String)]) -> Option<String> {
    let (line, rest) = message.strip_prefix("line ")?.split_once(':')?;
    let (column, problem) = rest.split_once(": ")?;
    let sent = names::replace(sql, replacements);
    let place = names::before(offset(&sent, line.parse().ok()?, column.parse().ok()?)?, replacements);
    let (before, after) = (sql.get(..place)?, sql.get(place..)?);
    let (line, column) = (before.matches('\n').count() + 1, last_line(before).chars().count() + 1);
    let start = last_line(before).chars().rev().take(AROUND).collect::<Vec<_>>();
    let start = visible(&start.into_iter().rev().collect::<String>()).into_owned();
    let end: String = after.lines().next().unwrap_or_default().chars().take(AROUND).collect();
    let blanks = " ".repeat(start.chars().count());
    Some(format!("line {line}:{column}: {problem}\n  {start}{}\n  {blanks}^", visible(&end)))
}

/// The byte at which a line and a column (both from 1, in characters) are.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let start = match line.checked_sub(2) {
        Some(breaks) => text.match_indices('\n').nth(breaks)?.0 + 1,
        None => 0,
    };
    let line = text[start..].lines().next().unwrap_or_default();
    let mut ends = line.char_indices().map(|(place, _)| place).chain([line.len()]);
    Some(start + ends.nth(column.checked_sub(1)?)?)
}

fn last_line(text: &str) -> &str {
    text.rsplit('\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replacements(sql: &str) -> Vec<(Range<usize>, String)> {
        names::table_names(sql).into_iter().map(|table| (table.range, "ID".repeat(18))).collect()
    }

    #[test]
    fn a_place_is_told_in_the_statement_as_it_was_written_and_marked() {
        let sql = "SELECT eventName\nFROM audit WHERE evntTime > 1";
        let sent = names::replace(sql, &replacements(sql));
        let column = sent.lines().nth(1).unwrap().find("evntTime").unwrap() + 1;
        assert_eq!(
            told(&format!("line 2:{column}: unknown column: evnttime"), sql, &replacements(sql)),
            "line 2:18: unknown column: evnttime\n  FROM audit WHERE evntTime > 1\n                   ^"
        );
        assert_eq!(told("line 1:8: no", "SELECT x", &[]), "line 1:8: no\n  SELECT x\n         ^");
        assert_eq!(
            told("line 1:9: more is missing", "SELECT x", &[]),
            "line 1:9: more is missing\n  SELECT x\n          ^"
        );
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let sql = format!("SELECT {} x", "a, ".repeat(100));
        let told = told("line 1:308: no", &sql, &[]);
        assert_eq!(told.lines().nth(1).unwrap().trim_end().chars().last(), Some('x'));
        assert!(told.lines().all(|line| line.chars().count() < 110), "{told}");
    }

    #[test]
    fn a_message_without_a_place_in_the_statement_stays_as_it_is() {
        for message in ["no", "line 7:1: no", "line 1:99: no", "line x:1: no", "line 0:0: no", "line 1:0: no", "line 1"]
        {
            assert_eq!(told(message, "SELECT 1", &[]), message);
        }
    }

    proptest! {
        #[test]
        fn no_statement_panics(sql in "(?s)(FROM|\"|ä|\n|\t| |,|.){0,30}", line in 0usize..4, column in 0usize..60) {
            told(&format!("line {line}:{column}: no"), &sql, &replacements(&sql));
        }
    }
}
