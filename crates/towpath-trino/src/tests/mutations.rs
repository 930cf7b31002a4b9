//! Statements that are nearly right: those of the `.slt` files with words lost, doubled, exchanged and spliced. Each is
//! planned or refused, in time, and never panics.
//!
//! `TOWPATH_MUTATIONS=100000` makes a longer run, in which plans are optimized too; `TOWPATH_MUTATIONS_SEED` another one. A
//! failure names its statement.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::fixtures::Fixture;
use crate::SqlError;

/// Statements of an ordinary run.
const MUTATIONS: usize = 1_500;

/// A statement takes this long at most, on a busy machine and without optimization.
const LIMIT: Duration = Duration::from_secs(8);

/// Small, quick, and the same everywhere (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// The statements of the `.slt` files, wrong ones too, as words.
fn statements() -> Vec<Vec<String>> {
    let mut found = vec![];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if !line.starts_with("query") {
                continue;
            }
            let body: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty() && *line != "----").collect();
            found.push(words(&body.join("\n")));
        }
    }
    assert!(found.len() > 300, "{}", found.len());
    found
}

/// Cuts a text into words, quoted texts, runs of blanks and single characters; joined, they are the text again.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |at| at + 2),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c if c.is_whitespace() => rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        words.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    words
}

/// A span of words between parentheses that belong together, or one word.
fn span(words: &[String], dice: &mut Dice) -> std::ops::Range<usize> {
    let start = dice.below(words.len());
    if words.get(start).is_none_or(|word| word != "(") {
        return start..(start + 1).min(words.len());
    }
    let mut depth = 0usize;
    for (at, word) in words.iter().enumerate().skip(start) {
        match word.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return start..at + 1;
        }
    }
    start..words.len()
}

fn mutated(all: &[Vec<String>], dice: &mut Dice) -> String {
    let mut words = dice.of(all).clone();
    for _ in 0..=dice.below(3) {
        let other = dice.of(all);
        let (here, there) = (span(&words, dice), span(other, dice));
        match dice.below(6) {
            0 => drop(words.drain(here)),
            1 => {
                let twice: Vec<String> = words[here.clone()].to_vec();
                words.splice(here.end..here.end, twice);
            }
            2 => {
                let with = span(&words, dice);
                if let (Some(a), Some(b)) = (words.get(here.start).cloned(), words.get(with.start).cloned()) {
                    (words[here.start], words[with.start]) = (b, a);
                }
            }
            3 => drop(words.splice(here, other[there].iter().cloned())),
            4 => drop(words.splice(here.start..here.start, other[there].iter().cloned())),
            // Where one statement ends another goes on.
            _ => {
                words.truncate(here.start);
                words.extend(other[there.start..].iter().cloned());
            }
        }
        words.truncate(2_000);
    }
    words.concat()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn statements_that_are_nearly_right_are_planned_or_refused() {
    let all = statements();
    let count = usize::try_from(number("TOWPATH_MUTATIONS", MUTATIONS as u64)).unwrap();
    let longer = std::env::var_os("TOWPATH_MUTATIONS").is_some();
    let mut dice = Dice(number("TOWPATH_MUTATIONS_SEED", 0x9e37_79b9_7f4a_7c15).max(1));
    let fixture = Fixture::new();
    let (mut planned, mut failures) = (0, vec![]);
    for _ in 0..count {
        let sql = mutated(&all, &mut dice);
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let plan = fixture.plan(&sql)?;
            if longer {
                // That a plan cannot be optimized is told when the query runs.
                let _ = fixture.optimize(&plan);
            }
            Ok::<_, SqlError>(plan)
        }));
        let took = start.elapsed();
        match outcome {
            Err(panic) => {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
                failures.push(format!("panics: {said}\n{sql}"));
            }
            Ok(_) if took > LIMIT => failures.push(format!("took {took:?}\n{sql}")),
            Ok(Ok(_)) => planned += 1,
            Ok(Err(error)) => {
                let lines = sql.split('\n').count().max(1);
                if error.line == 0 || error.line as usize > lines {
                    failures.push(format!("no such line: {error}\n{sql}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} fail\n{}", failures.len(), failures.join("\n\n"));
    assert!(planned * 40 > count, "{planned} of {count} are right: the others test the parser alone");
}
