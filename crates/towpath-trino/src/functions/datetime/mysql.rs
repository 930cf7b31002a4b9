//! MySQL's pattern letters, the ones of `date_format` and `date_parse`.

use super::fields::{Found, MONTHS, Reader, WEEKDAYS, half_day_hour};
use crate::functions::calendar::{Clock, day_of_week, day_of_year, iso_week};

/// Formats with MySQL's pattern letters, the ones of `date_format`.
pub(super) fn mysql_format(c: Clock, pattern: &str) -> Result<String, String> {
    use std::fmt::Write;
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let Some(letter) = letters.next() else { break };
        let month = MONTHS[(c.month - 1) as usize];
        let weekday = WEEKDAYS[(day_of_week(c.days) - 1) as usize];
        let half = if c.hour < 12 { "AM" } else { "PM" };
        let written = match letter {
            'a' => write!(out, "{}", &weekday[..3]),
            'b' => write!(out, "{}", &month[..3]),
            'c' => write!(out, "{}", c.month),
            'd' => write!(out, "{:02}", c.day),
            'e' => write!(out, "{}", c.day),
            'f' => write!(out, "{:06}", c.micro),
            'H' => write!(out, "{:02}", c.hour),
            'h' | 'I' => write!(out, "{:02}", half_day_hour(c.hour)),
            'i' => write!(out, "{:02}", c.minute),
            'j' => write!(out, "{:03}", day_of_year(c.days)),
            'k' => write!(out, "{}", c.hour),
            'l' => write!(out, "{}", half_day_hour(c.hour)),
            'M' => write!(out, "{month}"),
            'm' => write!(out, "{:02}", c.month),
            'p' => write!(out, "{half}"),
            'r' => write!(out, "{:02}:{:02}:{:02} {half}", half_day_hour(c.hour), c.minute, c.second),
            'S' | 's' => write!(out, "{:02}", c.second),
            'T' => write!(out, "{:02}:{:02}:{:02}", c.hour, c.minute, c.second),
            'v' => write!(out, "{:02}", iso_week(c.days).1),
            'W' => write!(out, "{weekday}"),
            'x' => write!(out, "{:04}", iso_week(c.days).0),
            'Y' => write!(out, "{:04}", c.year),
            'y' => write!(out, "{:02}", c.year.rem_euclid(100)),
            'D' | 'U' | 'u' | 'V' | 'w' | 'X' => return Err(format!("%{letter} is not supported in a date format")),
            other => write!(out, "{other}"),
        };
        written.map_err(|e| e.to_string())?;
    }
    Ok(out)
}

/// Reads a text by MySQL's pattern letters, the ones of `date_parse`.
pub(super) fn mysql_parse(text: &str, pattern: &str) -> Result<i64, String> {
    let mut found = Found::default();
    let mut reader = Reader { rest: text };
    let mut read = || -> Option<i64> {
        let mut letters = pattern.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                reader.literal(letter)?;
                continue;
            }
            match letters.next()? {
                'Y' | 'x' => found.year = Some(reader.number(4)?),
                'y' => found.year = reader.number(2).map(|y| if y < 70 { 2000 + y } else { 1900 + y }),
                'm' | 'c' => found.month = Some(reader.number(2)?),
                'd' | 'e' => found.day = Some(reader.number(2)?),
                'j' => found.day_of_year = Some(reader.number(3)?),
                'H' | 'k' => found.hour = reader.number(2)?,
                'h' | 'I' | 'l' => {
                    found.hour = reader.number(2)?;
                    found.afternoon.get_or_insert(false);
                }
                'i' => found.minute = reader.number(2)?,
                's' | 'S' => found.second = reader.number(2)?,
                'f' => found.micro = reader.fraction(9)?,
                'p' => found.afternoon = Some(reader.half()?),
                'b' | 'M' => found.month = Some(reader.name(&MONTHS)?),
                'a' | 'W' => {
                    reader.name(&WEEKDAYS)?;
                }
                'T' => {
                    found.hour = reader.number(2)?;
                    reader.literal(':')?;
                    found.minute = reader.number(2)?;
                    reader.literal(':')?;
                    found.second = reader.number(2)?;
                }
                other => reader.literal(other)?,
            }
        }
        if reader.rest.is_empty() { found.wall() } else { None }
    };
    read().ok_or_else(|| format!("'{text}' does not match the format '{pattern}'"))
}
