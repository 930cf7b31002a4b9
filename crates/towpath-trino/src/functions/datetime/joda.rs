//! Joda's pattern letters, the ones of `format_datetime` and `parse_datetime`.

use super::fields::{Found, MONTHS, Reader, WEEKDAYS, half_day_hour};
use crate::functions::calendar::{day_of_week, day_of_year, instant_of, iso_week, split};
use crate::functions::scalar::Row;

/// Splits a Joda pattern into runs of one letter and literal text.
fn joda_runs(pattern: &str) -> Vec<(Option<char>, String)> {
    let mut runs: Vec<(Option<char>, String)> = vec![];
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            if chars.next_if_eq(&'\'').is_some() {
                runs.push((None, "'".into()));
                continue;
            }
            runs.push((None, chars.by_ref().take_while(|c| *c != '\'').collect()));
        } else if c.is_ascii_alphabetic() {
            let mut run = c.to_string();
            while chars.next_if_eq(&c).is_some() {
                run.push(c);
            }
            runs.push((Some(c), run));
        } else {
            runs.push((None, c.to_string()));
        }
    }
    runs
}

/// Formats with Joda's pattern letters, the ones of `format_datetime`.
pub(super) fn joda_format(r: &Row<'_>) -> Result<String, String> {
    let c = split(r.wall(0));
    let mut out = String::new();
    for (letter, run) in joda_runs(r.text(1)) {
        let Some(letter) = letter else {
            out.push_str(&run);
            continue;
        };
        let width = run.len();
        let number = |n: i64| format!("{n:0width$}");
        let month = MONTHS[(c.month - 1) as usize];
        let weekday = WEEKDAYS[(day_of_week(c.days) - 1) as usize];
        out.push_str(&match letter {
            'y' | 'Y' | 'u' if width == 2 => format!("{:02}", c.year.rem_euclid(100)),
            'y' | 'Y' | 'u' => number(c.year),
            'x' => number(iso_week(c.days).0),
            'M' if width >= 4 => month.into(),
            'M' if width == 3 => month[..3].into(),
            'M' => number(c.month),
            'w' => number(iso_week(c.days).1),
            'd' => number(c.day),
            'D' => number(day_of_year(c.days)),
            'e' => number(day_of_week(c.days)),
            'E' if width >= 4 => weekday.into(),
            'E' => weekday[..3].into(),
            'a' => if c.hour < 12 { "AM" } else { "PM" }.into(),
            'H' => number(c.hour),
            'k' => number(if c.hour == 0 { 24 } else { c.hour }),
            'h' => number(half_day_hour(c.hour)),
            'K' => number(c.hour % 12),
            'm' => number(c.minute),
            's' => number(c.second),
            'S' => format!("{:06}", c.micro).chars().chain(std::iter::repeat('0')).take(width).collect(),
            'Z' | 'z' => zone_of(r, width),
            other => return Err(format!("'{other}' is not supported in a format")),
        });
    }
    Ok(out)
}

fn zone_of(r: &Row<'_>, width: usize) -> String {
    let minutes = (r.wall(0) - r.instant(0)) / 60_000_000;
    match width {
        _ if r.zone(0).is_none() && width >= 3 => "UTC".into(),
        1 => format!("{}{:02}{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60),
        _ => format!("{}{:02}:{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60),
    }
}

/// Reads a text by Joda's pattern letters, the ones of `parse_datetime`.
pub(super) fn joda_parse(text: &str, pattern: &str) -> Result<i64, String> {
    let mut found = Found::default();
    let mut reader = Reader { rest: text };
    let runs = joda_runs(pattern);
    let mut read = || -> Option<i64> {
        for (i, (letter, run)) in runs.iter().enumerate() {
            let Some(letter) = letter else {
                for c in run.chars() {
                    reader.literal(c)?;
                }
                continue;
            };
            // Digits may be more than letters, unless digits follow.
            let adjacent = runs.get(i + 1).is_some_and(|(next, _)| next.is_some());
            let most =
                if adjacent { run.len() } else { run.len().max(if *letter == 'y' || *letter == 'Y' { 4 } else { 2 }) };
            match letter {
                'y' | 'Y' | 'u' | 'x' if run.len() == 2 => {
                    found.year = reader.number(2).map(|y| if y < 70 { 2000 + y } else { 1900 + y })
                }
                'y' | 'Y' | 'u' | 'x' => found.year = Some(reader.number(most)?),
                'M' if run.len() >= 3 => found.month = Some(reader.name(&MONTHS)?),
                'M' => found.month = Some(reader.number(most)?),
                'd' => found.day = Some(reader.number(most)?),
                'D' => found.day_of_year = Some(reader.number(3)?),
                'E' => {
                    reader.name(&WEEKDAYS)?;
                }
                'a' => found.afternoon = Some(reader.half()?),
                'H' | 'k' => found.hour = reader.number(most)?,
                'h' | 'K' => {
                    found.hour = reader.number(most)?;
                    found.afternoon.get_or_insert(false);
                }
                'm' => found.minute = reader.number(most)?,
                's' => found.second = reader.number(most)?,
                'S' => found.micro = reader.fraction(run.len().max(9))?,
                'Z' | 'z' => found.zone = Some(reader.zone()?),
                _ => return None,
            }
        }
        let wall = if reader.rest.is_empty() { found.wall()? } else { return None };
        Some(match &found.zone {
            Some(zone) => instant_of(wall, zone),
            None => wall,
        })
    };
    read().ok_or_else(|| format!("'{text}' does not match the format '{pattern}'"))
}
