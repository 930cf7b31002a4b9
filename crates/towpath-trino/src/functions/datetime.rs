//! Functions of dates and timestamps.
//!
//! The session zone is UTC. A function of a timestamp with time zone works on what a clock in that zone shows.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use crate::functions::calendar::{
    self, Clock, DAY, add_months, date_text, day_of_week, day_of_year, days_in_month, days_of, instant_of, iso_week,
    parse_moment, split, timestamp_text,
};
use crate::functions::scalar::Param::{Double, Int, Moment, Text};
use crate::functions::scalar::{Body, Out, Overload, Row, overload, zone_named};

macro_rules! part {
    ($f:expr) => {
        vec![overload(
            &[Moment],
            Body::Int(|r| {
                let f: fn(Clock) -> i64 = $f;
                Ok(Some(f(split(r.wall(0)))))
            }),
        )]
    };
}

/// Lists the functions of this file.
pub(crate) fn functions() -> Vec<(&'static str, Vec<Overload>)> {
    vec![
        ("year", part!(|c| c.year)),
        ("quarter", part!(|c| (c.month - 1) / 3 + 1)),
        ("month", part!(|c| c.month)),
        ("week", part!(|c| iso_week(c.days).1)),
        ("week_of_year", part!(|c| iso_week(c.days).1)),
        ("year_of_week", part!(|c| iso_week(c.days).0)),
        ("yow", part!(|c| iso_week(c.days).0)),
        ("day", part!(|c| c.day)),
        ("day_of_month", part!(|c| c.day)),
        ("day_of_week", part!(|c| day_of_week(c.days))),
        ("dow", part!(|c| day_of_week(c.days))),
        ("day_of_year", part!(|c| day_of_year(c.days))),
        ("doy", part!(|c| day_of_year(c.days))),
        ("hour", part!(|c| c.hour)),
        ("minute", part!(|c| c.minute)),
        ("second", part!(|c| c.second)),
        ("millisecond", part!(|c| c.micro / 1000)),
        (
            "timezone_hour",
            vec![overload(&[Moment], Body::Int(|r| Ok(Some((r.wall(0) - r.instant(0)) / 3_600_000_000))))],
        ),
        (
            "timezone_minute",
            vec![overload(&[Moment], Body::Int(|r| Ok(Some((r.wall(0) - r.instant(0)) / 60_000_000 % 60))))],
        ),
        (
            "last_day_of_month",
            vec![overload(
                &[Moment],
                Body::Date(|r| {
                    let c = split(r.wall(0));
                    day_number(days_of(c.year, c.month, days_in_month(c.year, c.month)))
                }),
            )],
        ),
        ("date_diff", vec![overload(&[Text, Moment, Moment], Body::Int(date_diff))]),
        (
            "date_format",
            vec![overload(
                &[Moment, Text],
                Body::Text(|r| Ok(Some(mysql_format(split(r.wall(0)), r.text(1))?.into()))),
            )],
        ),
        (
            "date_parse",
            vec![overload(&[Text, Text], Body::Timestamp(|r| Ok(Some(mysql_parse(r.text(0), r.text(1))? / 1000))))],
        ),
        ("format_datetime", vec![overload(&[Moment, Text], Body::Text(|r| Ok(Some(joda_format(r)?.into()))))]),
        ("parse_datetime", vec![overload(&[Text, Text], Body::Zoned(|r| joda_parse(r.text(0), r.text(1)).map(Some)))]),
        ("from_iso8601_timestamp", vec![overload(&[Text], Body::Zoned(|r| iso_moment(r.text(0)).map(Some)))]),
        (
            "from_iso8601_date",
            vec![overload(
                &[Text],
                Body::Date(|r| {
                    let moment = parse_moment(r.text(0))
                        .filter(|m| m.date_only)
                        .ok_or_else(|| format!("'{}' is not a date", r.text(0)))?;
                    day_number(moment.wall.div_euclid(DAY))
                }),
            )],
        ),
        ("to_iso8601", vec![overload(&[Moment], Body::Text(|r| Ok(Some(iso_text(r).into()))))]),
        ("from_unixtime", vec![overload(&[Double], Body::Zoned(|r| Ok(Some(unix_micros(r.double(0))?))))]),
        ("from_unixtime_nanos", vec![overload(&[Int], Body::Zoned(|r| Ok(Some(r.int(0).div_euclid(1000)))))]),
        ("to_unixtime", vec![overload(&[Moment], Body::Double(|r| Ok(Some(r.instant(0) as f64 / 1e6))))]),
        (
            "human_readable_seconds",
            vec![overload(&[Double], Body::Text(|r| Ok(Some(readable_seconds(r.double(0)).into()))))],
        ),
    ]
}

