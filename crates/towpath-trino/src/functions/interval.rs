//! Interval literals.

use datafusion::arrow::datatypes::IntervalMonthDayNano;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Reads the text of an interval literal in a unit such as `day`, `year to month` or `day to second`.
pub(crate) fn parse_interval(text: &str, unit: &str) -> Result<IntervalMonthDayNano, String> {
    let wrong = || format!("'{text}' is not an interval in {unit}");
    let (negative, body) = match text.trim().strip_prefix('-') {
        Some(body) => (true, body.trim()),
        None => (false, text.trim().trim_start_matches('+').trim()),
    };
    let units: Vec<&str> = unit.split(" to ").map(|u| u.strip_suffix('s').unwrap_or(u)).collect();
    let (months, days, nanos) = match units.as_slice() {
        [single] => {
            let seconds =
                |per: i64| -> Result<(i64, i64, i64), String> { Ok((0, 0, scaled(body, per).ok_or_else(wrong)?)) };
            let whole = || body.parse::<i64>().ok().filter(|n| (0..=10_000_000).contains(n)).ok_or_else(wrong);
            match *single {
                "year" => (whole()? * 12, 0, 0),
                "quarter" => (whole()? * 3, 0, 0),
                "month" => (whole()?, 0, 0),
                "week" => (0, whole()? * 7, 0),
                "day" => (0, whole()?, 0),
                "hour" => seconds(3600)?,
                "minute" => seconds(60)?,
                "second" => seconds(1)?,
                other => return Err(format!("unknown interval unit: {other}")),
            }
        }
        ["year", "month"] => {
            let (years, months) = body.split_once('-').unwrap_or((body, "0"));
            let number =
                |text: &str| text.trim().parse::<i64>().ok().filter(|n| (0..=1_000_000).contains(n)).ok_or_else(wrong);
            (number(years)? * 12 + number(months)?, 0, 0)
        }
        ["day", _] => {
            let (days, clock) = body.split_once(' ').unwrap_or((body, "0"));
            let days = days.parse::<i64>().ok().filter(|n| (0..=10_000_000).contains(n)).ok_or_else(wrong)?;
            (0, days, clock_nanos(clock.trim(), 3600).ok_or_else(wrong)?)
        }
        ["hour", _] => (0, 0, clock_nanos(body, 3600).ok_or_else(wrong)?),
        ["minute", "second"] => (0, 0, clock_nanos(body, 60).ok_or_else(wrong)?),
        _ => return Err(format!("unknown interval unit: {unit}")),
    };
    let sign = if negative { -1 } else { 1 };
    let narrow = |n: i64| i32::try_from(n * sign).map_err(|_| wrong());
    Ok(IntervalMonthDayNano::new(narrow(months)?, narrow(days)?, nanos * sign))
}

/// Reads `h:m:s.f`, the first part of which counts `first` seconds, as nanoseconds.
fn clock_nanos(text: &str, first: i64) -> Option<i64> {
    let mut per = first;
    let mut total = 0i64;
    for part in text.split(':') {
        if per == 0 {
            return None;
        }
        total = total.checked_add(scaled(part, per)?)?;
        per = if per == 1 { 0 } else { per / 60 };
    }
    Some(total)
}

/// Reads a decimal number of units of `per` seconds each, as nanoseconds.
fn scaled(text: &str, per: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) || fraction.len() > 9 || whole.is_empty() {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(SECOND)?.checked_add(nanos)?.checked_mul(per)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_in_every_unit() {
        let read = |text, unit| parse_interval(text, unit).unwrap();
        assert_eq!(read("7", "day"), IntervalMonthDayNano::new(0, 7, 0));
        assert_eq!(read("-1", "month"), IntervalMonthDayNano::new(-1, 0, 0));
        assert_eq!(read("2", "weeks"), IntervalMonthDayNano::new(0, 14, 0));
        assert_eq!(read("1-2", "year to month"), IntervalMonthDayNano::new(14, 0, 0));
        assert_eq!(read("1 02:03:04.5", "day to second"), IntervalMonthDayNano::new(0, 1, 7_384_500_000_000));
        assert_eq!(read("90", "minute"), IntervalMonthDayNano::new(0, 0, 5_400_000_000_000));
        for (text, unit) in
            [("x", "day"), ("1", "fortnight"), ("", "hour"), ("1:2:3:4", "hour to second"), ("99999999999999", "hour")]
        {
            assert!(parse_interval(text, unit).is_err(), "{text} {unit}");
        }
    }
}
