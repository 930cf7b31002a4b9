//! The calendar: civil dates, times of day, and the texts that denote them.
//!
//! All arithmetic is on whole microseconds of the proleptic Gregorian calendar. Texts are read as Trino reads them in
//! casts, and in the ISO 8601 form with `T` and `Z` that other tools send.

use jiff::tz::TimeZone;

use crate::functions::scalar::{offset_micros, zone_named};

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// Days since 1970-01-01 of a civil date.
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub(crate) fn civil_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Number of days of a month.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Moves a number of days by months; the day is cut to the length of the month it ends in.
pub(crate) fn add_months(days: i64, months: i64) -> i64 {
    let (year, month, day) = civil_of(days);
    let total =
        year.saturating_mul(12).saturating_add(month - 1).saturating_add(months).clamp(-12 * 280_000, 12 * 280_000);
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
    days_of(year, month, day.min(days_in_month(year, month)))
}

/// Day of the week, Monday is 1 and Sunday is 7.
pub(crate) fn day_of_week(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// Day of the year, counted from one.
pub(crate) fn day_of_year(days: i64) -> i64 {
    days - days_of(civil_of(days).0, 1, 1) + 1
}

/// ISO 8601 year and week of a day.
pub(crate) fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - day_of_week(days) + 4;
    let year = civil_of(thursday).0;
    (year, (thursday - days_of(year, 1, 1)) / 7 + 1)
}

/// A date and time of day, split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) days: i64,
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) micro: i64,
}

/// Splits wall-clock microseconds.
pub(crate) fn split(wall: i64) -> Clock {
    let (days, rest) = (wall.div_euclid(DAY), wall.rem_euclid(DAY));
    let (year, month, day) = civil_of(days);
    let seconds = rest / 1_000_000;
    Clock {
        days,
        year,
        month,
        day,
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        micro: rest % 1_000_000,
    }
}

/// A moment read from text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moment {
    /// What the text shows, in microseconds since it would show 1970-01-01 00:00:00.
    pub(crate) wall: i64,
    /// The zone that the text names.
    pub(crate) zone: Option<TimeZone>,
    /// True if the text is a date without a time.
    pub(crate) date_only: bool,
    /// Digits of the fraction of a second.
    pub(crate) precision: usize,
}

impl Moment {
    /// Returns microseconds since 1970-01-01 00:00:00 UTC; without a zone the text means UTC.
    pub(crate) fn instant(&self) -> i64 {
        match &self.zone {
            Some(zone) => instant_of(self.wall, zone),
            None => self.wall,
        }
    }
}

/// Finds the instant at which a clock in `zone` shows `wall`.
pub(crate) fn instant_of(wall: i64, zone: &TimeZone) -> i64 {
    let guess = wall.saturating_sub(offset_micros(zone, wall));
    wall.saturating_sub(offset_micros(zone, guess))
}

