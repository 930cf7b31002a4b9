//! Functions of dates and timestamps.
//!
//! The session zone is UTC. A function of a timestamp with time zone works on what a clock in that zone shows.

use std::borrow::Cow;

use self::iso::{iso_moment, iso_text};
use self::joda::{joda_format, joda_parse};
use self::mysql::{mysql_format, mysql_parse};
use self::units::date_diff;
use crate::functions::calendar::{
    self, Clock, DAY, day_of_week, day_of_year, days_in_month, days_of, iso_week, parse_moment, split,
};
use crate::functions::scalar::Param::{Double, Int, Moment, Text};
use crate::functions::scalar::{Body, Out, Overload, overload};

mod fields;
mod iso;
mod joda;
mod mysql;
mod units;

pub(crate) use self::units::{Unit, add, truncate, unit};

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
