//! The fields of a moment while a pattern reads or writes them.

use jiff::tz::TimeZone;

use crate::functions::calendar::{DAY, days_in_month, days_of};
use crate::functions::scalar::zone_named;

pub(super) const MONTHS: [&str; 12] = [
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

pub(super) const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

pub(super) fn half_day_hour(hour: i64) -> i64 {
    if hour % 12 == 0 { 12 } else { hour % 12 }
}

/// What a pattern has found in a text so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) year: Option<i64>,
    pub(super) month: Option<i64>,
    pub(super) day: Option<i64>,
    pub(super) day_of_year: Option<i64>,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) micro: i64,
    pub(super) afternoon: Option<bool>,
    pub(super) zone: Option<TimeZone>,
}

impl Found {
    pub(super) fn wall(&self) -> Option<i64> {
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

pub(super) struct Reader<'a> {
    pub(super) rest: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self, most: usize) -> Option<i64> {
        let length = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits.parse().ok()
    }

    pub(super) fn fraction(&mut self, most: usize) -> Option<i64> {
        let length = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return None;
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        format!("{digits:0<6}")[..6].parse().ok()
    }

    pub(super) fn literal(&mut self, wanted: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    /// Reads one of `names`, in full or by its first three letters, and returns its number from one.
    pub(super) fn name(&mut self, names: &[&str]) -> Option<i64> {
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

    pub(super) fn half(&mut self) -> Option<bool> {
        let half = self.rest.get(..2)?.to_ascii_lowercase();
        self.rest = &self.rest[2..];
        match half.as_str() {
            "am" => Some(false),
            "pm" => Some(true),
            _ => None,
        }
    }

    pub(super) fn zone(&mut self) -> Option<TimeZone> {
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