/// Reads `2023-01-30`, `2023-01-30 22:22`, `2023-01-30 22:22:30.000`, `2023-01-30T22:22:30Z`,
/// `2023-01-30 22:22:30 Europe/Berlin` and the like.
pub(crate) fn parse_moment(text: &str) -> Option<Moment> {
    let mut cursor = Digits { rest: text.trim() };
    let negative = cursor.rest.starts_with('-');
    if negative {
        cursor.rest = &cursor.rest[1..];
    }
    let year = cursor.number(4, 6)? * if negative { -1 } else { 1 };
    cursor.literal('-')?;
    let month = cursor.number(1, 2)?;
    cursor.literal('-')?;
    let day = cursor.number(1, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) || year.abs() > 280_000 {
        return None;
    }
    let midnight = days_of(year, month, day) * DAY;
    if cursor.rest.is_empty() {
        return Some(Moment { wall: midnight, zone: None, date_only: true, precision: 0 });
    }
    let separated = cursor.rest.strip_prefix(['T', 't']).or_else(|| cursor.rest.strip_prefix(' ').map(str::trim_start));
    cursor.rest = separated?;
    if !cursor.rest.starts_with(|c: char| c.is_ascii_digit()) {
        let zone = zone_named(cursor.rest).ok()?;
        return Some(Moment { wall: midnight, zone: Some(zone), date_only: false, precision: 0 });
    }
    let hour = cursor.number(1, 2)?;
    let (mut minute, mut second, mut micro, mut precision) = (0, 0, 0, 0);
    if cursor.literal(':').is_some() {
        minute = cursor.number(1, 2)?;
        if cursor.literal(':').is_some() {
            second = cursor.number(1, 2)?;
            if cursor.literal('.').is_some() || cursor.literal(',').is_some() {
                (micro, precision) = cursor.fraction()?;
            }
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let zone = match cursor.rest.trim() {
        "" => None,
        "z" => Some(TimeZone::UTC),
        name => Some(zone_named(name).ok()?),
    };
    let wall = midnight + (hour * 3600 + minute * 60 + second) * 1_000_000 + micro;
    Some(Moment { wall, zone, date_only: false, precision })
}

struct Digits<'a> {
    rest: &'a str,
}

impl Digits<'_> {
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let length = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if length < least {
            return None;
        }
        let (number, rest) = self.rest.split_at(length);
        self.rest = rest;
        number.parse().ok()
    }

    fn literal(&mut self, wanted: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    /// Reads up to twelve digits of a fraction, as microseconds.
    fn fraction(&mut self) -> Option<(i64, usize)> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 || length > 12 {
            return None;
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        format!("{digits:0<6}")[..6].parse().ok().map(|micro| (micro, length))
    }
}

/// Writes `2023-01-22`.
pub(crate) fn date_text(days: i64) -> String {
    let (year, month, day) = civil_of(days);
    format!("{}-{month:02}-{day:02}", year_text(year))
}

fn year_text(year: i64) -> String {
    if year < 0 { format!("-{:04}", -year) } else { format!("{year:04}") }
}

/// Writes `2023-01-22 16:53:53.000` with as many digits of the second as asked for, up to six.
pub(crate) fn timestamp_text(wall: i64, digits: usize) -> String {
    let clock = split(wall);
    let mut text = format!("{} {:02}:{:02}:{:02}", date_text(clock.days), clock.hour, clock.minute, clock.second);
    if digits > 0 {
        text.push('.');
        text.push_str(&format!("{:06}", clock.micro)[..digits.min(6)]);
    }
    text
}

/// Writes a time of day, `16:53:53.000`.
pub(crate) fn time_text(micros: i64, digits: usize) -> String {
    timestamp_text(micros.rem_euclid(DAY), digits).split_off(11)
}

/// Writes the name of a zone as Trino does.
pub(crate) fn zone_text(zone: &str) -> &str {
    match zone {
        "+00:00" | "Z" | "utc" => "UTC",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_survive_the_round_trip() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil_of(days);
            assert_eq!(days_of(year, month, day), days);
        }
        assert_eq!(civil_of(19_000), (2022, 1, 8));
        assert_eq!(day_of_week(days_of(2023, 1, 22)), 7);
        assert_eq!(iso_week(days_of(2021, 1, 3)), (2020, 53));
    }

    #[test]
    fn moments_are_read_in_every_form() {
        let noon = days_of(2024, 11, 5) * DAY + 12 * 3_600_000_000;
        for text in [
            "2024-11-05 12:00:00",
            "2024-11-05 12:00",
            "2024-11-05T12:00:00Z",
            "2024-11-05T12:00:00.000",
            "2024-11-05 14:00:00 +02:00",
            "2024-11-05T13:00:00+01:00",
            "2024-11-5 12:00:00",
        ] {
            assert_eq!(parse_moment(text).map(|m| m.instant()), Some(noon), "{text}");
        }
        for text in [
            "",
            "x",
            "2024-13-01",
            "2024-02-30",
            "2024-11-05 25:00:00",
            "2024-11-05 12:00:00 Mars/Base",
            "20241105",
            "2024-11-05 12:00:00.",
            "2024-11-05x",
        ] {
            assert_eq!(parse_moment(text), None, "{text}");
        }
    }
}