fn day_number(days: i64) -> Out<i32> {
    i32::try_from(days).map(Some).map_err(|_| "the date is out of range".into())
}

fn unix_micros(seconds: f64) -> Result<i64, String> {
    let millis = (seconds * 1000.0).round();
    if !millis.is_finite() || millis.abs() > 9e15 {
        return Err("the time is out of range".into());
    }
    Ok(millis as i64 * 1000)
}

/// A unit of `date_add`, `date_diff` and `date_trunc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Micros(i64),
    Days(i64),
    Months(i64),
}

/// Reads a unit by name.
pub(crate) fn unit(name: &str) -> Result<Unit, String> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "millisecond" => Unit::Micros(1000),
        "second" => Unit::Micros(1_000_000),
        "minute" => Unit::Micros(60_000_000),
        "hour" => Unit::Micros(3_600_000_000),
        "day" => Unit::Days(1),
        "week" => Unit::Days(7),
        "month" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" => Unit::Months(12),
        other => return Err(format!("'{other}' is not a valid time unit")),
    })
}

/// Moves wall-clock microseconds by a number of units.
pub(crate) fn add(wall: i64, unit: Unit, amount: i64) -> Result<i64, String> {
    let moved = match unit {
        Unit::Micros(micros) => amount.checked_mul(micros).and_then(|delta| wall.checked_add(delta)),
        Unit::Days(days) => {
            amount.checked_mul(days).and_then(|d| d.checked_mul(DAY)).and_then(|delta| wall.checked_add(delta))
        }
        Unit::Months(months) => {
            let amount = amount.checked_mul(months).filter(|m| m.abs() < 1_000_000);
            amount.map(|months| add_months(wall.div_euclid(DAY), months) * DAY + wall.rem_euclid(DAY))
        }
    };
    moved.filter(|m| m.abs() < i64::MAX / 2).ok_or_else(|| "the result is out of range".into())
}

/// Cuts wall-clock microseconds down to the start of a unit.
pub(crate) fn truncate(wall: i64, name: &str) -> Result<i64, String> {
    let clock = split(wall);
    Ok(match (unit(name)?, name.to_ascii_lowercase().as_str()) {
        (Unit::Micros(micros), _) => wall - wall.rem_euclid(micros),
        (Unit::Days(1), _) => clock.days * DAY,
        (Unit::Days(_), _) => (clock.days - day_of_week(clock.days) + 1) * DAY,
        (_, "month") => days_of(clock.year, clock.month, 1) * DAY,
        (_, "quarter") => days_of(clock.year, (clock.month - 1) / 3 * 3 + 1, 1) * DAY,
        _ => days_of(clock.year, 1, 1) * DAY,
    })
}

