//! Moments in the forms that records have.

use jiff::Timestamp;

use crate::profile::TimeForm;

/// A moment as JSON.
pub(super) fn printed(time: Timestamp, form: TimeForm) -> String {
    match form {
        TimeForm::Words => time.strftime("\"%b %-d, %Y %-I:%M:%S %p\"").to_string(),
        TimeForm::WordsWithComma => time.strftime("\"%b %-d, %Y, %-I:%M:%S %p\"").to_string(),
        TimeForm::Iso => format!("\"{}\"", iso(time)),
        TimeForm::Epoch => time.as_second().to_string(),
        TimeForm::EpochMillis => time.as_millisecond().to_string(),
    }
}

/// `2025-11-07T19:45:57.867007329Z`: digits of a second by threes, as many as it takes.
fn iso(time: Timestamp) -> String {
    let whole = time.strftime("%Y-%m-%dT%H:%M:%S");
    let nanos = time.subsec_nanosecond().rem_euclid(1_000_000_000);
    match (nanos, nanos % 1_000_000, nanos % 1_000) {
        (0, ..) => format!("{whole}Z"),
        (_, 0, _) => format!("{whole}.{:03}Z", nanos / 1_000_000),
        (_, _, 0) => format!("{whole}.{:06}Z", nanos / 1_000),
        _ => format!("{whole}.{nanos:09}Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_as_delivered_records_have_it() {
        let time: Timestamp = "2023-07-10T12:25:04.000Z".parse().unwrap();
        assert_eq!(printed(time, TimeForm::Words), "\"Jul 10, 2023 12:25:04 PM\"");
        assert_eq!(printed(time, TimeForm::WordsWithComma), "\"Jul 10, 2023, 12:25:04 PM\"");
        assert_eq!(printed(time, TimeForm::Iso), "\"2023-07-10T12:25:04Z\"");
        assert_eq!(printed(time, TimeForm::Epoch), "1688991904");
        assert_eq!(printed(time, TimeForm::EpochMillis), "1688991904000");
        let iso = |text: &str| printed(text.parse().unwrap(), TimeForm::Iso);
        for text in ["2024-08-01T13:56:39.482702201Z", "2024-08-01T13:56:39.482700Z", "2024-08-01T13:56:39.500Z"] {
            assert_eq!(iso(text), format!("\"{text}\""));
        }
        assert_eq!(iso("1969-12-31T23:59:59.5Z"), "\"1969-12-31T23:59:59.500Z\"");
    }
}
