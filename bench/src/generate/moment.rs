//! A second of generated time, in the forms that records and file names use.

use jiff::civil::Date;

/// A second of a day.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The day.
    pub date: Date,
    /// How many days lie before it.
    pub day: u32,
    /// Seconds since midnight, below 86,400.
    pub second: u32,
}

impl Moment {
    /// `2024-07-30T16:48:47Z`.
    pub fn text(&self) -> String {
        let (hour, minute, second) = self.clock();
        format!("{}T{hour:02}:{minute:02}:{second:02}Z", self.date)
    }

    /// `20240730T1648Z`.
    pub fn compact(&self) -> String {
        let (hour, minute, _) = self.clock();
        format!("{:04}{:02}{:02}T{hour:02}{minute:02}Z", self.date.year(), self.date.month(), self.date.day())
    }

    /// `2024/07/30`.
    pub fn folder(&self) -> String {
        format!("{:04}/{:02}/{:02}", self.date.year(), self.date.month(), self.date.day())
    }

    /// The same day, some seconds later, at most its last second.
    pub fn later(&self, seconds: u32) -> Self {
        Self { second: (self.second + seconds).min(86_399), ..*self }
    }

    /// Hour, minute, second.
    pub fn clock(&self) -> (u32, u32, u32) {
        (self.second / 3600, self.second / 60 % 60, self.second % 60)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_moment_reads_as_records_and_file_names_spell_it() {
        let moment = Moment { date: date(2024, 7, 3), day: 5, second: 60_487 };
        assert_eq!(moment.text(), "2024-07-03T16:48:07Z");
        assert_eq!(moment.compact(), "20240703T1648Z");
        assert_eq!(moment.folder(), "2024/07/03");
        assert_eq!(moment.later(100_000).text(), "2024-07-03T23:59:59Z");
    }
}