fn date_diff(r: &Row<'_>) -> Out<i64> {
    let unit = unit(r.text(0))?;
    let (from, to) = match unit {
        Unit::Micros(_) => (r.instant(1), r.instant(2)),
        _ => (r.wall(1), r.wall(2)),
    };
    Ok(Some(match unit {
        Unit::Micros(micros) => to.saturating_sub(from) / micros,
        Unit::Days(days) => to.saturating_sub(from) / (days * DAY),
        Unit::Months(months) => {
            let (a, b) = (split(from), split(to));
            let mut whole = (b.year - a.year) * 12 + b.month - a.month;
            // A month that is begun but not complete does not count.
            let reached = add_months(a.days, whole) * DAY + from.rem_euclid(DAY);
            if whole > 0 && reached > to {
                whole -= 1;
            } else if whole < 0 && reached < to {
                whole += 1;
            }
            whole / months
        }
    }))
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn half_day_hour(hour: i64) -> i64 {
    if hour % 12 == 0 { 12 } else { hour % 12 }
}

/// Formats with MySQL's pattern letters, the ones of `date_format`.
fn mysql_format(c: Clock, pattern: &str) -> Result<String, String> {
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

/// What a pattern has found in a text so far.
#[derive(Default)]
struct Found {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    micro: i64,
    afternoon: Option<bool>,
    zone: Option<TimeZone>,
}

impl Found {
    fn wall(&self) -> Option<i64> {
        let (year, month, day) = (self.year.unwrap_or(1970), self.month.unwrap_or(1), self.day.unwrap_or(1));
        let hour = match self.afternoon {
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        if !(1..=12).contains(&month)
            || day < 1
            || day > days_in_month(year, month)
            || hour > 23
            || self.minute > 59
            || self.second > 59
        {
            return None;
        }
        let days = match self.day_of_year {
            Some(day) => days_of(year, 1, 1) + day - 1,
            None => days_of(year, month, day),
        };
        Some(days * DAY + (hour * 3600 + self.minute * 60 + self.second) * 1_000_000 + self.micro)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn number(&mut self, most: usize) -> Option<i64> {
        let length = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits.parse().ok()
    }

    fn fraction(&mut self, most: usize) -> Option<i64> {
        let length = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return None;
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        format!("{digits:0<6}")[..6].parse().ok()
    }

    fn literal(&mut self, wanted: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    /// Reads one of `names`, in full or by its first three letters, and returns its number from one.
    fn name(&mut self, names: &[&str]) -> Option<i64> {
        for (i, name) in names.iter().enumerate() {
            for form in [*name, &name[..3]] {
                if self.rest.get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form)) {
                    self.rest = &self.rest[form.len()..];
                    return Some(i as i64 + 1);
                }
            }
        }
        None
    }

    fn half(&mut self) -> Option<bool> {
        let half = self.rest.get(..2)?.to_ascii_lowercase();
        self.rest = &self.rest[2..];
        match half.as_str() {
            "am" => Some(false),
            "pm" => Some(true),
            _ => None,
        }
    }

    fn zone(&mut self) -> Option<TimeZone> {
        let length = self.rest.find(|c: char| !(c.is_alphanumeric() || "+-:/_".contains(c))).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        match name {
            name if name.len() == 5 && name.starts_with(['+', '-']) => {
                zone_named(&format!("{}:{}", &name[..3], name.get(3..)?)).ok()
            }
            name => zone_named(name).ok(),
        }
    }
}

/// Reads a text by MySQL's pattern letters, the ones of `date_parse`.
fn mysql_parse(text: &str, pattern: &str) -> Result<i64, String> {
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
fn joda_format(r: &Row<'_>) -> Result<String, String> {
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
fn joda_parse(text: &str, pattern: &str) -> Result<i64, String> {
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

fn iso_moment(text: &str) -> Result<i64, String> {
    parse_moment(text).map(|m| m.instant()).ok_or_else(|| format!("'{text}' is not an ISO 8601 timestamp"))
}

fn iso_text(r: &Row<'_>) -> String {
    let wall = r.wall(0);
    let text = timestamp_text(wall, 3).replace(' ', "T");
    if r.is_date(0) {
        return date_text(wall.div_euclid(DAY));
    }
    let minutes = (wall - r.instant(0)) / 60_000_000;
    match (r.is_zoned(0), minutes) {
        (false, _) => text,
        (true, 0) => format!("{text}Z"),
        (true, m) => format!("{text}{}{:02}:{:02}", if m < 0 { '-' } else { '+' }, m.abs() / 60, m.abs() % 60),
    }
}

fn readable_seconds(seconds: f64) -> String {
    let total = seconds.round() as i64;
    let parts = [(604_800, "week"), (86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let mut rest = total;
    let mut words: Vec<Cow<'static, str>> = vec![];
    for (size, name) in parts {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            words.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }).into());
        }
    }
    if words.is_empty() { "0 seconds".into() } else { words.join(", ") }
}

/// Reads a text as a timestamp the way comparisons do; `None` if it is none.
pub(crate) fn lenient_instant(text: &str) -> Option<i64> {
    calendar::parse_moment(text).map(|m| m.instant())
}
